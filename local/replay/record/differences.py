"""What a model is asked, as text that can be compared line by line."""

import json
from collections.abc import Iterator, Sequence
from difflib import unified_diff
from itertools import zip_longest
from typing import Any

from strands.types.session import encode_bytes_values

RECORDED, NOW = "recorded", "now"


def diff(recorded: str, now: str) -> str:
    """Return a unified diff; empty if there is no difference."""
    lines = unified_diff(recorded.splitlines(), now.splitlines(), RECORDED, NOW, lineterm="")
    return "\n".join(lines)


def diff_of_data(recorded: Any, now: Any) -> str:
    """Return a unified diff of JSON values."""
    return diff(_indented(recorded), _indented(now))


def diff_of_messages(recorded: Sequence[Any], now: Sequence[Any], *, structure_only: bool) -> str:
    """Return a unified diff of the first message that differs; empty if none does.

    :param structure_only: compare roles, kinds of blocks and names of tools, and no texts
    """
    seen = _structure if structure_only else _content
    for number, (old, new) in enumerate(zip_longest(recorded, now), start=1):
        if (old and seen(old)) != (new and seen(new)):
            return diff(*(_as_text(number, message, structure_only=structure_only) for message in (old, new)))
    return ""


def _content(message: Any) -> Any:
    """Return what the model is sent of a message: not what it cost."""
    return message["role"], message["content"]


def _structure(message: Any) -> Any:
    return message["role"], [*_kinds(message)]


def _kinds(message: Any) -> Iterator[str]:
    for block in message["content"]:
        kind = next(iter(block), "")
        yield f"{kind} {block[kind]['name']}" if kind == "toolUse" else kind


def _as_text(number: int, message: Any, *, structure_only: bool) -> str:
    if message is None:
        return ""
    if structure_only:
        return "\n".join([f"message {number}, {message['role']}", *_kinds(message)])
    blocks = (
        block["text"] if {*block} == {"text"} else _indented(encode_bytes_values(block)) for block in message["content"]
    )
    return "\n".join([f"message {number}, {message['role']}", *blocks])


def _indented(value: Any) -> str:
    return json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False, default=str)
