"""A run waits for a person when nothing of it can run any more, and goes on with what that one has said."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from runtime.agent.artifacts import Artifact, Usage
from runtime.agent.asking import Asked, ask
from runtime.agent.attempt import Waiting
from runtime.agent.definition import Step, Workflow
from runtime.agent.errors import AttemptOver
from runtime.agent.model import run_step
from runtime.agent.step_journal import StepJournal
from runtime.contract.segment import AnsweredQuestions, Segment
from runtime.journal.reader import JournalReader
from runtime.journal.waits import (
    EXPIRED,
    MAX_QUESTIONS,
    Answer,
    AnsweredWait,
    Wait,
    parsed_questions,
    questions_digest,
    serialized_answers,
)
from tests.runtime.agent.simulation import ANSWER_SECONDS, START, Simulation
from tests.support.faulty_dynamodb import LostAnswer, first, throttled
from tests.support.scripted_model import DeterministicModel, Turn, calls, says

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_s3 import S3Client

YES = Answer(approved=True, text="yes")
ATTEMPTS = 3
"""Of a segment."""


class SlowModel(DeterministicModel):
    """Takes its time."""

    seconds = 1.0
    called: Callable[[], None] = staticmethod(lambda: None)

    async def stream(self, messages: Any, *args: Any, **kwargs: Any) -> AsyncIterator[Any]:
        """Play the next turn."""
        self.called()
        await asyncio.sleep(self.seconds)
        async for event in super().stream(messages, *args, **kwargs):
            yield event


@dataclass
class AskingRun(Simulation):
    """A run of a plan, of what looks at its parts, and of a summary, with real agents and scripted models.

    :ivar scripts: what each part's model says
    :ivar asked: each call of a model, by step and item
    :ivar mails: what was sent, by the key of the call
    """

    scripts: list[list[Turn]] = field(default_factory=list[list[Turn]])
    seconds_of: dict[int, float] = field(default_factory=dict[int, float])
    asked: list[tuple[str, int | None]] = field(default_factory=list[tuple[str, "int | None"]])
    mails: list[str] = field(default_factory=list[str])
    woken: list[str] = field(default_factory=list[str])

    def __post_init__(self) -> None:
        super().__post_init__()

        async def send_mail(to: str) -> str:
            """Send a mail."""
            self.mails.append(to)
            return "sent"

        async def wake(session_id: str) -> None:
            self.woken.append(session_id)

        self.wake = wake
        self.max_waits = 3
        self.segment = Segment(ATTEMPTS, 1)
        plan = Step("plan", "planner.md", result=list[str])
        look = Step("look", "investigator.md", (send_mail, ask), each="plan", approve=("send_mail",))
        self.workflow = Workflow("parts", (plan, look, Step("sum", "summary.md")))

    def begins_with(self, *scripts: list[Turn]) -> None:
        """Let there be a plan with one part for each script."""
        self.scripts = [*scripts]
        text = json.dumps([str(number) for number in range(len(scripts))])
        self.artifacts.put(self.session_id, Artifact("plan", text, Usage(), extension="json"))

    async def run_step(self, step: Step, message: str, journal: StepJournal) -> Artifact | Asked:
        """Run the step's agent."""
        item = journal.place[2]
        model = SlowModel(*(self.scripts[item] if item is not None else [says("the report")]))
        model.seconds = self.seconds_of.get(item or 0, 1.0)
        model.called = lambda: self.asked.append((step.name, item))
        return await run_step(model.as_bedrock(), step, message, journal)

    def wait(self, number: int = 1) -> Wait:
        """Return a wait as it is recorded."""
        found = JournalReader(self.dynamodb, "journal").wait(self.session_id, number)
        assert found
        return found

    def questions(self, number: int = 1) -> list[Any]:
        """Return what a wait asks, and check that the record knows it."""
        wait = self.wait(number)
        content = self.s3.get_object(Bucket="artifacts", Key=wait.key)["Body"].read()
        assert questions_digest(content) == wait.digest
        found = parsed_questions(content)
        assert len(found) == wait.count
        return found

    def answer(self, *answers: Answer) -> None:
        """Answer the newest wait, and begin the next segment as the state machine does."""
        assert self.segment.wait
        wait, last = self.wait(self.segment.wait), self.segment.last_attempt
        answered = AnsweredWait(
            session_id=self.session_id, number=wait.number, created_at=START, by="ann", answers=answers
        )

        async def write() -> None:
            event = self.journal.stamp(self.session_id, "RUN_ANSWERED")
            self.journal.answer(event, wait, answered)

        self.run(write)
        text = serialized_answers(answers)
        self.segment = Segment(last + ATTEMPTS, wait.number + 1, AnsweredQuestions(wait.number, wait.key, text))


@pytest.fixture
def asking(dynamodb: "DynamoDBClient", s3: "S3Client", session_id: str) -> AskingRun:
    """A run without a plan."""
    return AskingRun(dynamodb, s3, session_id)


@pytest.fixture
def parts(asking: AskingRun) -> AskingRun:
    """A run with three parts: the first two ask, the third takes its time."""
    run = asking
    mails: list[list[Turn]] = [[calls("send_mail", to=name), says(f"told {name}")] for name in ("ann", "bob")]
    run.begins_with(*mails, [says("seen")])
    run.seconds_of = {2: 500.0}
    return run


def test_two_of_three_parts_ask_the_third_works_on_and_then_the_run_waits_once(parts: AskingRun) -> None:
    async def main() -> int:
        await parts.task().run()
        # Nothing of it is left in the process.
        return len(asyncio.all_tasks()) - 1

    assert parts.run(main) == 0
    assert parts.seconds == pytest.approx(500, abs=1)
    assert parts.statuses[-2:] == ["LOOK_COMPLETED", "RUN_WAITING"]
    assert parts.outcome is None
    assert [(question.item, question.text) for question in parts.questions()] == [
        (0, '{"to": "ann"}'),
        (1, '{"to": "bob"}'),
    ]
    event, wait = parts.events[-1], parts.wait()
    assert event.lease_expires_at == event.created_at
    assert wait.created_at == event.created_at
    assert (wait.until - wait.created_at).total_seconds() == pytest.approx(ANSWER_SECONDS, abs=0.5)
    assert wait.seconds_left == pytest.approx(3600 - 500, abs=1)
    assert [question["tool"] for question in (event.detail or {})["questions"]] == ["send_mail"] * 2
    assert (parts.woken, parts.mails) == ([parts.session_id], [])


def test_the_next_segment_goes_on_with_the_answers_and_repeats_nothing(parts: AskingRun) -> None:
    parts.run_task()
    parts.answer(YES, Answer(approved=False, text="not him"))
    parts.run_task(4)
    assert parts.statuses[-1] == "COMPLETED"
    assert parts.mails == ["ann"]
    looks = [("look", 0), ("look", 1)]
    assert sorted(parts.asked[:3]) == [*looks, ("look", 2)]
    assert (sorted(parts.asked[3:5]), parts.asked[5:]) == (looks, [("sum", None)])
    # All six answers of models, over the wait.
    assert parts.detail("_TASK_COMPLETED")["tokens"] == {"inputTokens": 60, "outputTokens": 30}


def test_an_attempt_that_is_lost_after_the_answer_is_followed_by_one_with_the_same_answers(parts: AskingRun) -> None:
    parts.run_task()
    parts.answer(YES, YES)

    async def dies() -> None:
        task = asyncio.create_task(parts.task(4).run())
        await asyncio.sleep(0.5)
        task.cancel()
        await asyncio.wait({task})

    parts.run(dies)
    parts.run_task(5)
    assert parts.statuses[-1] == "COMPLETED"
    assert sorted(parts.mails) == ["ann", "bob"]


def test_an_expired_wait_is_a_denial_of_all_it_asked(parts: AskingRun) -> None:
    parts.run_task()
    parts.answer(YES, YES)
    assert parts.segment.answered
    parts.segment = Segment(6, 2, AnsweredQuestions(1, parts.segment.answered.key, EXPIRED))
    parts.run_task(4)
    assert (parts.statuses[-1], parts.mails) == ("COMPLETED", [])


@pytest.mark.slow
def test_more_questions_than_a_wait_takes_are_asked_by_the_next_one(asking: AskingRun) -> None:
    parts = asking
    parts.parallel_steps = 8
    parts.begins_with(*([calls("ask", question=f"{number}?"), says("done")] for number in range(21)))
    parts.run_task()
    assert [question.item for question in parts.questions()] == [*range(MAX_QUESTIONS)]
    parts.answer(*[YES] * MAX_QUESTIONS)
    parts.run_task(4)
    [left] = parts.questions(2)
    assert (left.item, parts.statuses[-1]) == (20, "RUN_WAITING")
    # Who still waits has called no model since.
    assert parts.asked.count(("look", 20)) == 1
    parts.answer(YES)
    parts.run_task(7)
    assert parts.statuses[-1] == "COMPLETED"


@pytest.mark.parametrize(
    ("segment", "waited"),
    [(Segment(3), "0 times: maxWaits allows 3"), (Segment(3, 4), "3 times: maxWaits allows 3")],
)
def test_a_run_that_may_not_wait_any_more_fails_when_a_step_asks(
    segment: Segment, waited: str, parts: AskingRun
) -> None:
    parts.segment = segment
    if segment.wait:
        parts.dynamodb.put_item(TableName="journal", Item=_answer_record(parts.session_id, segment.wait - 1))
    parts.run_task()
    assert parts.outcome
    said = f"step look asks a person, and this run has waited {waited}"
    assert (parts.outcome.error_type, parts.outcome.error_message) == ("TooManyWaits", said)
    assert "LOOK_FAILED" in parts.statuses
    assert "RUN_WAITING" not in parts.statuses


def _answer_record(session_id: str, wait: int) -> Any:
    return {"PK": {"S": f"ANSWERS#{session_id}"}, "SK": {"S": f"{wait:02}"}}


def test_a_failure_beside_a_question_fails_the_run(parts: AskingRun) -> None:
    parts.scripts[2] = [says("")]
    parts.run_task()
    assert parts.outcome
    assert parts.outcome.error_type == "EmptyAnswer"
    assert "RUN_WAITING" not in parts.statuses


def test_the_deadline_may_come_while_some_wait_and_others_run(parts: AskingRun) -> None:
    parts.deadline_seconds = 300
    parts.run_task()
    assert parts.outcome
    assert parts.outcome.error_type == "RunTimedOut"
    assert "step look (3 of 3) was running" in str(parts.outcome.error_message)


@pytest.mark.parametrize("fault", [LostAnswer, throttled])
def test_a_wait_is_written_once_whatever_the_table_answers(fault: Any, parts: AskingRun) -> None:
    parts.blocking_seconds = 0.5
    parts.table.decide = first(2, fault, of="RUN_WAITING")
    parts.run_task()
    assert parts.statuses.count("RUN_WAITING") == 1
    assert parts.wait().created_at == parts.events[-1].created_at
    assert parts.woken == [parts.session_id]


def test_an_attempt_that_is_lost_as_it_would_wait_is_followed_by_one_that_asks_the_same(parts: AskingRun) -> None:
    parts.table.decide = first(1000, throttled, of="RUN_WAITING")
    parts.run_task()
    assert "RUN_WAITING" not in parts.statuses
    assert parts.woken == []
    parts.table.decide = lambda _: None
    parts.run_task(2)
    assert parts.wait().key.endswith("wait-01-002.json")
    assert [question.text for question in parts.questions()] == ['{"to": "ann"}', '{"to": "bob"}']
    assert len(parts.asked) == 3


def test_a_run_that_is_cancelled_as_it_would_wait_does_not(parts: AskingRun) -> None:
    def close(status: str) -> None:
        if status == "RUN_WAITING":
            parts.table.decide = lambda _: None
            parts.journal.close(parts.journal.stamp(parts.session_id, "SESSION_CANCELLED"))

    parts.table.decide = close
    parts.run_task()
    assert parts.statuses[-1] == "SESSION_CANCELLED"
    assert JournalReader(parts.dynamodb, "journal").newest_wait(parts.session_id) is None


def test_nothing_takes_the_lease_again_that_a_wait_has_given_back(parts: AskingRun) -> None:
    async def main() -> None:
        attempt = parts.attempt()
        await attempt.claim()
        now = parts.now()
        wait = Wait(
            session_id=parts.session_id,
            number=1,
            created_at=now,
            until=now + timedelta(hours=1),
            seconds_left=1.0,
            digest="0",
            key="k",
            count=1,
        )
        await attempt.wait_for_answer(Waiting(wait, {"wait": 1}))
        tried = len(parts.table.tried)
        with pytest.raises(AttemptOver):
            await attempt.append("AGENT_BACKGROUND_TASK_HEARTBEAT")
        assert len(parts.table.tried) == tried

    parts.run(main)


@pytest.mark.parametrize(
    ("answers", "why"),
    [
        ("[]", "there are 0 answers to 2 questions"),
        ('[{"yes": 1}]', "these are no answers"),
        (None, "it is not in the bucket"),
    ],
)
def test_answers_that_do_not_fit_what_was_asked_fail_the_run(answers: str | None, why: str, parts: AskingRun) -> None:
    parts.run_task()
    parts.answer(YES, YES)
    assert parts.segment.answered
    key = parts.segment.answered.key
    parts.segment = Segment(6, 2, AnsweredQuestions(1, key if answers else "turns/gone.json", answers or "[]"))
    parts.run_task(4)
    assert parts.outcome
    assert parts.outcome.error_type == "AnswersUnreadable"
    assert why in str(parts.outcome.error_message)
    assert parts.mails == []
