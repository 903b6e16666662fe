from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from runtime.journal.errors import AttemptClaimed, AttemptSuperseded, JournalError, NotTheOwner, RunClosed
from runtime.journal.reader import JournalReader
from runtime.journal.records import Event
from runtime.journal.vocabulary import Status
from runtime.journal.writer import JournalWriter, Standing

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

TABLE = "journal"
NOW = datetime(2026, 11, 22, 20, 21, 26, 123_456, UTC)
HEARTBEAT = Status.AGENT_BACKGROUND_TASK_HEARTBEAT
STARTED = Status.AGENT_BACKGROUND_TASK_STARTED
COMPLETED = Status.AGENT_BACKGROUND_TASK_COMPLETED
FAILED = Status.AGENT_BACKGROUND_TASK_FAILED
Write = Callable[[JournalWriter, Event], None]

APPEND: Write = lambda writer, event: writer.append(event)  # noqa: E731
APPEND_WHILE_OPEN: Write = lambda writer, event: writer.append_while_open(event)  # noqa: E731
APPEND_AS_ATTEMPT: Write = lambda writer, event: writer.append_as_attempt([event], Standing(1, 3))  # noqa: E731
CLAIM: Write = lambda writer, event: writer.claim_attempt(event, Standing(1, 3))  # noqa: E731
CLOSE: Write = lambda writer, event: writer.close(event)  # noqa: E731
CLOSE_AS_ATTEMPT: Write = lambda writer, event: writer.close(event, Standing(1, 3))  # noqa: E731
WRITES = {
    "append": APPEND,
    "append_while_open": APPEND_WHILE_OPEN,
    "append_as_attempt": APPEND_AS_ATTEMPT,
    "claim_attempt": CLAIM,
    "close": CLOSE,
    "close as attempt": CLOSE_AS_ATTEMPT,
}
CONDITIONAL = {name: write for name, write in WRITES.items() if name != "append"}
OF_AN_ATTEMPT = {name: WRITES[name] for name in ("append_as_attempt", "claim_attempt", "close as attempt")}


def by_name(writes: dict[str, Write]) -> Any:
    return pytest.mark.parametrize("write", writes.values(), ids=writes.keys())


@pytest.fixture
def records(dynamodb: "DynamoDBClient", session_id: str) -> Callable[[], list[str]]:
    """The sort keys of all records of the run."""

    def read() -> list[str]:
        found = dynamodb.query(
            TableName=TABLE,
            KeyConditionExpression="PK = :pk",
            ExpressionAttributeValues={":pk": {"S": f"SESSION#{session_id}"}},
        )
        return [str(item["SK"].get("S")) for item in found["Items"]]

    return read


def statuses(reader: JournalReader, session_id: str) -> list[str]:
    return [event.status for event in reader.events(session_id)]


def test_an_event_is_stamped_with_this_moment_its_expiry_and_its_lease(dynamodb: "DynamoDBClient") -> None:
    writer = JournalWriter(dynamodb, TABLE, ttl_days=30, now=lambda: NOW)
    event = writer.stamp("s", HEARTBEAT, lease_seconds=6, attempt=2)
    assert (event.created_at, event.attempt) == (NOW, 2)
    assert event.lease_expires_at == NOW + timedelta(seconds=6)
    assert event.expires_at == int(NOW.timestamp()) + 30 * 86_400


def test_an_event_without_a_lease_carries_none(writer: JournalWriter) -> None:
    assert writer.stamp("s", Status.AGENT_INVOCATION_STARTED).lease_expires_at is None


def test_a_lease_of_no_seconds_is_over_at_once(writer: JournalWriter) -> None:
    event = writer.stamp("s", HEARTBEAT, lease_seconds=0)
    assert event.lease_expires_at == event.created_at


def test_times_do_not_run_backwards_when_the_clock_is_set_back(dynamodb: "DynamoDBClient") -> None:
    clock: Iterator[datetime] = iter([NOW, NOW - timedelta(hours=1), NOW + timedelta(seconds=1)])
    writer = JournalWriter(dynamodb, TABLE, ttl_days=30, now=lambda: next(clock))
    stamped = [writer.stamp("s", HEARTBEAT).created_at for _ in range(3)]
    assert stamped == [NOW, NOW, NOW + timedelta(seconds=1)]


def test_events_of_one_millisecond_are_all_kept_in_their_order(
    dynamodb: "DynamoDBClient", reader: JournalReader, session_id: str
) -> None:
    writer = JournalWriter(dynamodb, TABLE, ttl_days=30, now=lambda: NOW)
    names = [f"TASK_STEP{number}_STARTED" for number in range(20)]
    for name in names:
        writer.append(writer.stamp(session_id, name))
    assert statuses(reader, session_id) == names


@by_name(WRITES)
def test_an_event_is_written_to_an_open_run(
    write: Write, writer: JournalWriter, reader: JournalReader, session_id: str
) -> None:
    event = writer.stamp(session_id, HEARTBEAT, attempt=1, lease_seconds=6, detail={"a": 1})
    write(writer, event)
    [read] = reader.events(session_id)
    assert read.event_id == event.event_id
    assert read.attributes() == event.attributes()


@by_name(WRITES)
def test_a_write_that_is_repeated_because_its_answer_was_lost_is_a_success(
    write: Write, writer: JournalWriter, session_id: str, records: Callable[[], list[str]]
) -> None:
    event = writer.stamp(session_id, COMPLETED, attempt=1)
    write(writer, event)
    before = records()
    write(writer, event)
    assert records() == before


@by_name(CONDITIONAL)
def test_nothing_is_added_to_a_closed_run(
    write: Write, writer: JournalWriter, session_id: str, records: Callable[[], list[str]]
) -> None:
    writer.close(writer.stamp(session_id, Status.SESSION_CANCELLED))
    before = records()
    with pytest.raises(RunClosed, match=f"run {session_id} already has its outcome") as refused:
        write(writer, writer.stamp(session_id, HEARTBEAT, attempt=1))
    assert refused.value.session_id == session_id
    assert records() == before


def test_what_was_under_way_can_be_added_to_a_closed_run_without_changing_its_outcome(
    writer: JournalWriter, reader: JournalReader, session_id: str
) -> None:
    writer.close(writer.stamp(session_id, COMPLETED))
    writer.append(writer.stamp(session_id, Status.AGENT_INVOCATION_SUCCEEDED))
    assert statuses(reader, session_id) == [COMPLETED, Status.AGENT_INVOCATION_SUCCEEDED]
    assert (outcome := reader.outcome(session_id)) is not None
    assert outcome.status == COMPLETED


def test_an_attempt_is_claimed_once(writer: JournalWriter, session_id: str, records: Callable[[], list[str]]) -> None:
    writer.claim_attempt(writer.stamp(session_id, STARTED, attempt=1), Standing(1, 3))
    before = records()
    with pytest.raises(AttemptClaimed, match=f"attempt 1 of run {session_id} is already claimed") as refused:
        writer.claim_attempt(writer.stamp(session_id, STARTED, attempt=1), Standing(1, 3))
    assert (refused.value.session_id, refused.value.attempt) == (session_id, 1)
    assert records() == before
    assert before[0] == "ATTEMPT#1"


def test_a_claim_is_refused_to_all_but_one_of_many_at_once(
    writer: JournalWriter, reader: JournalReader, session_id: str
) -> None:
    def claim(_: int) -> bool:
        try:
            writer.claim_attempt(writer.stamp(session_id, STARTED, attempt=1), Standing(1, 3))
        except AttemptClaimed:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(claim, range(20))) == 1
    assert statuses(reader, session_id) == [STARTED]


@by_name(OF_AN_ATTEMPT)
@pytest.mark.parametrize("later", [2, 3])
def test_a_later_attempt_stops_an_earlier_one_even_if_the_one_between_never_claimed(
    write: Write, later: int, writer: JournalWriter, session_id: str, records: Callable[[], list[str]]
) -> None:
    writer.claim_attempt(writer.stamp(session_id, STARTED, attempt=later), Standing(later, 3))
    before = records()
    with pytest.raises(AttemptSuperseded, match="has been superseded by a later one") as refused:
        write(writer, writer.stamp(session_id, HEARTBEAT, attempt=1))
    assert refused.value.attempt == 1
    assert records() == before


def test_the_last_attempt_is_not_in_its_own_way(writer: JournalWriter, reader: JournalReader, session_id: str) -> None:
    for attempt in (1, 2, 3):
        writer.claim_attempt(writer.stamp(session_id, STARTED, attempt=attempt), Standing(attempt, 3))
    writer.append_as_attempt([writer.stamp(session_id, HEARTBEAT, attempt=3)], Standing(3, 3))
    writer.close(writer.stamp(session_id, COMPLETED, attempt=3), Standing(3, 3))
    assert statuses(reader, session_id) == [STARTED] * 3 + [HEARTBEAT, COMPLETED]


def test_a_close_that_belongs_to_no_attempt_is_not_stopped_by_one(
    writer: JournalWriter, reader: JournalReader, session_id: str
) -> None:
    writer.claim_attempt(writer.stamp(session_id, STARTED, attempt=2), Standing(2, 3))
    writer.close(writer.stamp(session_id, Status.SESSION_CANCELLED))
    assert (outcome := reader.outcome(session_id)) is not None
    assert outcome.status == Status.SESSION_CANCELLED


def test_a_closed_run_is_closed_and_not_superseded(writer: JournalWriter, session_id: str) -> None:
    writer.claim_attempt(writer.stamp(session_id, STARTED, attempt=2), Standing(2, 3))
    writer.close(writer.stamp(session_id, Status.SESSION_CANCELLED))
    with pytest.raises(RunClosed):
        writer.append_as_attempt([writer.stamp(session_id, HEARTBEAT, attempt=1)], Standing(1, 3))


def test_the_loser_of_a_race_to_close_learns_it_and_changes_nothing(
    writer: JournalWriter, reader: JournalReader, session_id: str
) -> None:
    def close(number: int) -> bool:
        try:
            writer.close(writer.stamp(session_id, COMPLETED if number % 2 else FAILED, detail={"number": number}))
        except RunClosed:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        won = [number for number, closed in enumerate(pool.map(close, range(20))) if closed]
    [event] = reader.events(session_id)
    assert reader.outcome(session_id) == event
    assert won == [event.detail["number"] if event.detail else None]


def test_records_are_only_ever_put_and_each_on_condition(dynamodb: "DynamoDBClient", session_id: str) -> None:
    calls: list[tuple[str, dict[str, Any]]] = []

    def record(params: dict[str, Any], model: Any, **_: Any) -> None:
        calls.append((model.name, params))

    dynamodb.meta.events.register("provide-client-params.dynamodb.*", record)
    try:
        for name, write in WRITES.items():
            writer = JournalWriter(dynamodb, TABLE, ttl_days=30)
            write(writer, writer.stamp(f"{session_id}-{name.replace(' ', '_')}", COMPLETED, attempt=1))
    finally:
        dynamodb.meta.events.unregister("provide-client-params.dynamodb.*", record)
    assert {operation for operation, _ in calls} == {"PutItem", "TransactWriteItems"}
    actions = [action for _, params in calls for action in params.get("TransactItems", [{"Put": params}])]
    assert {kind for action in actions for kind in action} == {"Put", "ConditionCheck"}
    conditions = {body["ConditionExpression"] for action in actions for body in action.values()}
    assert conditions == {"attribute_not_exists(PK)"}


def test_what_the_store_answers_is_a_journal_error() -> None:
    assert issubclass(RunClosed, JournalError)
    assert issubclass(AttemptClaimed, JournalError)
    assert issubclass(AttemptSuperseded, JournalError)


EXECUTION = "arn:aws:states:us-east-1:123456789012:execution:runs:1"


def claim_run(dynamodb: "DynamoDBClient", session_id: str) -> None:
    """Put what matters of a run's metadata."""
    item = {"PK": {"S": f"SESSION#{session_id}"}, "SK": {"S": "METADATA"}, "executionArn": {"S": EXECUTION}}
    dynamodb.put_item(TableName=TABLE, Item=item)


def test_an_execution_closes_the_run_that_it_claimed_and_no_outcome_but_the_first_counts(
    dynamodb: "DynamoDBClient", writer: JournalWriter, reader: JournalReader, session_id: str
) -> None:
    claim_run(dynamodb, session_id)
    first = writer.stamp(session_id, Status.SESSION_FAILED)
    writer.close_for_execution(first, EXECUTION)
    writer.close_for_execution(first, EXECUTION)
    with pytest.raises(RunClosed):
        writer.close_for_execution(writer.stamp(session_id, Status.SESSION_TIMED_OUT), EXECUTION)
    assert statuses(reader, session_id) == [Status.SESSION_FAILED]


@pytest.mark.parametrize("claimed", [True, False])
def test_an_execution_does_not_close_the_run_of_another(
    claimed: bool,
    dynamodb: "DynamoDBClient",
    writer: JournalWriter,
    session_id: str,
    records: Callable[[], list[str]],
) -> None:
    if claimed:
        claim_run(dynamodb, session_id)
    before = records()
    with pytest.raises(NotTheOwner, match=f"run {session_id} does not belong to execution {EXECUTION}2"):
        writer.close_for_execution(writer.stamp(session_id, Status.SESSION_FAILED), f"{EXECUTION}2")
    assert records() == before
