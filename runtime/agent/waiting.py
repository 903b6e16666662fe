"""A run that waits for a person: what was answered before this segment, and the wait that ends it.

`asking.py` has what a single step asks, `runtime/journal/waits.py` the records.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any, TypeVar

from runtime.agent.attempt import Attempt, Waiting
from runtime.agent.definition import Workflow
from runtime.agent.errors import AnswersUnreadable, TooManyWaits, TurnUnreadable
from runtime.agent.step_journal import persistently
from runtime.agent.turns import TurnStore
from runtime.journal.keys import questions_key
from runtime.journal.timestamps import to_timestamp
from runtime.journal.waits import (
    MAX_QUESTIONS,
    Answer,
    Question,
    Wait,
    parsed_answers,
    questions_digest,
    serialized_questions,
    shown_questions,
)

T = TypeVar("T")


class Waits:
    """The waits before and after one attempt's segment.

    :param max_waits: how often the run may wait
    :param answer_seconds: how long a person has to answer
    """

    def __init__(
        self, attempt: Attempt, turns: TurnStore, workflow: Workflow, max_waits: int, answer_seconds: float
    ) -> None:
        self._attempt = attempt
        self._turns = turns
        self._steps = [step.name for step in workflow.steps]
        self._max_waits = max_waits
        self._answer_seconds = answer_seconds

    async def answers(self) -> Mapping[Question, Answer]:
        """Return what a person has answered to the wait before this segment.

        :raises AnswersUnreadable: if the questions can't be read, or these are no answers to them
        """
        answered = self._attempt.job.segment.answered
        if answered is None:
            return {}
        try:
            questions = await self._blocking(self._turns.questions, answered.key)
            return _matched(questions, answered.answers)
        except (TurnUnreadable, ValueError) as error:
            raise AnswersUnreadable(answered.wait, str(error)) from error

    def check(self, step: str) -> None:
        """Check that the run may wait for what a step asks.

        :raises TooManyWaits: if it may not
        """
        wait = self._attempt.job.segment.wait
        if wait is None or wait > self._max_waits:
            raise TooManyWaits(step, (wait or 1) - 1, self._max_waits)

    async def begin(self, questions: Sequence[Question]) -> Waiting:
        """Store what is asked, as much as one wait may ask, and return the wait. The rest is asked by the next one."""
        job, clock = self._attempt.job, self._attempt.clock
        asked = sorted(questions, key=self._order)[:MAX_QUESTIONS]
        number, now = job.segment.wait or 1, clock.now()
        key, content = questions_key(job.session_id, number, job.attempt), serialized_questions(asked)
        await self._blocking(self._turns.put, key, content)
        wait = Wait(
            session_id=job.session_id,
            number=number,
            created_at=now,
            until=now + timedelta(seconds=self._answer_seconds),
            seconds_left=round(max(0.0, job.seconds_left - clock.elapsed()), 3),
            digest=questions_digest(content),
            key=key,
            count=len(asked),
        )
        shown = {"wait": number, "until": to_timestamp(wait.until), "questions": shown_questions(asked)}
        return Waiting(wait, shown)

    def _order(self, question: Question) -> tuple[int, int, int, int]:
        item = -1 if question.item is None else question.item
        return self._steps.index(question.step), item, question.turn, question.call

    async def _blocking(self, function: Callable[..., T], *args: Any) -> T:
        return await persistently(self._attempt.lease_seconds, function, *args)


def _matched(questions: Sequence[Question], text: str) -> Mapping[Question, Answer]:
    answers = parsed_answers(text, len(questions))
    if len(answers) != len(questions):
        raise ValueError(f"there are {len(answers)} answers to {len(questions)} questions")
    return dict(zip(questions, answers, strict=True))
