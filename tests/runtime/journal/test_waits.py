"""A run that waits for a person: which writes its wait stops, and which answers it takes."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.stub import Stubber

from runtime.journal.errors import (
    AlreadyAnswered,
    AttemptSuperseded,
    JournalConflict,
    JournalError,
    NotAnswered,
    NotAsked,
    RunClosed,
    RunWaiting,
)
from runtime.journal.keys import questions_key
from runtime.journal.reader import JournalReader
from runtime.journal.records import Event, ToolClaim
from runtime.journal.timestamps import utc_now
from runtime.journal.vocabulary import Status
from runtime.journal.waits import (
    EXPIRED,
    MAX_QUESTIONS,
    SHOWN_TOGETHER,
    Answer,
    AnsweredWait,
    Question,
    Wait,
    Wants,
    parsed_answers,
    parsed_questions,
    questions_digest,
    serialized_answers,
    serialized_questions,
    shown_answers,
    shown_questions,
)
from runtime.journal.writer import JournalWriter, Standing

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

TABLE = "journal"
FIRST = Standing(1, 3, 1)
NOW = utc_now().replace(microsecond=0)
QUESTIONS = [
    Question("mailer", 2, 3, 0, "send_mail", Wants.APPROVAL, '{"to": "anna"}'),
    Question("planner", None, 1, 1, "ask", Wants.TEXT, "Which quarter? \N{EURO SIGN}"),
]


def wait_of(session_id: str, number: int = 1) -> Wait:
    """A wait with two questions."""
    return Wait(
        session_id=session_id,
        number=number,
        created_at=NOW,
        until=NOW + timedelta(days=1),
        seconds_left=123.5,
        digest=questions_digest(serialized_questions(QUESTIONS)),
        key=questions_key(session_id, number, number),
        count=len(QUESTIONS),
    )


def answers_of(session_id: str, number: int = 1, by: str = "arn:ann") -> AnsweredWait:
    """Yes, and a text."""
    said = (Answer(True, "go on"), Answer(True, "the third"))
    return AnsweredWait(session_id=session_id, number=number, created_at=NOW, by=by, answers=said)


class Run:
    """One run's writes, as its actors make them."""

    def __init__(self, writer: JournalWriter, session_id: str) -> None:
        self.writer = writer
        self.session_id = session_id

    def event(self, status: str = Status.AGENT_BACKGROUND_TASK_HEARTBEAT, attempt: int = 1, **fields: Any) -> Event:
        """An event of this moment."""
        return self.writer.stamp(self.session_id, status, attempt=attempt, **fields)

    def wait(self, standing: Standing = FIRST, number: int = 1) -> Wait:
        """Begin to wait."""
        event = self.event(Status.RUN_WAITING, standing.attempt, at=NOW, detail={"questions": "…"})
        self.writer.open_wait(event, wait_of(self.session_id, number), standing)
        return wait_of(self.session_id, number)

    def answer(self, wait: Wait, by: str = "arn:ann") -> None:
        """Answer a wait."""
        answered = answers_of(self.session_id, wait.number, by)
        self.writer.answer(self.event(Status.RUN_ANSWERED, at=NOW), wait, answered)


@pytest.fixture
def run(writer: JournalWriter, session_id: str) -> Run:
    """A run of the test's own."""
    return Run(writer, session_id)


WRITES: dict[str, Callable[[Run, Standing], object]] = {
    "append": lambda run, standing: run.writer.append_as_attempt([run.event()], standing),
    "append while open": lambda run, standing: run.writer.append_while_open(run.event(), standing.wait),
    "claim an attempt": lambda run, standing: run.writer.claim_attempt(run.event(), standing),
    "claim a tool": lambda run, standing: run.writer.claim_tool(
        run.event("TASK_A_TOOL"), ToolClaim("a", None, 1, 0, "t", "d", "{}"), standing
    ),
    "close": lambda run, standing: run.writer.close(run.event(), standing),
    "wait": lambda run, standing: run.wait(standing),
}


def test_a_wait_is_read_as_it_was_written_and_the_questions_stay_in_its_event(
    run: Run, reader: JournalReader, dynamodb: "DynamoDBClient"
) -> None:
    wait = run.wait()
    assert reader.wait(run.session_id, 1) == reader.newest_wait(run.session_id) == wait
    assert list(reader.waits(NOW.date())) == [wait]
    assert list(reader.by_day(NOW.date())) == [wait]
    assert [event.status for event in reader.events(run.session_id)] == [Status.RUN_WAITING]
    [item] = reader.records([{"PK": {"S": f"SESSION#{run.session_id}"}, "SK": {"S": "EVENT~WAIT#01"}}])
    assert "detail" not in item
    assert reader.wait(run.session_id, 2) is None
    assert reader.answered(wait) is None


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
def test_a_run_that_waits_takes_nothing_from_the_attempt_that_asked(
    write: Callable[[Run, Standing], None], run: Run, reader: JournalReader
) -> None:
    run.wait()
    with pytest.raises(RunWaiting, match=f"run {run.session_id} waits for a person"):
        write(run, FIRST)
    assert [event.status for event in reader.events(run.session_id)] == [Status.RUN_WAITING]
    assert reader.outcome(run.session_id) is None


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
def test_after_the_answer_the_next_attempt_may_write_and_wait_again(
    write: Callable[[Run, Standing], None], run: Run, reader: JournalReader
) -> None:
    run.answer(run.wait())
    run.writer.claim_attempt(run.event(attempt=2), Standing(2, 4, 2))
    write_as_next = Standing(3, 4, 2)
    if write is WRITES["wait"]:
        run.wait(write_as_next, 2)
        assert reader.newest_wait(run.session_id) == wait_of(run.session_id, 2)
    else:
        write(run, write_as_next)


def test_a_run_that_cannot_wait_checks_no_wait(run: Run) -> None:
    run.wait()
    run.writer.append_as_attempt([run.event()], Standing(1, 3))


def test_no_attempt_begins_behind_a_question_that_is_not_answered(run: Run) -> None:
    wait = run.wait()
    with pytest.raises(NotAnswered, match=f"wait 1 of run {run.session_id} has no answer"):
        run.writer.claim_attempt(run.event(attempt=2), Standing(2, 4, 2))
    run.answer(wait)
    run.writer.claim_attempt(run.event(attempt=2), Standing(2, 4, 2))


def test_a_late_attempt_of_an_earlier_segment_asks_and_writes_nothing(run: Run) -> None:
    run.writer.claim_attempt(run.event(attempt=2), Standing(2, 3, 1))
    with pytest.raises(AttemptSuperseded):
        run.wait(FIRST)
    with pytest.raises(AttemptSuperseded):
        run.writer.append_as_attempt([run.event()], FIRST)


def test_a_closed_run_neither_asks_nor_is_answered(run: Run, reader: JournalReader) -> None:
    wait = run.wait()
    run.writer.close(run.event(Status.SESSION_CANCELLED))
    with pytest.raises(RunClosed):
        run.answer(wait)
    with pytest.raises(RunClosed):
        run.wait()
    assert reader.answered(wait) is None


def test_one_of_many_answers_at_once_counts(run: Run, reader: JournalReader) -> None:
    wait = run.wait()

    def answer(number: int) -> bool:
        try:
            run.answer(wait, f"arn:{number}")
        except AlreadyAnswered:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        won = [number for number, taken in enumerate(pool.map(answer, range(12))) if taken]
    assert reader.answered(wait) == answers_of(run.session_id, by=f"arn:{won[0]}")
    assert len(won) == 1
    assert [event.status for event in reader.events(run.session_id)].count(Status.RUN_ANSWERED) == 1


def test_an_answer_whose_confirmation_was_lost_is_no_second_one(run: Run) -> None:
    wait, event = run.wait(), run.event(Status.RUN_ANSWERED)
    for _ in range(2):
        run.writer.answer(event, wait, answers_of(run.session_id))


@pytest.mark.parametrize("change", [{"digest": "0" * 32}, {"number": 2}], ids=["other questions", "no such wait"])
def test_what_was_not_asked_is_not_answered(change: dict[str, Any], run: Run, reader: JournalReader) -> None:
    wait = run.wait()
    with pytest.raises(NotAsked, match="with the questions that were read"):
        run.answer(replace(wait, **change))
    assert reader.answered(wait) is None
    assert len(list(reader.events(run.session_id))) == 1


NONE: dict[str, Any] = {"Code": "None"}
FAILED: dict[str, Any] = {"Code": "ConditionalCheckFailed"}
CONFLICT: dict[str, Any] = {"Code": "TransactionConflict"}


@pytest.mark.parametrize(
    ("reasons", "becomes"),
    [
        ([NONE, NONE, CONFLICT, NONE], JournalConflict),
        ([NONE, FAILED, FAILED, FAILED], RunClosed),
        ([NONE, NONE, FAILED, FAILED], NotAsked),
        ([NONE, NONE, NONE, FAILED], AlreadyAnswered),
        ([CONFLICT, NONE, NONE, FAILED], JournalConflict),
    ],
    ids=str,
)
def test_the_reasons_of_a_refused_answer_say_why(reasons: list[dict[str, Any]], becomes: type[JournalError]) -> None:
    client = boto3.client("dynamodb")
    run = Run(JournalWriter(client, TABLE, ttl_days=1), "s" * 36)
    with Stubber(client) as stubber:
        stubber.add_client_error(
            "transact_write_items",
            "TransactionCanceledException",
            http_status_code=400,
            modeled_fields={"CancellationReasons": reasons},
        )
        with pytest.raises(becomes) as refused:
            run.answer(wait_of(run.session_id))
    assert type(refused.value) is becomes


def test_questions_come_back_as_they_were_asked() -> None:
    assert parsed_questions(serialized_questions(QUESTIONS)) == QUESTIONS
    assert questions_digest(serialized_questions(QUESTIONS)) != questions_digest(serialized_questions(QUESTIONS[:1]))


@pytest.mark.parametrize("content", [b"", b"\xff", b"[1]", b'[{"wants": "text"}]', b"[" * 100_000])
def test_what_holds_no_questions_is_refused(content: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        parsed_questions(content)


def test_answers_come_back_as_they_were_given_and_what_expired_is_a_denial_of_each_question() -> None:
    answers = answers_of("s").answers
    assert parsed_answers(serialized_answers(answers), 2) == answers
    assert parsed_answers(EXPIRED, 2) == (Answer(False, expired=True),) * 2
    with pytest.raises(ValueError, match="these are no answers"):
        parsed_answers("[1]", 1)


def test_an_event_has_room_for_as_many_long_questions_and_answers_as_there_can_be() -> None:
    long = [replace(QUESTIONS[0], text="x" * 10_000)] * MAX_QUESTIONS
    assert sum(len(each["text"]) for each in shown_questions(long)) <= SHOWN_TOGETHER
    assert sum(len(each["text"]) for each in shown_answers([Answer(True, "x" * 10_000)] * MAX_QUESTIONS)) <= 5000
    assert shown_questions(QUESTIONS)[1]["text"] == QUESTIONS[1].text
