"""A segment of a run: from its start, or from a person's answer, to its next wait. Only runs that can wait send one."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from runtime.contract.errors import InvalidRequest
from runtime.contract.fields import described, object_of, whole_number

MAX_ATTEMPTS = 10
"""The most that a stack can allow a segment."""
MAX_WAITS = 10
"""The most that a stack can allow a run."""
OPTIONAL = "null or an object"


@dataclass(frozen=True, slots=True)
class AnsweredQuestions:
    """What a person has answered to the wait before this segment.

    :ivar wait: its number
    :ivar key: of the object that has the questions
    :ivar answers: as they were stored, see :func:`runtime.journal.waits.parsed_answers`
    """

    wait: int
    key: str
    answers: str


@dataclass(frozen=True, slots=True)
class Segment:
    """Which attempts may work on a part of a run, and what comes before and after it.

    :ivar last_attempt: the last one that it may use; attempts are counted over the whole run
    :ivar wait: the number of the wait that would end it; None for a run that can't wait
    :ivar answered: None for the run's first segment
    """

    last_attempt: int
    wait: int | None = None
    answered: AnsweredQuestions | None = None


def segment_payload(last_attempt: Any, wait: Any, answered: Any) -> dict[str, Any]:
    """Return a segment as it is sent; the state machine's values are expressions."""
    return {"lastAttempt": last_attempt, "wait": wait, "answered": answered}


def answered_payload(wait: Any, key: Any, answers: Any) -> dict[str, Any]:
    """Return the answers to a wait as they are sent; the state machine's values are expressions."""
    return {"wait": wait, "key": key, "answers": answers}


def parse_segment(payload: Mapping[str, Any], max_attempts: int) -> Segment:
    """Return the segment of a start or a job; without one the run can't wait.

    :param max_attempts: the last attempt of a run that can't wait
    :raises InvalidRequest: if one of its fields is not what it has to be
    """
    if payload.get("segment") is None:
        return Segment(max_attempts)
    fields = object_of(payload["segment"], "segment", OPTIONAL)
    answered = fields.get("answered")
    return Segment(
        last_attempt=whole_number(fields, "lastAttempt", MAX_ATTEMPTS * (MAX_WAITS + 1)),
        # A run that has used up its waits comes with the number of one more, which it may not begin.
        wait=whole_number(fields, "wait", MAX_WAITS + 1),
        answered=None if answered is None else _answered(object_of(answered, "segment.answered", OPTIONAL)),
    )


def _answered(fields: Mapping[str, Any]) -> AnsweredQuestions:
    for name in ("key", "answers"):
        if not isinstance(fields.get(name), str):
            raise InvalidRequest(f"segment.answered.{name}", described(fields.get(name)), "a text")
    return AnsweredQuestions(whole_number(fields, "wait", MAX_WAITS), fields["key"], fields["answers"])
