"""One poll of the state machine: what it reads of short, long and very long histories, and whether it sees the end.

The query is the one of the definition that is deployed, sent to moto's DynamoDB in this process. Emulators report a
constant for read capacity, so it is computed from the items' bytes by AWS's rules:
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
from moto import mock_aws

from benchmarks.progress import progress
from benchmarks.rows import Row
from components.settings import Settings
from components.workflow_budget import WorkflowSettings
from components.workflow_definition import NEWEST_RECORDS, build_definition
from local.emulator.clients import REGION
from runtime.journal.records import Event, Item, expiry, new_event_id
from runtime.journal.vocabulary import Status
from tests.support.journal_table import create_journal_table

TABLE = "journal"
HISTORIES = (10, 1_000, 100_000)
FOLLOWERS = (0, 1, 2 * NEWEST_RECORDS)
BATCH = 25
UNIT_BYTES = 4096
BEGAN = datetime(2026, 11, 22, tzinfo=UTC)


def rows(histories: tuple[int, ...] = HISTORIES) -> list[Row]:
    """Fill histories and poll them, before and after their end."""
    items: dict[str, float] = {}
    units: dict[str, float] = {}
    ends: list[bool] = []
    with mock_aws():
        client = boto3.client("dynamodb", REGION, aws_access_key_id="moto", aws_secret_access_key="takes any")  # noqa: S106
        create_journal_table(client, TABLE)
        for length in histories:
            progress(f"poll: a history of {length} events")
            session_id = f"session-of-{length:025d}"
            _put(client, _history(session_id, length))
            answer = client.query(**query(session_id))
            items[f"{length} events"] = answer["ScannedCount"]
            units[f"{length} events"] = read_units(_newest(client, session_id))
            ends += [_end_is_seen(client, session_id, length, followers) for followers in FOLLOWERS]
    return [
        Row("poll: items read, longest history", max(items.values()), "", _limit(), "10 events", measured=items),
        Row(
            "poll: read units, longest history", units[f"{histories[-1]} events"], "", None, "10 events", measured=units
        ),
        Row("poll: end found", sum(ends) / len(ends), "of 1", 1.0, at_least=True),
    ]


def query(session_id: str) -> dict[str, Any]:
    """Return the arguments of the deployed machine's query for a run's first attempt."""
    settings = WorkflowSettings(Settings.defaults(), "f", TABLE, "b")
    arguments = build_definition(settings)["States"]["CheckStatus"]["Arguments"]
    known = {"{% 'SESSION#' & $sessionId %}": f"SESSION#{session_id}"}
    return _evaluated(arguments, known)


def _limit() -> int:
    # Waits for people sort after all events.
    return NEWEST_RECORDS + Settings.defaults().max_waits


def read_units(items: list[Item]) -> float:
    """Return the read units of a strongly consistent query that looks at these items."""
    return math.ceil(sum(map(item_bytes, items)) / UNIT_BYTES)


def item_bytes(item: Item) -> int:
    """Return an item's size as DynamoDB counts it: names and values, three bytes for a map and one for each of its
    entries, and half a byte for each digit of a number."""
    return sum(len(name.encode()) + _value_bytes(value) for name, value in item.items())


def _value_bytes(value: dict[str, Any]) -> int:
    ((kind, content),) = value.items()
    if kind == "M":
        return 3 + sum(1 + len(name.encode()) + _value_bytes(inner) for name, inner in content.items())
    if kind == "N":
        return math.ceil(len(content) / 2) + 1
    return len(content.encode()) if kind == "S" else 1


def _evaluated(value: Any, known: dict[str, str]) -> Any:
    if isinstance(value, dict):
        return {name: _evaluated(inner, known) for name, inner in value.items()}
    if isinstance(value, str) and "{%" in value:
        return known[value]
    return value


def _history(session_id: str, length: int) -> Iterator[Event]:
    for number in range(length):
        yield _event(session_id, Status.AGENT_BACKGROUND_TASK_HEARTBEAT, number, leased=True)


def _event(session_id: str, status: Status, number: int, *, leased: bool = False) -> Event:
    created_at = BEGAN + timedelta(seconds=number)
    return Event(
        session_id=session_id,
        event_id=new_event_id(),
        status=status,
        created_at=created_at,
        expires_at=expiry(created_at, 90),
        attempt=1,
        environment_id="7d3c9a1e-0b44-4f1b-8a7e-2f5a1c9d0e33",
        lease_expires_at=created_at + timedelta(seconds=120) if leased else None,
    )


def _put(client: Any, events: Iterator[Event]) -> None:
    waiting: list[Any] = []
    for event in events:
        waiting.append({"PutRequest": {"Item": event.to_item()}})
        if len(waiting) == BATCH:
            client.batch_write_item(RequestItems={TABLE: waiting})
            waiting = []
    if waiting:
        client.batch_write_item(RequestItems={TABLE: waiting})


def _newest(client: Any, session_id: str) -> list[Item]:
    """Return what the query looks at, whole."""
    arguments = query(session_id)
    del arguments["ProjectionExpression"], arguments["ExpressionAttributeNames"]
    return client.query(**arguments)["Items"]


def _end_is_seen(client: Any, session_id: str, length: int, followers: int) -> bool:
    """Whether the end comes first in the answer, with so many events that are stamped later."""
    at = length + followers * 100
    outcome = _event(session_id, Status.AGENT_BACKGROUND_TASK_COMPLETED, at).to_outcome_item()
    _put(client, (_event(session_id, Status.AGENT_INVOCATION_SUCCEEDED, at + n + 1) for n in range(followers)))
    client.put_item(TableName=TABLE, Item=outcome)
    return client.query(**query(session_id))["Items"][0]["SK"] == outcome["SK"]
