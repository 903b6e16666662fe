"""Pieces of HTML for the console's pages. Everything that others wrote goes through `text`."""

from datetime import datetime, timedelta
from functools import cache
from html import escape
from pathlib import Path

from runbook.plain_text import NO_FORMULAS, visible
from runbook.tables import shortened

STYLE = Path(__file__).with_name("style.css")


@cache
def style() -> str:
    """Return the style sheet, which has colours for light and dark, as an element."""
    return f"<style>{STYLE.read_text(encoding='utf-8')}</style>"


def text(value: object, max_characters: int = 0) -> str:
    """Return untrusted text as HTML.

    :param max_characters: on one line and cut after so many, if above 0
    """
    whole = visible(str(value))
    return escape(shortened(whole, max_characters) if max_characters else whole)


def block(content: str, *classes: str) -> str:
    """Return a part of a page, in whose text nothing is a formula."""
    return f'<div class="{" ".join(("rbc", NO_FORMULAS, *classes))}">{content}</div>'


def badge(word: str) -> str:
    """Return how a run stands, as a word with a colour."""
    return f'<span class="rbc-badge rbc-is-{text(word).replace(" ", "-")}">{text(word)}</span>'


def folded(summary: str, content: str, *, is_open: bool = False) -> str:
    """Return something that a click, or the return key, unfolds.

    :param summary: HTML
    :param content: HTML
    """
    return f"<details{' open' if is_open else ''}><summary>{summary}</summary>{content}</details>"


def code(value: str) -> str:
    """Return text as it is, in columns."""
    return f"<pre>{text(value)}</pre>"


def table(headings: list[str], rows: list[list[str]]) -> str:
    """Return a table of HTML cells."""
    head = "".join(f"<th>{heading}</th>" for heading in headings)
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def moment(at: datetime | None, now: datetime) -> str:
    """Return a time in UTC: with its day, unless that is today."""
    if at is None:
        return "-"
    return f"{at:%H:%M:%S}" if at.date() == now.date() else f"{at.day} {at:%b %H:%M}"


def ago(at: datetime, now: datetime) -> str:
    """Return how long ago something was, such as `12 s ago`."""
    return f"{about(max(now - at, timedelta()))} ago"


def about(span: timedelta) -> str:
    """Return a span of time in its largest unit."""
    seconds = round(span.total_seconds())
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"
