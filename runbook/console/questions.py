"""What runs ask people, as widgets: each with its questions in full, and buttons to answer them, which ask first."""

from collections.abc import Callable, Sequence

import ipywidgets as w

from runbook import labels
from runbook.answering import OpenWait, OpenWaits
from runbook.console.buttons import button
from runbook.console.confirmation import Confirmation
from runbook.console.html import block, text
from runbook.console.questions_page import question, questions_heading
from runbook.errors import QuestionsUnreadable
from runtime.contract.errors import InvalidRequest
from runtime.journal.timestamps import utc_now
from runtime.journal.waits import Answer, Wants, shown_answers

OnAnswer = Callable[[OpenWait, Sequence[Answer]], None]


class Questions:
    """Shows open waits.

    :param stack: what the confirmations name
    :param on_answer: told what was answered
    """

    def __init__(self, stack: str, on_answer: OnAnswer) -> None:
        self._stack = stack
        self._on_answer = on_answer
        self._asked: dict[tuple[str, int], _Asked] = {}
        self.widget = w.VBox(layout=w.Layout(width="100%", margin="0"))

    def __len__(self) -> int:
        return len(self._asked)

    def show(self, found: OpenWaits) -> None:
        """Show these; what somebody types into one that is still there stays."""
        before, self._asked = self._asked, {}
        for asked in found:
            place = asked.session_id, asked.number
            self._asked[place] = before.get(place) or _Asked(self._stack, self._on_answer)
            self._asked[place].show(asked)
        heading = [w.HTML(questions_heading(found))] if found else []
        self.widget.children = [*heading, *(asked.widget for asked in self._asked.values())]

    def allow(self) -> None:
        """Offer to answer those that were not taken away."""
        for asked in self._asked.values():
            asked.allow(True)


class _Asked:
    """One open wait on the screen."""

    def __init__(self, stack: str, on_answer: OnAnswer) -> None:
        self._stack, self._on_answer = stack, on_answer
        full = w.Layout(width="100%", margin="0")
        self._html = w.HTML(layout=full)
        self._html.add_class("rbc-full")
        self._text = w.Textarea(placeholder="the answer, or a reason", rows=2, layout=w.Layout(width="60%"))
        self._text.tooltip = "The answer, or a reason"
        self._yes = button("Approve …", lambda: self._ask(True), "110px", icon="check")
        self._no = button("Deny …", lambda: self._ask(False), "110px", icon="times")
        self._refused = w.HTML(layout=full)
        self._confirmation = Confirmation()
        buttons = w.HBox([self._yes, self._no])
        self.widget = w.VBox([self._html, self._text, buttons, self._refused, self._confirmation.widget], layout=full)

    def show(self, asked: OpenWait) -> None:
        """Show a wait, which for one of these is always the same."""
        self._open = asked
        self._html.value = question(asked, utc_now())
        wants_text = all(each.wants is Wants.TEXT for each in asked.questions)
        self._word = "answer" if wants_text else "approve"
        self._yes.description = f"{self._word.capitalize()} …"
        self.allow(True)

    def allow(self, allowed: bool) -> None:
        """Offer to answer, or don't."""
        self._yes.disabled = self._no.disabled = not allowed or self._open.problem is not None

    def _ask(self, approved: bool) -> None:
        asked = self._open
        answers = asked.answers(approved, self._text.value)
        try:
            asked.check(answers)
        except (InvalidRequest, QuestionsUnreadable) as refusal:
            self._refused.value = block(f'<p class="rbc-error">{text(refusal)}</p>')
            return
        self._refused.value = ""

        def answer() -> None:
            self.allow(False)
            self._on_answer(asked, answers)

        self._confirmation.ask(
            f"Answer wait {asked.number} of run {asked.session_id[:8]} of stack {self._stack}: "
            f"{labels.answers(shown_answers(answers, asked.questions))}? It can't be taken back.",
            f"Yes, {self._word if approved else 'deny'}",
            answer,
        )
