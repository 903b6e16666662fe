"""Log streams of execution environments."""

from __future__ import annotations

import json
from datetime import date, timedelta
from functools import partial

import pytest

from runbook.clients import Clients
from runbook.logs import StreamKind, StreamName, parse_stream_name
from runbook.outputs import StackOutputs
from runbook.runbook import Runbook
from runtime.journal.vocabulary import Status
from tests.runbook.history import NOON, History, write_log

ENVIRONMENT = "f3a95c1e-0cb4-4a6f-8f9f-0d6f5a8f0001"
OTHER = "0a1b2c3d-0cb4-4a6f-8f9f-0d6f5a8f0002"


def entry(level: str, message: str, **fields: object) -> str:
    """A line of the SDK's logger."""
    return json.dumps({"timestamp": "…", "level": level, "message": message, "logger": "app", **fields})


@pytest.fixture
def session_id(history: History) -> str:
    """A run of an hour that ended."""
    session_id = history.claim()
    history.close(session_id, Status.SESSION_FAILED, NOON + timedelta(hours=1))
    return session_id


@pytest.mark.parametrize(
    ("name", "parsed"),
    [
        (
            f"2026/11/22/[runtime-logs-abc-1]{ENVIRONMENT}",
            ("RUNTIME", date(2026, 11, 22), "abc-1", ENVIRONMENT),
        ),
        (f"2026/11/22/[runtime-logs]{ENVIRONMENT}", ("RUNTIME", date(2026, 11, 22), None, ENVIRONMENT)),
        ("otel-rt-logs", ("OTEL", None, None, None)),
        ("spans", ("SPANS", None, None, None)),
        ("2026/11/22/[$LATEST]abc", ("OTHER", None, None, None)),
    ],
)
def test_a_stream_s_name_tells_day_session_and_environment(
    name: str, parsed: tuple[str, date | None, str | None, str | None]
) -> None:
    kind, day, session_id, environment_id = parsed
    assert parse_stream_name(name) == StreamName(name, StreamKind(kind), day, session_id, environment_id)


def test_every_environment_of_a_run_is_found_and_none_of_another(
    rb: Runbook, clients: Clients, outputs: StackOutputs, session_id: str
) -> None:
    own = "11112222-0cb4-4a6f-8f9f-0d6f5a8f0001"
    began = f"Attempt 1 of run {session_id} began in environment {own}"
    write_log(
        clients, outputs, session_id, OTHER, NOON + timedelta(minutes=2), "Attempt 2 of run x began", "ERROR: bad"
    )
    write_log(clients, outputs, session_id, ENVIRONMENT, NOON, entry("INFO", began), entry("ERROR", "boom"))
    write_log(clients, outputs, f"{session_id}-2", ENVIRONMENT, NOON, "another session's")
    clients.logs.create_log_stream(logGroupName=outputs.agent_log_group_name, logStreamName="otel-rt-logs")
    found = rb.log_streams(session_id)
    assert [(stream.environment_id, stream.attempts, stream.lines, stream.errors) for stream in found] == [
        # As the journal has it, where the agent says what that is.
        (own, (1,), 2, 1),
        (OTHER, (2,), 2, 1),
    ]
    assert (found[0].first_at, found[0].last_at) == (NOON, NOON + timedelta(seconds=1))
    assert found.to_frame()["attempts"].tolist() == ["1", "2"]
    assert [line.environment_id for line in rb.log_events(session_id, level="ERROR")] == [own, OTHER]


def test_a_run_that_crosses_midnight_has_streams_on_both_days(
    rb: Runbook, history: History, clients: Clients, outputs: StackOutputs
) -> None:
    midnight = NOON - timedelta(hours=12)
    session_id = history.claim(midnight - timedelta(minutes=1))
    history.close(session_id, Status.SESSION_FAILED, midnight + timedelta(minutes=1))
    write_log(clients, outputs, session_id, ENVIRONMENT, midnight - timedelta(minutes=1), "before")
    write_log(clients, outputs, session_id, OTHER, midnight, "after")
    assert [line.message for line in rb.log_events(session_id)] == ["before", "after"]


def test_an_environment_whose_clock_is_a_little_ahead_is_found_on_the_next_day(
    rb: Runbook, history: History, clients: Clients, outputs: StackOutputs
) -> None:
    midnight = NOON - timedelta(hours=12)
    session_id = history.claim(midnight - timedelta(seconds=2))
    # The agent's clock is behind the state machine's: the end is stamped before the beginning.
    history.close(session_id, Status.SESSION_FAILED, midnight - timedelta(seconds=3))
    write_log(clients, outputs, session_id, ENVIRONMENT, midnight + timedelta(seconds=1), "hello")
    assert len(rb.log_streams(session_id)) == 1


def test_a_run_without_logs_and_a_group_that_is_not_there_have_no_streams(
    rb: Runbook, clients: Clients, outputs: StackOutputs, session_id: str
) -> None:
    assert list(rb.log_streams(session_id)) == []
    clients.logs.delete_log_group(logGroupName=outputs.agent_log_group_name)
    assert list(rb.log_streams(session_id)) == []


def test_lines_of_several_environments_are_merged_by_time(
    rb: Runbook, clients: Clients, outputs: StackOutputs, session_id: str
) -> None:
    write_log(clients, outputs, session_id, ENVIRONMENT, NOON, "first", "third")
    write_log(clients, outputs, session_id, OTHER, NOON + timedelta(milliseconds=500), "second", "fourth")
    assert [line.message for line in rb.log_events(session_id)] == ["first", "second", "third", "fourth"]


def test_lines_are_chosen_by_level_and_text(
    rb: Runbook, clients: Clients, outputs: StackOutputs, session_id: str
) -> None:
    lines = [entry("INFO", "ready"), entry("WARNING", "slow model"), entry("ERROR", "model broke"), "plain model"]
    write_log(clients, outputs, session_id, ENVIRONMENT, NOON, *lines)
    assert [line.level for line in rb.log_events(session_id, level="warning")] == ["WARNING", "ERROR"]
    assert len(rb.log_events(session_id, text="MODEL")) == 3
    assert [line.message for line in rb.log_events(session_id, level="ERROR", text="broke")] == ["model broke"]
    with pytest.raises(ValueError, match="'LOUD'"):
        rb.log_events(session_id, level="LOUD")


def test_a_long_stream_is_read_to_its_end(
    rb: Runbook, clients: Clients, outputs: StackOutputs, session_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clients.logs, "get_log_events", partial(clients.logs.get_log_events, limit=10))
    write_log(clients, outputs, session_id, ENVIRONMENT, NOON, *(f"line {number}" for number in range(95)))
    assert len(rb.log_events(session_id)) == 95
