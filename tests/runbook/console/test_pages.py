"""The console's pages: everything is said, and nothing that others wrote acts."""

from __future__ import annotations

import re
from datetime import timedelta
from html.parser import HTMLParser
from typing import Any

import pytest

from runbook.console.overview_page import PROMPT_CHARACTERS, headline, row, static_page
from runbook.console.spending import Spent
from runbook.labels import OPEN
from runtime.journal.vocabulary import Status
from tests.runbook.console.rows import made, overview
from tests.runbook.history import NOON

EVIL = '<img src="http://evil.example/x.png" onerror="alert(1)"> $5 to $x^2$ \u202e'
SECOND = timedelta(seconds=1)


def seen(html: str) -> str:
    """The text of a page."""
    return re.sub(r"\s+", " ", re.sub(r"<style>.*?</style>|<[^>]*>", " ", html)).strip()


class Typeset(HTMLParser):
    """Collects the text that MathJax would look at."""

    def __init__(self) -> None:
        super().__init__()
        self.text = ""
        self._open: list[bool] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note whether it is left alone."""
        if tag not in ("img", "br", "hr"):
            self._open.append("mathjax_ignore" in (dict(attrs).get("class") or "") or tag == "style")

    def handle_endtag(self, tag: str) -> None:
        """Back to what is around it."""
        assert self._open.pop() is not None, tag

    def handle_data(self, data: str) -> None:
        """Keep what is not left alone."""
        self.text += "" if any(self._open) else data


def typeset(html: str) -> str:
    """The text of a page that MathJax would look at."""
    parser = Typeset()
    parser.feed(html)
    return parser.text


def test_the_headline_says_how_many_failed_of_how_many_and_what_it_cost() -> None:
    failed = made(status=Status.SESSION_FAILED)
    stuck = made(status=OPEN, trouble="SILENT: nobody acted on it")
    html = headline(overview(made(), failed, stuck), 1, Spent(12.3456, 3, 3, is_partial=False))
    assert "1 failed of 3 runs 1 open 1 stuck 1 dead letter &#36;12.35 estimated cost" in seen(html)
    assert "fire-and-forget.dev in 1/us-east-1" in html


def test_what_is_not_known_yet_is_no_zero() -> None:
    assert "… dead letters … estimated cost" in seen(headline(overview()))


def test_a_sum_says_what_it_leaves_out() -> None:
    html = headline(overview(made(), made()), 0, Spent(0.1, 1, 2, is_partial=True))
    assert "≥ &#36;0.1000 estimated cost of 1 of 2 runs" in seen(html)


def test_an_open_row_says_what_goes_on() -> None:
    now = NOON + 100 * SECOND
    opened = made(
        status=OPEN,
        seconds=100.0,
        steps=("analyst",),
        last_sign_at=NOON + 97 * SECOND,
        deadline=NOON + 700 * SECOND,
    )
    assert seen(row(opened, now)) == (
        "open 12:00:00 1 min 40 s old default Count the clouds "
        "step analyst · last sign of life 3 s ago · deadline in 10 min"
    )


def test_a_failed_row_says_why_and_what_tried_it_again() -> None:
    failed = made(status=Status.SESSION_FAILED, error="AgentLost: gone", retried_as="0123456789")
    assert seen(row(failed, NOON)).endswith("Count the clouds AgentLost: gone · retried as 01234567")


def test_a_row_of_another_day_has_its_date() -> None:
    assert seen(row(made(), NOON + timedelta(days=1))).startswith(f"completed {NOON.day} {NOON:%b} 12:00")


@pytest.mark.parametrize("field", ["prompt", "error", "workflow", "trouble", "steps", "retry_of"])
def test_what_others_wrote_is_text_and_no_formula(field: str) -> None:
    fields: dict[str, Any] = {field: (EVIL,) if field == "steps" else EVIL}
    evil = made(status=OPEN, **fields)
    html = static_page(overview(evil), 0, None)
    assert "<img" not in html
    assert "\u202e" not in html
    assert "$" not in typeset(html)


def test_a_long_prompt_is_cut_in_the_list() -> None:
    assert seen(row(made(prompt="x" * 5000), NOON)).endswith("x" * (PROMPT_CHARACTERS - 1) + "…")


def test_a_static_page_has_the_newest_rows_and_says_what_it_could_not_find_out() -> None:
    html = static_page(overview(*(made(prompt=f"run {number}") for number in range(205))), None, None, ["AWS said no"])
    assert "run 199 " in seen(html)
    assert "run 200 " not in seen(html)
    assert "AWS said no … and 5 older ones" in seen(html)


def test_an_empty_list_says_so() -> None:
    assert "No run began or ended in this time, and none is open." in static_page(overview(), 0, None)
