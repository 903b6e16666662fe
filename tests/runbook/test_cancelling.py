"""Closing a run as cancelled, whatever its agent writes at the same time."""

from __future__ import annotations

import itertools
import math
from datetime import timedelta
from typing import Any

import pytest
from botocore.stub import Stubber

from runbook import cancelling, patience
from runbook.runbook import Runbook
from runtime.contract.errors import InvalidRequest
from runtime.journal.errors import JournalUnavailable, RunClosed
from runtime.journal.records import Event
from runtime.journal.timestamps import utc_now
from runtime.journal.vocabulary import Status
from tests.runbook.history import History

CONFLICT: dict[str, Any] = {"CancellationReasons": [{"Code": "None"}, {"Code": "TransactionConflict"}]}


class Clock:
    """Time that passes while somebody sleeps."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds

    def sleep(self, seconds: float) -> None:
        self.seconds += seconds


def close(rb: Runbook, session_id: str, clock: Clock) -> Event:
    """Close a run as the runbook does, with time of the test's own."""
    metadata, table = rb.metadata(session_id), rb.outputs.journal_table_name
    return cancelling.close(rb.clients.dynamodb, table, metadata, "wrong prompt", "arn", clock=clock, sleep=clock.sleep)


def let_conflict(rb: Runbook, monkeypatch: pytest.MonkeyPatch, conflicts: float) -> None:
    """Let so many transactions meet another writer's."""
    dynamodb, numbers = rb.clients.dynamodb, itertools.count()
    whole, error = dynamodb.transact_write_items, dynamodb.exceptions.TransactionCanceledException

    def conflicting(**arguments: Any) -> Any:
        if next(numbers) < conflicts:
            raise error({**CONFLICT, "Error": {"Code": "TransactionCanceledException"}}, "TransactWriteItems")  # pyrefly: ignore[bad-unpacking]
        return whole(**arguments)

    monkeypatch.setattr(dynamodb, "transact_write_items", conflicting)


@pytest.mark.parametrize("conflicts", [1, 9])
def test_a_cancel_that_meets_the_agent_s_own_write_is_tried_again(
    rb: Runbook, history: History, conflicts: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    session_id, clock = history.claim(), Clock()
    let_conflict(rb, monkeypatch, conflicts)
    event = close(rb, session_id, clock)
    outcome = rb.outcome(session_id)
    assert outcome
    assert outcome.event_id == event.event_id
    assert 0 < clock.seconds < patience.TRY_SECONDS


def test_a_table_that_never_takes_the_cancel_is_not_asked_for_ever(
    rb: Runbook, history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    session_id, clock = history.claim(), Clock()
    let_conflict(rb, monkeypatch, math.inf)
    with pytest.raises(JournalUnavailable):
        close(rb, session_id, clock)
    assert patience.TRY_SECONDS / 2 < clock.seconds <= patience.TRY_SECONDS


def test_a_run_that_has_ended_is_not_tried_again(rb: Runbook, history: History) -> None:
    session_id, clock = history.completed(), Clock()
    with pytest.raises(RunClosed):
        close(rb, session_id, clock)
    assert clock.seconds == 0
    assert rb.events(session_id).outcome == rb.outcome(session_id)


def test_the_end_is_the_newest_event_though_this_machine_s_clock_is_slow(rb: Runbook, history: History) -> None:
    session_id = history.claim()
    later = utc_now() + timedelta(seconds=90)
    newest = history.add(session_id, Status.AGENT_BACKGROUND_TASK_HEARTBEAT, later, attempt=1)
    event = close(rb, session_id, Clock())
    assert event.created_at == newest.created_at.replace(microsecond=later.microsecond // 1000 * 1000)
    assert rb.events(session_id)[-1].created_at == event.created_at


def test_a_machine_whose_clock_is_right_stamps_its_own_time(rb: Runbook, history: History) -> None:
    before = utc_now()
    assert before <= close(rb, history.claim(), Clock()).created_at <= utc_now()


@pytest.mark.parametrize(
    ("reason", "message"),
    [
        ("", "reason is '' (0 characters): it must be a text of 1 to 2048 bytes"),
        (" \n", "reason is "),
        ("x" * 2049, "reason is 2049 bytes long: it must be a text of 1 to 2048 bytes"),
        ("ä" * 1025, "reason is 2050 bytes long"),
        ("half \ud800", "of UTF-8"),
    ],
)
def test_a_reason_that_can_not_be_stored_is_refused(rb: Runbook, history: History, reason: str, message: str) -> None:
    session_id = history.claim()
    with Stubber(rb.clients.agentcore), pytest.raises(InvalidRequest) as refused:
        rb.cancel(session_id, reason)
    assert message in str(refused.value)
    assert rb.outcome(session_id) is None


def test_the_longest_reason_is_stored_whole() -> None:
    assert cancelling.check_reason("ä" * 1024) == "ä" * 1024
