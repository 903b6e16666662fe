"""What runs ask people, in the console: read in full, answered with two clicks, refused in a sentence."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from runbook.answering import OpenWaits
from runbook.console import Console, widgets
from runbook.console.questions_page import static_questions
from runbook.console.widgets import Widgets
from runbook.runbook import Runbook
from runtime.journal.timestamps import utc_now
from runtime.journal.waits import Answer, Wait
from tests.runbook.asking import MAIL, QUARTER, asks
from tests.runbook.console.test_pages import EVIL, seen, typeset
from tests.runbook.console.test_widgets import button, console, every, text, until, without_executions
from tests.runbook.history import History

__all__ = ["without_executions"]


async def opened(rb: Runbook) -> Widgets:
    """A console that somebody looks at, with its questions."""
    shown = console(rb)
    shown._page._view_count = 1
    await until(lambda: not shown._busy)
    return shown


def field(shown: Widgets) -> Any:
    """Where a reason is typed."""
    return next(each for each in every(shown._page) if getattr(each, "rows", 0) == 2)


def answers(rb: Runbook, wait: Wait) -> tuple[Answer, ...] | None:
    """What a wait was answered with."""
    answered = rb._reader.answered(wait)
    return answered.answers if answered else None


@pytest.mark.parametrize(
    ("choice", "yes", "approved"), [("Approve …", "Yes, approve", True), ("Deny …", "Yes, deny", False)]
)
def test_a_question_is_answered_once_and_asks_before(
    choice: str, yes: str, approved: bool, rb: Runbook, history: History
) -> None:
    wait = asks(rb, history, replace(MAIL, text="long " * 2000 + "to the end"), at=utc_now() - timedelta(days=20))

    async def scenario() -> None:
        shown = await opened(rb)
        assert "to the end" in text(shown)
        field(shown).value = "because"
        button(shown, choice).click()
        said = "approved" if approved else "denied"
        assert f"of stack {rb.outputs.title}: {said} (because)? It can" in text(shown).replace("&#x27;", "'")
        assert answers(rb, wait) is None
        confirmed = button(shown, yes)
        confirmed.click()
        confirmed.click()
        await until(lambda: not shown._busy)
        assert answers(rb, wait) == (Answer(approved, "because"),)
        assert "to the end" not in text(shown)
        assert len(shown._questions) == 0
        shown._refreshing.stop()

    asyncio.run(scenario())


def test_no_means_no_answer(rb: Runbook, history: History) -> None:
    wait = asks(rb, history)

    async def scenario() -> None:
        shown = await opened(rb)
        button(shown, "Approve …").click()
        yes = button(shown, "Yes, approve")
        button(shown, "No").click()
        yes.click()
        await asyncio.sleep(0)
        assert answers(rb, wait) is None
        shown._refreshing.stop()

    asyncio.run(scenario())


def test_what_is_typed_stays_while_the_console_looks_again_and_another_s_answer_is_a_sentence(
    rb: Runbook, history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    wait = asks(rb, history, QUARTER)
    monkeypatch.setattr(widgets, "QUESTIONS_SECONDS", 0.0)

    async def scenario() -> None:
        shown = await opened(rb)
        button(shown, "Answer …").click()
        assert "answer 1 is without text" in text(shown)
        field(shown).value = "the third"
        later = asks(rb, history)
        await shown._look_again()
        assert later.session_id in text(shown)
        assert field(shown).value == "the third"
        rb.answer(rb.open_wait(wait.session_id), (Answer(True, "the second"),))
        button(shown, "Answer …").click()
        button(shown, "Yes, answer").click()
        await until(lambda: not shown._busy)
        assert "is already answered by arn:aws:" in text(shown)
        assert answers(rb, wait) == (Answer(True, "the second"),)
        shown._refreshing.stop()

    asyncio.run(scenario())


def test_questions_that_can_not_be_read_can_not_be_answered(rb: Runbook, history: History) -> None:
    asks(rb, history, content=b"[]")

    async def scenario() -> None:
        shown = await opened(rb)
        assert "is not what was asked: its content has changed" in text(shown)
        assert button(shown, "Deny …").disabled
        shown._refreshing.stop()

    asyncio.run(scenario())


def test_where_nobody_can_click_the_questions_stand_before_the_runs(rb: Runbook, history: History) -> None:
    wait = asks(rb, history, MAIL, QUARTER, at=utc_now() - timedelta(hours=5.5))
    html = Console(rb, timedelta(hours=24)).static_html()
    assert html.index("Which quarter?") < html.index("rbc-row rbc-heading")
    page = seen(html)
    assert f"1 run waits for an answer {wait.session_id} , wait 1: asked 5 h ago, expires in 18 h" in page
    assert "runbook answer --file" in page
    assert static_questions(OpenWaits([]), utc_now()) == ""


def test_what_an_agent_asks_is_text_and_no_formula(rb: Runbook, history: History) -> None:
    asks(rb, history, replace(MAIL, text=EVIL, tool=EVIL))
    html = static_questions(rb.waiting(), utc_now())
    assert "<img" not in html
    assert "\u202e" not in html
    assert "$" not in typeset(html)
