"""The console as widgets: what is clicked becomes a call in a thread, and its answer a page. Asks nothing by itself.

All widgets are ipywidgets' own, which come with JupyterLab's extension and load nothing. Two of their traits hold HTML
or formulas and are given escaped text only: `HTML.value` and descriptions.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any, TypeVar

import ipywidgets as w
from botocore.exceptions import BotoCoreError, ClientError

from runbook.answering import OpenWait, OpenWaits
from runbook.console.details import RunDetails, look_closely
from runbook.console.html import block, style, text
from runbook.console.listing import Listing
from runbook.console.overview import Overview, look
from runbook.console.overview_page import headline
from runbook.console.questions import Questions
from runbook.console.refreshing import Refreshing
from runbook.console.run_view import RunView
from runbook.console.spending import Spending
from runbook.errors import RunbookError, RunNotFound, ToolsMayRunAgain, sentence
from runbook.runbook import Runbook
from runtime.contract.errors import InvalidRequest
from runtime.journal.errors import JournalError
from runtime.journal.timestamps import utc_now
from runtime.journal.waits import Answer

T = TypeVar("T")
LOOKING_FOR_QUESTIONS = "Looking for questions"
CALL_SECONDS = 90.0
"""Longer than any call of the runbook should take, retries included; whoever waits is told then."""
QUESTIONS_SECONDS = 30.0
"""How often questions are looked for: a look reads a month's waits and each question, the list only its own days."""
EXPECTED = (RunbookError, InvalidRequest, JournalError, ClientError, BotoCoreError)


class Widgets:
    """The widgets of one console.

    :param overview: what is shown first
    """

    def __init__(self, runbook: Runbook, span: timedelta, overview: Overview) -> None:
        self._runbook = runbook
        self._span = span
        self._overview = overview
        self._opened = ""
        self._details: RunDetails | None = None
        self._spending = Spending(runbook)
        self._letters: int | None = None
        self._spent: Any = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._busy: list[str] = []
        self._refreshing = Refreshing(self._look_again, self._can_change, self._stopped)
        self._make()

    def _make(self) -> None:
        self._headline = w.HTML()
        self._state = w.HTML()
        self._listing = Listing(self.open, self._refresh, self._set_span, self._span)
        self._run_view = RunView(self._overview.stack, self.close, self._retry, self._cancel)
        self._questions = Questions(self._overview.stack, self._answer)
        self._questions_due = 0.0
        self._front = [self._questions.widget, self._listing.widget]
        self._body = w.VBox(self._front)
        self._page = w.VBox([w.HTML(style()), self._headline, self._state, self._body])
        self._page.add_class("rbc-page")
        # From 0 on the frontend counts where it is shown: nowhere any more once the output is gone.
        self._page._view_count = 0
        self._page.observe(self._seen, "_view_count")
        self._show_overview()

    def view(self) -> dict[str, Any]:
        """Return what a frontend shows."""
        bundle: Any = self._page._repr_mimebundle_()  # pyrefly: ignore[protected-access]
        return dict(bundle)

    # -- what is clicked

    def open(self, session_id: str) -> None:
        """Show a run."""
        self._opened, self._details = session_id, None
        self._run_view.begin(session_id)
        self._body.children = [self._run_view.widget]
        self._run_view.focus()
        self._do(f"Opening {session_id[:8]}", lambda: self._closely(session_id), self._show_run)

    def close(self) -> None:
        """Show the list again."""
        left, self._opened = self._opened, ""
        self._body.children = self._front
        self._listing.focus(left)
        self._refresh()

    def _refresh(self) -> None:
        if self._opened:
            opened = self._opened
            self._do("Looking again", lambda: self._closely(opened), self._show_run)
        else:
            self._do("Looking again", self._list, self._take_overview)
            self._count()

    def _set_span(self, span: timedelta) -> None:
        self._span, self._spent = span, None
        self._refresh()

    def _retry(self, session_id: str, again: bool) -> None:
        def retried() -> str | ToolsMayRunAgain:
            try:
                return self._runbook.retry(session_id, again=again)
            except ToolsMayRunAgain as refusal:
                return refusal

        def begun(new: str | ToolsMayRunAgain) -> None:
            if isinstance(new, str):
                self.open(new)
            else:
                self._run_view.ask_again(session_id, sentence(new))

        self._do("Starting it again", retried, begun)

    def _cancel(self, session_id: str, reason: str) -> None:
        def cancelled(done: Any) -> None:
            if done.stop_error:
                self._run_view.say(f"Cancelled. Its agent stops at its next write: {done.stop_error}")
            self._refresh()

        self._do("Cancelling it", lambda: self._runbook.cancel(session_id, reason), cancelled)

    def _answer(self, asked: OpenWait, answers: Sequence[Answer]) -> None:
        def answered(_done: Any) -> None:
            self._refresh()

        self._do(f"Answering run {asked.session_id[:8]}", lambda: self._runbook.answer(asked, answers), answered)

    # -- calls, in threads

    def _do(self, what: str, call: Callable[[], T], then: Callable[[T], None], *, is_action: bool = True) -> None:
        """Make a call without holding up the kernel, show that it goes on, then pass its answer on."""
        self._begin(what)
        task = asyncio.get_running_loop().create_task(self._doing(what, call, then, is_action=is_action))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _begin(self, what: str) -> None:
        self._busy.append(what)
        self._show_state()

    async def _doing(self, what: str, call: Callable[[], T], then: Callable[[T], None], *, is_action: bool) -> None:
        failed = ""
        try:
            then(await asyncio.wait_for(asyncio.to_thread(call), CALL_SECONDS))
        except TimeoutError:
            failed = f"{what}: no answer after {CALL_SECONDS:g} s"
        except EXPECTED as error:
            failed = str(error)
        finally:
            self._busy.remove(what)
            self._run_view.allow(self._details)
            self._questions.allow()
            self._show_state(failed)
        if is_action:
            self._refreshing.start()

    def _closely(self, session_id: str) -> tuple[str, RunDetails | None]:
        try:
            return session_id, look_closely(self._runbook, session_id, self._overview.stack)
        except RunNotFound:
            # One that was only just started.
            return session_id, None

    def _list(self) -> Overview:
        return look(self._runbook, utc_now() - self._span)

    def _count(self) -> None:
        rows = self._overview.rows
        self._do(LOOKING_FOR_QUESTIONS, self._look_for_questions, self._questions.show, is_action=False)
        self._do(
            "Counting dead letters", lambda: len(self._runbook.dead_letters()), self._take_letters, is_action=False
        )
        self._do("Adding up costs", lambda: self._spending.of(rows), self._take_spent, is_action=False)

    def _look_for_questions(self) -> OpenWaits:
        self._questions_due = time.monotonic() + QUESTIONS_SECONDS
        return self._runbook.waiting()

    # -- what is shown

    def _take_overview(self, overview: Overview) -> None:
        self._overview = overview
        self._show_overview()

    def _take_letters(self, letters: int) -> None:
        self._letters = letters
        self._show_overview()

    def _take_spent(self, spent: Any) -> None:
        self._spent = spent
        self._show_overview()

    def _show_overview(self) -> None:
        self._headline.value = headline(self._overview, self._letters, self._spent)
        self._listing.show(self._overview)

    def _show_run(self, found: tuple[str, RunDetails | None]) -> None:
        session_id, details = found
        if session_id == self._opened:
            self._details = details
            self._run_view.show(details)

    def _show_state(self, failed: str = "") -> None:
        if self._busy:
            content = f'<span class="rbc-busy">{text(self._busy[-1])} …</span>'
        else:
            at = self._details.as_of if self._opened and self._details else self._overview.as_of
            idle = "this run has ended" if self._opened else "nothing is open"
            more = "refreshes itself while a run is open" if self._can_change() else idle
            content = f"As of {at:%H:%M:%S} UTC; {more}."
        error = f'<p class="rbc-error">{text(failed)}</p>' if failed else ""
        self._state.value = block(error + content)

    # -- looking again

    def _can_change(self) -> bool:
        if self._opened:
            return self._details is None or self._details.row.is_open
        return self._overview.open > 0 or len(self._questions) > 0

    async def _look_again(self) -> None:
        if self._busy:
            return
        opened = self._opened
        self._begin("Looking again")
        if opened:
            await self._doing("Looking again", lambda: self._closely(opened), self._show_run, is_action=False)
        else:
            await self._doing("Looking again", self._list, self._take_overview, is_action=False)
            if time.monotonic() > self._questions_due:
                self._begin(LOOKING_FOR_QUESTIONS)
                show = self._questions.show
                await self._doing(LOOKING_FOR_QUESTIONS, self._look_for_questions, show, is_action=False)

    def _stopped(self, why: str) -> None:
        self._state.value = block(
            f"As of {utc_now():%H:%M:%S} UTC. Not refreshed any more: {text(why)}. Refresh to go on."
        )

    def _seen(self, change: Any) -> None:
        if not change["new"]:
            self._refreshing.stop()
        elif not change["old"]:
            self._count()
            self._refreshing.start()
