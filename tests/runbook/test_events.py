"""Events of a run, and following them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest

from runbook import events
from runbook.clients import Clients
from runbook.errors import RunNotFound, WatchInterrupted, WatchTimeout
from runbook.outputs import StackOutputs
from runbook.runbook import Runbook
from runtime.journal.reader import JournalReader
from runtime.journal.records import Event
from runtime.journal.timestamps import utc_now
from runtime.journal.vocabulary import Status
from tests.runbook.history import NOON, History, event, new_session_id

SECOND = timedelta(seconds=1)


class Clock:
    """Time that passes only while somebody sleeps; what is to happen meanwhile, happens then."""

    def __init__(self, *happenings: Callable[[], object]) -> None:
        self.now = 0.0
        self._happenings = iter(happenings)

    def sleep(self, seconds: float) -> None:
        """Let the time pass."""
        self.now += seconds
        next(self._happenings, lambda: None)()


@pytest.fixture
def reader(clients: Clients, outputs: StackOutputs) -> JournalReader:
    """A reader of the journal."""
    return JournalReader(clients.dynamodb, outputs.journal_table_name)


def watched(reader: JournalReader, session_id: str, clock: Clock, timeout_seconds: float = 100) -> Iterator[Event]:
    """What a watcher sees while the clock's happenings happen, one at each sleep."""
    return events.watch(reader, session_id, timeout_seconds=timeout_seconds, clock=lambda: clock.now, sleep=clock.sleep)


def statuses(found: Iterator[Event]) -> list[str]:
    """The statuses of events."""
    return [event.status for event in found]


def test_events_are_seen_as_they_arrive_and_the_watch_ends_with_the_terminal_one(
    reader: JournalReader, history: History
) -> None:
    session_id = history.claim()
    clock = Clock(
        lambda: history.add(session_id, "TASK_ANALYST_STARTED", NOON + SECOND),
        lambda: history.close(session_id, Status.SESSION_FAILED, NOON + 2 * SECOND),
    )
    assert statuses(watched(reader, session_id, clock)) == [
        "SESSION_INITIATED",
        "TASK_ANALYST_STARTED",
        "SESSION_FAILED",
    ]


def test_an_event_that_arrives_late_with_an_earlier_time_is_not_missed(reader: JournalReader, history: History) -> None:
    session_id = history.claim()
    clock = Clock(
        lambda: history.add(session_id, "TASK_ANALYST_STARTED", NOON + 30 * SECOND),
        lambda: history.add(session_id, "AGENT_INVOCATION_SUCCEEDED", NOON + 5 * SECOND),
        lambda: history.close(session_id, Status.SESSION_FAILED, NOON + 40 * SECOND),
    )
    assert "AGENT_INVOCATION_SUCCEEDED" in statuses(watched(reader, session_id, clock))


def test_however_wrong_a_clock_is_its_events_are_seen_before_the_end(reader: JournalReader, history: History) -> None:
    session_id = history.claim()
    clock = Clock(
        lambda: history.add(session_id, "TASK_ANALYST_STARTED", NOON + timedelta(hours=2)),
        lambda: history.add(session_id, "TASK_REPORTER_STARTED", NOON + SECOND),
        lambda: history.close(session_id, Status.SESSION_CANCELLED, NOON + 2 * SECOND),
    )
    assert statuses(watched(reader, session_id, clock))[-2:] == ["TASK_REPORTER_STARTED", "SESSION_CANCELLED"]


def test_no_event_is_seen_twice(reader: JournalReader, history: History) -> None:
    found = list(watched(reader, history.completed(), Clock()))
    assert len({event.event_id for event in found}) == len(found) == 9


def test_a_run_that_nobody_knows_is_not_waited_for_all_the_time(reader: JournalReader) -> None:
    clock = Clock()
    with pytest.raises(RunNotFound, match="after 60 s"):
        list(watched(reader, new_session_id(), clock, timeout_seconds=3600))
    assert clock.now == 60


def test_a_watch_that_takes_too_long_names_the_last_event(reader: JournalReader, history: History) -> None:
    clock = Clock()
    with pytest.raises(WatchTimeout, match="after 7 s: its last event is SESSION_INITIATED"):
        list(watched(reader, history.claim(), clock, timeout_seconds=7))
    assert clock.now == 7


def test_an_interrupted_watch_says_that_the_run_goes_on(reader: JournalReader, history: History) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    session_id = history.claim()
    with pytest.raises(WatchInterrupted, match=f"run {session_id} is no longer watched; it goes on by itself"):
        list(watched(reader, session_id, Clock(interrupt)))


def test_heartbeats_in_a_row_are_one_line_and_the_end_is_never_cut_off() -> None:
    now = utc_now()
    beats = [
        event("x", Status.AGENT_BACKGROUND_TASK_HEARTBEAT, now - n * SECOND, attempt=1) for n in range(3000, 2, -1)
    ]
    began = event("x", "TASK_ANALYST_STARTED", now - 3001 * SECOND, attempt=1)
    assert re.match(r"2998 heartbeats, last [34]\.\d s ago", repr(events.Events("x", [began, *beats])).splitlines()[-1])
    failed = event("x", "TASK_ANALYST_FAILED", now, attempt=1, error_type="Broken", error_message="at last")
    shown = events.Events("x", [began, *beats, failed])._repr_html_()
    assert "2998 heartbeats, the last after 49 min 58 s" in shown
    assert "Broken: at last" in shown
    released = event("x", Status.AGENT_BACKGROUND_TASK_HEARTBEAT, now, attempt=1, detail={"released": "shutting down"})
    assert events.Events("x", [*beats, released]).folded()[-1] is released


def test_a_watch_without_time_looks_once(reader: JournalReader, history: History) -> None:
    assert len(list(watched(reader, history.completed(), Clock(), timeout_seconds=0))) == 9


def test_a_long_history_is_read_to_its_end(rb: Runbook, history: History) -> None:
    session_id = history.claim()
    text = "x" * 2000
    history.put(
        event(session_id, "AGENT_BACKGROUND_TASK_HEARTBEAT", NOON + number * SECOND, error_message=text).to_item()
        for number in range(1, 601)
    )
    assert len(rb.events(session_id)) == 601


def test_a_slice_of_events_still_counts_from_the_first(rb: Runbook, history: History) -> None:
    found = rb.events(history.completed(seconds=3))
    assert found[-1:].to_frame()["seconds"].tolist() == [3.0]
    assert "3.000    AGENT_BACKGROUND_TASK_COMPLETED  1" in repr(found[-1:])
    assert list(found.to_frame()["attempt"].dropna()) == [1] * 8
