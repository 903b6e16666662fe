"""What a run asks a person, and what it is told: the wait, its questions, their answers.

A wait is a record of the run's partition, its questions an object in the bucket, its answers a record of a partition of
their own: `dynamodb:LeadingKeys` keeps the agent's role from that one, or code inside an agent could approve itself.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from enum import StrEnum
from itertools import zip_longest
from typing import Any, cast

from runtime.journal.keys import answer_key, record_key, wait_sort_key
from runtime.journal.records import Event, Item, from_item
from runtime.journal.timestamps import from_timestamp, to_timestamp
from runtime.journal.wire import serialize

MAX_QUESTIONS = 20
"""Of one wait; what else is open is asked by the next one."""
SHOWN_CHARACTERS = 500
SHOWN_TOGETHER = 5000
"""Characters of all questions in one event, whose detail is 8 KB at most."""
MAX_ANSWERS_BYTES = 16 * 1024
"""Of one wait's answers as JSON: they travel through the state machine's variables and the agent's job."""


class Wants(StrEnum):
    """What would answer a question."""

    APPROVAL = "approval"
    """Yes or no, with a reason if there is one."""
    TEXT = "text"


@dataclass(frozen=True, slots=True)
class Question:
    """One call of a tool that waits for a person.

    :ivar item: the step's item, from 0; None for a step that runs once
    :ivar turn: which of the model's answers asked for the call (1, 2, …)
    :ivar call: its place among the calls of that answer, from 0
    :ivar text: what is asked: the question, or what the tool would be given as JSON
    """

    step: str
    item: int | None
    turn: int
    call: int
    tool: str
    wants: Wants
    text: str

    @property
    def place(self) -> tuple[str, int | None, int, int]:
        """What tells it from every other question of its run."""
        return self.step, self.item, self.turn, self.call


@dataclass(frozen=True, slots=True)
class Answer:
    """What a person said to one question.

    :ivar approved: whether the tool may run; for a question that wants text, whether there is one
    :ivar text: the text that was asked for, or why it was decided like this
    :ivar expired: nobody has said anything in time, which is a denial
    """

    approved: bool
    text: str = ""
    expired: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """A run that waits for a person: nothing of it runs meanwhile.

    :ivar number: 1 for the run's first wait, 2, …
    :ivar until: when its questions expire
    :ivar seconds_left: what is left of the run's time, which stands still
    :ivar digest: of the questions' object: an answer holds for these questions only
    :ivar key: of that object
    :ivar count: how many questions there are
    """

    session_id: str
    number: int
    created_at: datetime
    until: datetime
    seconds_left: float
    digest: str
    key: str
    count: int

    @classmethod
    def from_item(cls, item: Mapping[str, Any]) -> "Wait":
        """Return the wait of a record."""
        values = from_item(item)
        return cls(
            session_id=values["sessionId"],
            number=values["wait"],
            created_at=from_timestamp(values["createdAt"]),
            until=from_timestamp(values["until"]),
            seconds_left=values["secondsLeft"],
            digest=values["digest"],
            key=values["key"],
            count=values["count"],
        )

    def to_item(self, event: Event) -> Item:
        """Return the record of a wait that an event tells of; it is in the by-day index.

        :param event: `RUN_WAITING`
        """
        attributes = event.attributes()
        own = {
            "wait": self.number,
            "until": to_timestamp(self.until),
            "secondsLeft": self.seconds_left,
            "digest": self.digest,
            "key": self.key,
            "count": self.count,
            "day": attributes["createdAt"][:10],
        }
        record = record_key(self.session_id, wait_sort_key(self.number)) | {
            name: serialize(value) for name, value in (attributes | own).items()
        }
        # The questions are in the event.
        record.pop("detail", None)
        return record


@dataclass(frozen=True, slots=True, kw_only=True)
class AnsweredWait:
    """A wait's answers, one for each question in its order.

    :ivar by: who answered, as STS says it; empty where the questions expired
    """

    session_id: str
    number: int
    created_at: datetime
    by: str
    answers: tuple[Answer, ...]

    @classmethod
    def from_item(cls, item: Mapping[str, Any], count: int = 0) -> "AnsweredWait":
        """Return the answers of a record.

        :param count: how many questions there were, for answers that the state machine has written
        """
        values = from_item(item)
        return cls(
            session_id=values["sessionId"],
            number=values["wait"],
            created_at=from_timestamp(values["createdAt"]),
            by=values.get("by", ""),
            answers=parsed_answers(values["answers"], count),
        )

    def to_item(self, event: Event) -> Item:
        """Return the record of answers that an event, `RUN_ANSWERED`, tells of."""
        attributes = event.attributes()
        attributes.pop("detail", None)
        own = {"wait": self.number, "by": self.by, "answers": serialized_answers(self.answers)}
        return answer_key(self.session_id, self.number) | {
            name: serialize(value) for name, value in (attributes | own).items()
        }


EXPIRED = "expired"
"""What stands for the answers of a wait that has expired: the state machine doesn't count the questions."""


def serialized_answers(answers: Sequence[Answer]) -> str:
    """Return answers as they are stored and sent: JSON text."""
    return json.dumps([asdict(answer) for answer in answers], ensure_ascii=False, separators=(",", ":"))


def parsed_answers(text: str, count: int) -> tuple[Answer, ...]:
    """Return the answers of a text.

    :param count: how many questions there are
    :raises ValueError: if it holds no answers
    """
    if text == EXPIRED:
        return (Answer(approved=False, expired=True),) * count
    try:
        return tuple(Answer(**each) for each in json.loads(text))
    except (TypeError, RecursionError) as error:
        raise ValueError(f"these are no answers: {error}") from error


def serialized_questions(questions: Sequence[Question]) -> bytes:
    """Return the questions' object."""
    return json.dumps([asdict(question) for question in questions], ensure_ascii=False).encode("utf-8", "replace")


def parsed_questions(content: bytes) -> list[Question]:
    """Return the questions of an object.

    :raises ValueError: if it holds no questions
    """
    try:
        found = cast("list[dict[str, Any]]", json.loads(content))
        return [Question(**cast("Any", each | {"wants": Wants(each["wants"])})) for each in found]
    except (TypeError, LookupError, RecursionError) as error:
        raise ValueError(f"these are no questions: {error!r}") from error


def questions_digest(content: bytes) -> str:
    """Return what changes when a question does: 32 characters."""
    return hashlib.sha256(content).hexdigest()[:32]


def shown_questions(questions: Sequence[Question]) -> list[dict[str, Any]]:
    """Return questions as an event shows them: cut to 500 characters each, and to 5,000 together."""
    characters = _shown_characters(len(questions))
    return [
        {name: value for name, value in asdict(question).items() if value is not None}
        | {"text": question.text[:characters]}
        for question in questions
    ]


def shown_answers(answers: Sequence[Answer], questions: Sequence[Question] = ()) -> list[dict[str, Any]]:
    """Return answers as an event shows them, cut like questions.

    :param questions: what they answer, where that is known: what wanted text is marked then
    """
    characters = _shown_characters(len(answers))
    shown = [{"approved": answer.approved, "text": answer.text[:characters]} for answer in answers]
    wanted = [{"wants": str(each.wants)} if each.wants is Wants.TEXT else {} for each in questions]
    return [answer | wants for answer, wants in zip_longest(shown, wanted, fillvalue={})]


def _shown_characters(texts: int) -> int:
    return min(SHOWN_CHARACTERS, SHOWN_TOGETHER // max(1, texts))
