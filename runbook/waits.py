"""What a run has waited for, as its events tell: which questions, until when, who answered."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from runbook.labels import who
from runbook.tables import shortened
from runtime.journal.records import Event
from runtime.journal.timestamps import from_timestamp, to_timestamp
from runtime.journal.vocabulary import Status
from runtime.journal.waits import Wants

EXPIRED = "nobody: expired"
"""Who answered questions that nobody has answered in time."""


@dataclass(frozen=True, slots=True)
class WaitStory:
    """One wait of a run.

    :ivar asked: the event that it began with, of the attempt that asked
    :ivar answered: the event of its answers, or of its expiry; None while there is neither
    """

    asked: Event
    answered: Event | None

    @property
    def number(self) -> int:
        """1 for the run's first wait, 2, …"""
        return int(_detail(self.asked)["wait"])

    @property
    def attempt(self) -> int:
        """The attempt that asked, and ended with it."""
        return self.asked.attempt or 0

    @property
    def until(self) -> datetime:
        """When the questions expire."""
        return from_timestamp(_detail(self.asked)["until"])

    @property
    def turn(self) -> timedelta:
        """How long the state machine may take to notice an answer whose wake-up is lost, or that nobody answers."""
        whole = self.until - self.asked.created_at
        return min(whole, max(timedelta(minutes=10), whole / 24))

    @property
    def questions(self) -> list[Mapping[str, Any]]:
        """What was asked, as events show it."""
        return list(_detail(self.asked).get("questions") or ())

    @property
    def is_expired(self) -> bool:
        """Whether nobody has answered in time."""
        return self.answered is not None and bool(_detail(self.answered).get("expired"))

    @property
    def by(self) -> str:
        """The name of who answered, `nobody: expired`, or an empty text while there is no answer."""
        if self.answered is None:
            return ""
        return EXPIRED if self.is_expired else who(str(_detail(self.answered).get("by", "")))

    def asked_of(self, step: str, item: int | None) -> list[str]:
        """Return what a step, or an item, has asked, each on one line."""
        return [
            shown_question(question)
            for question in self.questions
            if (question.get("step"), question.get("item")) == (step, item)
        ]

    def as_json(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {
            "wait": self.number,
            "attempt": self.asked.attempt,
            "began": to_timestamp(self.asked.created_at),
            "until": to_timestamp(self.until),
            "answered": to_timestamp(self.answered.created_at) if self.answered else None,
            "by": _detail(self.answered).get("by") if self.answered else None,
            "expired": self.is_expired,
        }


def waits(events: Iterable[Event]) -> list[WaitStory]:
    """Return what a run has waited for, in order.

    :param events: in the order of their times; an answer's clock may be behind its question's
    """
    found = list(events)
    answers = {_detail(event).get("wait"): event for event in found if event.status == Status.RUN_ANSWERED}
    asked = (event for event in found if event.status == Status.RUN_WAITING)
    return [WaitStory(event, answers.get(_detail(event).get("wait"))) for event in asked]


def shown_question(question: Mapping[str, Any]) -> str:
    """Return a question on one line: its text, or the call that needs a yes."""
    text = shortened(str(question.get("text", "")))
    return text if question.get("wants") == Wants.TEXT else f"{question.get('tool')}({text})"


def _detail(event: Event) -> Mapping[str, Any]:
    return event.detail or {}
