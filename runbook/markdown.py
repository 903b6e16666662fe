"""What a model wrote, as HTML that asks nobody for anything: its text and its structure, and nothing that acts.

Raw HTML is text. An image is a link: fetching it would tell its server who looked, and when. A link says where it leads
and is opened by a click only. `$` is a dollar.
"""

from collections.abc import Sequence
from functools import cache
from html import escape
from typing import Any
from urllib.parse import urlsplit

from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from markdown_it.utils import EnvType, OptionsDict

from runbook.plain_text import NO_FORMULAS, visible

_SCHEMES = ("http", "https")


class Markdown:
    """Markdown that shows itself in a notebook, whoever wrote it.

    :param text: untrusted
    """

    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        return visible(self.text)

    def _repr_html_(self) -> str:
        return f'<div class="{NO_FORMULAS}">{to_html(self.text)}</div>'


def to_html(text: str) -> str:
    """Return Markdown as HTML without raw HTML, images and formulas; links have their host behind them."""
    return _parser().render(visible(text))


def link(url: str, label: str) -> str:
    """Return a link that says where it leads; only its label where a browser should not be led there.

    :param label: HTML
    """
    host = _host(url)
    if host is None:
        return label
    # Without a referrer, the server learns nothing of this page even when it is opened.
    return (
        f'<a href="{escape(url)}" target="_blank" rel="noopener noreferrer nofollow">{label}</a>'
        f" <small>({escape(visible(host))})</small>"
    )


def _host(url: str) -> str | None:
    try:
        parts = urlsplit(url)
        return parts.netloc.rpartition("@")[2] if parts.scheme in _SCHEMES and parts.hostname else None
    except ValueError:
        return None


class _Renderer(RendererHTML):
    """Says where links lead, and has no images."""

    def link_open(self, tokens: Sequence[Token], idx: int, _options: OptionsDict, env: EnvType) -> str:
        """The link's beginning; its end says where it leads."""
        url = str(tokens[idx].attrGet("href") or "")
        opening, _, closing = link(url, "\0").partition("\0")
        stack: list[str] = env.setdefault("links", [])
        stack.append(closing)
        return opening

    def link_close(self, _tokens: Sequence[Token], _idx: int, _options: OptionsDict, env: EnvType) -> str:
        """The link's end, with its host."""
        return str(env["links"].pop())

    def image(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType) -> str:
        """A link to the image."""
        token = tokens[idx]
        label = escape(self.renderInlineAsText(token.children or [], options, env)) or "without a description"
        return link(str(token.attrGet("src") or ""), f"[image: {label}]")


@cache
def _parser() -> MarkdownIt:
    parser: Any = MarkdownIt("commonmark", {"html": False}, renderer_cls=_Renderer)
    return parser.enable("table")
