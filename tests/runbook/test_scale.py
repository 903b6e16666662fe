"""Listing runs of a big table, against the emulator's: what it takes follows what it returns, not what is there.

The emulator says the same capacity whatever is read, so it is computed as DynamoDB does, from the bytes of all items
that a query read: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/read-write-operations.html
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import pytest

from runbook.runbook import Runbook
from runtime.journal.timestamps import utc_now
from runtime.journal.vocabulary import Status
from tests.runbook.history import History, event, metadata_item, new_session_id
from tests.support.running_cloud import RunningCloud

# Twenty thousand records are written first.
pytestmark = pytest.mark.timeout(300)
SESSIONS = 10_000
DAYS = 14
TABLE = "runbook-scale"
DAY = timedelta(days=1)


@dataclass
class Reads:
    """What queries read.

    :ivar items: items that were looked at, whether returned or not
    :ivar units: read units that DynamoDB would bill
    """

    items: int = 0
    units: float = 0.0
    others: list[str] = field(default_factory=list[str])

    def note(self, parsed: dict[str, Any], model: Any, **_: Any) -> None:
        """Count one answer."""
        if model.name != "Query":
            self.others.append(model.name)
            return
        self.items += parsed["ScannedCount"]
        size = sum(_bytes(item) for item in parsed["Items"])
        self.units += max(math.ceil(size / 4096), 1) * 0.5


def _bytes(value: Any) -> int:
    if isinstance(value, dict):
        return sum(len(name) + _bytes(inner) for name, inner in value.items())
    return len(str(value))


@pytest.fixture(scope="module")
def rb(cloud: RunningCloud) -> Iterator[Runbook]:
    """A runbook on a journal of its own with 10,000 finished runs, evenly over two weeks."""
    client, journal = cloud.runbook.clients.dynamodb, cloud.output("journalTableName")
    described = client.describe_table(TableName=journal)["Table"]
    indexes: Any = described.get("GlobalSecondaryIndexes", [])
    names = ("IndexName", "KeySchema", "Projection")
    client.create_table(
        TableName=TABLE,
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=described.get("AttributeDefinitions", []),
        KeySchema=described.get("KeySchema", []),
        GlobalSecondaryIndexes=[{name: index[name] for name in names} for index in indexes],  # pyrefly: ignore[bad-argument-type]
    )
    History(client, TABLE).put(_runs())
    yield Runbook(replace(cloud.runbook.outputs, journal_table_name=TABLE), cloud.runbook.clients)
    client.delete_table(TableName=TABLE)


def _runs() -> Iterator[dict[str, Any]]:
    now = utc_now()
    for number in range(SESSIONS):
        session_id, began = new_session_id(), now - DAYS * DAY * (number + 1) / SESSIONS
        detail = {
            "reportKey": f"sessions/{session_id}/reporter.md",
            "tokens": {"inputTokens": 2000, "outputTokens": 400},
        }
        ended = event(
            session_id,
            Status.AGENT_BACKGROUND_TASK_COMPLETED,
            min(began + timedelta(seconds=164), now),
            attempt=1,
            environment_id=new_session_id(),
            detail=detail,
        )
        yield metadata_item(session_id, began, {"prompt": f"Why did costs rise in week {number}?"})
        yield ended.to_outcome_item()


def measured(rb: Runbook, days: int) -> tuple[int, Reads, float]:
    """How many runs that many days have, what it took to read them, and how many seconds."""
    reads, events = Reads(), rb.clients.dynamodb.meta.events
    events.register("after-call.dynamodb", reads.note)
    try:
        began = time.perf_counter()
        found = rb.runs(utc_now() - days * DAY)
        return len(found), reads, time.perf_counter() - began
    finally:
        events.unregister("after-call.dynamodb", reads.note)


def test_the_runs_since_yesterday_out_of_ten_thousand_take_less_than_a_second(rb: Runbook) -> None:
    # The best of some, so that what else the machine does is not measured.
    tries = [measured(rb, 1) for _ in range(5)]
    assert tries[0][0] == pytest.approx(SESSIONS / DAYS, abs=2)
    assert min(seconds for _, _, seconds in tries) < 1


def test_what_is_read_is_in_proportion_to_what_is_returned(rb: Runbook) -> None:
    for days in (1, 7):
        found, reads, _ = measured(rb, days)
        # A metadata record and an outcome for each run, at half a unit for 4 KB; each query rounds up.
        assert reads.items <= 2 * found + 1
        assert reads.units <= 0.5 * (found * 1200 / 4096 + 2 * days)
        # For runs that began before the span and ended in it.
        assert reads.others in ([], ["BatchGetItem"])


def test_a_table_however_big_costs_nothing_where_nothing_happened(rb: Runbook) -> None:
    reads = Reads()
    rb.clients.dynamodb.meta.events.register("after-call.dynamodb", reads.note)
    try:
        assert not rb.runs(utc_now() - timedelta(milliseconds=1))
    finally:
        rb.clients.dynamodb.meta.events.unregister("after-call.dynamodb", reads.note)
    assert reads.items == 0
