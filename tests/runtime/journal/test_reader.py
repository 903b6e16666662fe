from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from runtime.journal.reader import JournalReader
from runtime.journal.records import Event, RunMetadata
from runtime.journal.timestamps import to_timestamp
from runtime.journal.vocabulary import Status
from runtime.journal.waits import Wait
from runtime.journal.writer import JournalWriter, Standing

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

TABLE = "journal"
MIDNIGHT = datetime(2026, 11, 23, tzinfo=UTC)
WriteAt = Callable[..., Event]


@pytest.fixture
def write_at(dynamodb: "DynamoDBClient", session_id: str) -> WriteAt:
    """Append, or close with, an event of a given moment."""

    def write(moment: datetime, status: str, *, of: str = session_id, closing: bool = False, **fields: Any) -> Event:
        writer = JournalWriter(dynamodb, TABLE, ttl_days=30, now=lambda: moment)
        event = writer.stamp(of, status, **fields)
        (writer.close if closing else writer.append)(event)
        return event

    return write


def put_metadata(dynamodb: "DynamoDBClient", session_id: str, moment: datetime) -> None:
    """Put a run's metadata as the state machine does."""
    created_at = to_timestamp(moment)
    dynamodb.put_item(
        TableName=TABLE,
        Item={
            "PK": {"S": f"SESSION#{session_id}"},
            "SK": {"S": "METADATA"},
            "sessionId": {"S": session_id},
            "createdAt": {"S": created_at},
            "day": {"S": created_at[:10]},
            "expiresAt": {"N": "1800000000"},
            "executionArn": {"S": "arn"},
            "request": {"S": '{"prompt": "Why?"}'},
            "bounds": {"M": {"maxAttempts": {"N": "3"}}},
        },
    )


def test_a_run_that_never_was_has_nothing(reader: JournalReader, session_id: str) -> None:
    assert list(reader.events(session_id)) == []
    assert reader.outcome(session_id) is None
    assert reader.metadata(session_id) is None


def test_events_come_in_the_order_of_their_time_whoever_wrote_them_first(
    reader: JournalReader, session_id: str, write_at: WriteAt
) -> None:
    later = write_at(MIDNIGHT + timedelta(milliseconds=1), "TASK_B_STARTED")
    earlier = write_at(MIDNIGHT - timedelta(milliseconds=1), "TASK_A_STARTED")
    assert [event.event_id for event in reader.events(session_id)] == [earlier.event_id, later.event_id]


def test_only_events_are_read_as_events_and_only_those_of_the_run(
    dynamodb: "DynamoDBClient", reader: JournalReader, session_id: str, write_at: WriteAt
) -> None:
    put_metadata(dynamodb, session_id, MIDNIGHT)
    write_at(MIDNIGHT, "TASK_A_STARTED", of=f"{session_id}-another")
    write_at(MIDNIGHT, Status.SESSION_CANCELLED, closing=True)
    assert [event.status for event in reader.events(session_id)] == [Status.SESSION_CANCELLED]


def test_a_long_history_is_read_page_by_page(
    dynamodb: "DynamoDBClient", reader: JournalReader, session_id: str, write_at: WriteAt
) -> None:
    pages: list[str] = []

    def count(**_: Any) -> None:
        pages.append("page")

    written = [
        write_at(MIDNIGHT + timedelta(seconds=n), "TASK_A_COMPLETED", detail={"text": "x" * 300_000, "number": n})
        for n in range(8)
    ]
    dynamodb.meta.events.register("after-call.dynamodb.Query", count)
    try:
        read = list(reader.events(session_id))
    finally:
        dynamodb.meta.events.unregister("after-call.dynamodb.Query", count)
    assert [event.event_id for event in read] == [event.event_id for event in written]
    assert len(pages) > 1


def test_reading_goes_on_after_an_event_that_was_seen(
    reader: JournalReader, session_id: str, write_at: WriteAt
) -> None:
    events = [write_at(MIDNIGHT, f"TASK_S{number}_STARTED") for number in range(4)]
    seen = events[1].to_item()["SK"]["S"]
    assert [event.event_id for event in reader.events(session_id, after=seen)] == [
        event.event_id for event in events[2:]
    ]
    assert list(reader.events(session_id, after=events[-1].to_item()["SK"]["S"])) == []


def test_the_outcome_is_the_terminal_event(reader: JournalReader, session_id: str, write_at: WriteAt) -> None:
    closed = write_at(MIDNIGHT, Status.SESSION_FAILED, closing=True, error_type="AgentLost", error_message="gone")
    assert reader.outcome(session_id) == next(reader.events(session_id))
    assert (outcome := reader.outcome(session_id)) is not None
    assert (outcome.event_id, outcome.error_message) == (closed.event_id, "gone")


def test_metadata_says_what_was_asked(dynamodb: "DynamoDBClient", reader: JournalReader, session_id: str) -> None:
    put_metadata(dynamodb, session_id, MIDNIGHT)
    assert (metadata := reader.metadata(session_id)) is not None
    assert metadata.request == {"prompt": "Why?"}
    assert metadata.bounds == {"maxAttempts": 3}


def test_a_day_has_what_began_and_what_ended_on_it_in_order(
    dynamodb: "DynamoDBClient", reader: JournalReader, session_id: str, write_at: WriteAt
) -> None:
    yesterday, today = MIDNIGHT - timedelta(milliseconds=1), MIDNIGHT
    put_metadata(dynamodb, session_id, yesterday)
    write_at(today, "TASK_A_STARTED")
    write_at(today + timedelta(hours=1), Status.AGENT_BACKGROUND_TASK_COMPLETED, closing=True)
    put_metadata(dynamodb, f"{session_id}-2", today)
    assert [type(record) for record in reader.by_day(date(2026, 11, 22))] == [RunMetadata]
    assert [(type(record), record.session_id) for record in reader.by_day(date(2026, 11, 23))] == [
        (RunMetadata, f"{session_id}-2"),
        (Event, session_id),
    ]
    since = to_timestamp(today + timedelta(minutes=1))
    assert [record.session_id for record in reader.by_day(date(2026, 11, 23), since=since)] == [session_id]
    assert list(reader.by_day(date(2026, 11, 24))) == []


def test_waits_are_found_by_run_and_by_day(
    dynamodb: "DynamoDBClient", reader: JournalReader, session_id: str, write_at: WriteAt
) -> None:
    first, second = (
        Wait(
            session_id=session_id,
            number=number,
            created_at=MIDNIGHT + timedelta(days=number),
            until=MIDNIGHT + timedelta(days=9),
            seconds_left=1.5,
            digest="d",
            key="k",
            count=2,
        )
        for number in (1, 2)
    )
    for attempt, wait in enumerate((first, second), start=1):
        writer = JournalWriter(dynamodb, TABLE, ttl_days=30)
        asked = writer.stamp(session_id, Status.RUN_WAITING, at=wait.created_at, attempt=attempt, detail={"wait": 1})
        writer.open_wait(asked, wait, Standing(attempt, 9, wait.number))
    write_at(second.created_at, Status.SESSION_CANCELLED, closing=True)
    put_metadata(dynamodb, f"{session_id}-2", second.created_at)
    assert list(reader.waits_of(session_id)) == [first, second]
    assert reader.newest_wait(session_id) == second
    assert list(reader.waits(second.created_at.date())) == [second]
    assert second in reader.by_day(second.created_at.date())
    assert [*reader.waits_of(f"{session_id}-2"), *reader.waits(MIDNIGHT.date())] == []


def test_a_table_that_is_not_there_is_an_error(dynamodb: "DynamoDBClient", session_id: str) -> None:
    with pytest.raises(ClientError, match="not found"):
        list(JournalReader(dynamodb, "no-such-table").events(session_id))
