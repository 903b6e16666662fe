"""Text of runs as it can be shown: what a terminal, a notebook or an encoding would take for something else is visible.

Prompts, errors, log lines and reports are other people's text. Nothing of it may move the cursor, set a title, turn
the line around or break the table that it is in.
"""

import re

NO_FORMULAS = "mathjax_ignore tex2jax_ignore"
"""Classes whose content MathJax leaves alone.

Source: https://docs.mathjax.org/en/latest/options/document.html, `ignoreHtmlClass`; the second one is version 2's.
"""
_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
_HIDDEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f"  # controls, but for tab and line feed
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # what changes the direction of text
    "\u2028\u2029\ud800-\udfff]"  # what ends lines elsewhere, and halves of characters
)


def visible(text: str) -> str:
    """Return a text in which each character that acts instead of being seen is one that is seen: `␛` for escape."""
    return _HIDDEN.sub(_picture, text)


def whole(text: str) -> str:
    """Return a text that every encoding of Unicode takes: halves of characters are replaced, nothing else."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _picture(found: re.Match[str]) -> str:
    code = ord(found[0])
    if code < 0x20:
        return chr(0x2400 + code)
    return "\N{SYMBOL FOR DELETE}" if code == 0x7F else _REPLACEMENT
