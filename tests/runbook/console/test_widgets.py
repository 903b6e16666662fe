"""The console's widgets without a browser: what a click asks, what it shows meanwhile, and what it does not do."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any
from unittest.mock import Mock

import ipywidgets
import pytest

from runbook.console import widgets
from runbook.console.overview import look
from runbook.console.widgets import Widgets
from runbook.errors import NothingToRetry, ToolsMayRunAgain
from runbook.runbook import Runbook
from runtime.journal.timestamps import utc_now
from runtime.journal.vocabulary import Status
from tests.runbook.history import History

HOUR = timedelta(hours=1)


@pytest.fixture(autouse=True)
def without_executions(rb: Runbook, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Step Functions has forgotten everything, and no widget stays."""
    monkeypatch.setattr(rb, "_execution_if_known", {}.get)
    monkeypatch.setattr(rb, "model_id", str)
    monkeypatch.setattr(rb, "dead_letters", list)
    yield
    ipywidgets.Widget.close_all()


@pytest.fixture
def failed(history: History) -> str:
    """A run that failed an hour ago."""
    session_id = history.claim(utc_now() - HOUR)
    history.close(session_id, Status.SESSION_FAILED, utc_now() - HOUR, error_type="AgentLost", error_message="gone")
    return session_id


def console(rb: Runbook) -> Widgets:
    """The widgets of the last day."""
    return Widgets(rb, 24 * HOUR, look(rb, utc_now() - 24 * HOUR))


def every(widget: Any) -> Iterator[Any]:
    """A widget and all that are in it."""
    yield widget
    for child in getattr(widget, "children", ()):
        yield from every(child)


def button(shown: Widgets, description: str) -> Any:
    """The button of that description."""
    return next(each for each in every(shown._page) if description in getattr(each, "description", ""))


async def retrying(rb: Runbook, session_id: str) -> Widgets:
    """Open a run's page and ask for a retry, which then is to be confirmed."""
    shown = console(rb)
    shown.open(session_id)
    await until(lambda: not button(shown, "Retry").disabled)
    button(shown, "Retry").click()
    return shown


def text(shown: Widgets) -> str:
    """All that is shown as HTML."""
    return "".join(each.value for each in every(shown._page) if isinstance(each, ipywidgets.HTML))


async def until(condition: Callable[[], object]) -> None:
    """Wait for a condition, and let the kernel's loop work meanwhile."""
    give_up = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < give_up
        await asyncio.sleep(0.005)


def test_a_retry_is_asked_for_with_the_stack_s_name_and_done_once(
    rb: Runbook, failed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    retry = Mock(return_value=failed)
    monkeypatch.setattr(rb, "retry", retry)

    async def scenario() -> None:
        shown = console(rb)
        button(shown, f"Open failed run {failed[:8]}").click()
        await until(lambda: not button(shown, "Retry").disabled)
        button(shown, "Retry").click()
        assert f"again in stack {rb.outputs.event_source} in " in text(shown)
        retry.assert_not_called()
        yes = button(shown, "Yes, retry")
        yes.click()
        yes.click()
        await until(lambda: not shown._busy)
        retry.assert_called_once_with(failed, again=False)

    asyncio.run(scenario())


def test_no_means_no(rb: Runbook, failed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    retry = Mock()
    monkeypatch.setattr(rb, "retry", retry)

    async def scenario() -> None:
        shown = await retrying(rb, failed)
        yes = button(shown, "Yes, retry")
        button(shown, "No").click()
        yes.click()
        await asyncio.sleep(0)
        retry.assert_not_called()

    asyncio.run(scenario())


def test_a_retry_that_may_do_again_what_must_not_happen_twice_is_asked_for_once_more(
    rb: Runbook, failed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    claims = [{"step": "mailer", "item": 2, "tool": "send_mail", "input": "{}"}]
    retry = Mock(side_effect=[ToolsMayRunAgain(failed, claims), failed])
    monkeypatch.setattr(rb, "retry", retry)

    async def scenario() -> None:
        shown = await retrying(rb, failed)
        button(shown, "Yes, retry").click()
        await until(lambda: "mailer [2] send_mail({})" in text(shown))
        button(shown, "Yes, retry all the same").click()
        await until(lambda: retry.call_count == 2)
        assert [call.kwargs["again"] for call in retry.call_args_list] == [False, True]

    asyncio.run(scenario())


def test_a_refusal_is_a_sentence(rb: Runbook, failed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rb, "retry", Mock(side_effect=NothingToRetry(failed)))

    async def scenario() -> None:
        shown = await retrying(rb, failed)
        button(shown, "Yes, retry").click()
        await until(lambda: not shown._busy)
        assert f"run {failed} completed: to do it once more" in text(shown)
        assert not button(shown, "Retry").disabled

    asyncio.run(scenario())


def test_a_slow_stack_holds_nothing_up_and_is_seen_to_be_asked(
    rb: Runbook, failed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    answered, asked_on = threading.Event(), list[threading.Thread]()
    summary = rb.summary

    def slow(session_id: str) -> object:
        asked_on.append(threading.current_thread())
        answered.wait(10)
        return summary(session_id)

    monkeypatch.setattr(rb, "summary", slow)

    async def scenario() -> None:
        shown = console(rb)
        shown.open(failed)
        await until(lambda: asked_on)
        assert "rbc-busy" in text(shown)
        assert f"Opening {failed[:8]} …" in text(shown)
        answered.set()
        await until(lambda: not shown._busy)
        assert "AgentLost: gone" in text(shown)
        assert threading.main_thread() not in asked_on

    asyncio.run(scenario())


def test_a_stack_that_never_answers_is_given_up(rb: Runbook, failed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(widgets, "CALL_SECONDS", 0.05)
    stop = threading.Event()
    monkeypatch.setattr(rb, "summary", lambda _session_id: stop.wait(10))  # pyrefly: ignore[implicit-any-lambda]

    async def scenario() -> None:
        shown = console(rb)
        shown.open(failed)
        await until(lambda: "no answer after 0.05 s" in text(shown))
        stop.set()

    asyncio.run(scenario())


def test_a_run_that_was_just_started_is_waited_for(rb: Runbook, failed: str, history: History) -> None:
    async def scenario() -> None:
        shown = console(rb)
        shown.open("0" * 36)
        await until(lambda: not shown._busy)
        assert "The journal has nothing of this run yet" in text(shown)
        assert shown._refreshing.is_running
        shown._refreshing.stop()

    asyncio.run(scenario())


def test_refreshing_goes_with_the_output(rb: Runbook, history: History) -> None:
    history.claim(utc_now())

    async def scenario() -> None:
        shown = console(rb)
        shown._page._view_count = 1
        assert shown._refreshing.is_running
        shown._page._view_count = 0
        assert not shown._refreshing.is_running
        await until(lambda: not shown._busy)

    asyncio.run(scenario())


def test_a_list_is_turned_page_by_page(rb: Runbook, history: History) -> None:
    for number in range(27):
        history.close(
            history.claim(utc_now() - HOUR - timedelta(seconds=number), request={"prompt": f"run {number} of all"}),
            Status.SESSION_FAILED,
            utc_now() - HOUR,
        )

    async def scenario() -> None:
        shown = console(rb)
        assert "1 to 25 of 27, newest first" in text(shown)
        assert "run 26 of all" not in text(shown)
        button(shown, "Older").click()
        assert "26 to 27 of 27" in text(shown)
        assert "run 26 of all" in text(shown)
        shown._listing._text.value = "run 3 of"
        assert "1 to 1 of 1" in text(shown)

    asyncio.run(scenario())
