"""Telling trouble from patience."""

from __future__ import annotations

from datetime import timedelta

import pytest
from botocore.stub import Stubber

from runbook.events import Events
from runbook.runbook import Runbook
from runbook.stuck import FORGOTTEN, diagnose
from runtime.journal.records import Event, RunMetadata
from runtime.journal.timestamps import to_timestamp, utc_now
from runtime.journal.vocabulary import Status
from tests.runbook.history import NOON, History, event, metadata_item

ID = "0" * 36
SECOND = timedelta(seconds=1)
METADATA = RunMetadata.from_item(metadata_item(ID, NOON, {"prompt": "Count"}))
ACKNOWLEDGED = event(
    ID,
    Status.AGENT_INVOCATION_SUCCEEDED,
    NOON + SECOND,
    attempt=1,
    lease_expires_at=NOON + 21 * SECOND,
    detail={"deadline": to_timestamp(NOON + 601 * SECOND)},
)


def beat(seconds: int) -> Event:
    """A sign of life."""
    at = NOON + seconds * SECOND
    return event(ID, Status.AGENT_BACKGROUND_TASK_HEARTBEAT, at, attempt=1, lease_expires_at=at + 20 * SECOND)


@pytest.mark.parametrize(
    ("events", "status", "seconds", "trouble"),
    [
        ([ACKNOWLEDGED, beat(300)], "RUNNING", 310, None),
        ([ACKNOWLEDGED, beat(300)], "RUNNING", 369, None),
        ([ACKNOWLEDGED, beat(300)], "RUNNING", 371, "SILENT"),
        ([ACKNOWLEDGED, beat(640)], "RUNNING", 650, None),
        ([ACKNOWLEDGED, beat(640)], "RUNNING", 652, "OVERDUE"),
        ([ACKNOWLEDGED], "ABORTED", 30, None),
        ([ACKNOWLEDGED], "ABORTED", 40, "EXECUTION_ENDED"),
        ([ACKNOWLEDGED], FORGOTTEN, 40, "EXECUTION_ENDED"),
        ([], "RUNNING", 299, None),
        ([], "RUNNING", 301, "NOT_STARTED"),
    ],
)
def test_an_open_run_is_in_trouble_when_nobody_will_end_it(
    events: list[Event], status: str, seconds: int, trouble: str | None
) -> None:
    found = diagnose(METADATA, Events(ID, events), status, NOON + seconds * SECOND)
    assert (found[0] if found else None) == trouble


def test_a_run_that_never_started_says_why() -> None:
    failures = [
        event(ID, Status.AGENT_INVOCATION_FAILED, NOON, error_type="AgentThrottled", error_message=f"{number} sessions")
        for number in (1, 2)
    ]
    found = diagnose(METADATA, Events(ID, failures), "RUNNING", NOON + 400 * SECOND)
    assert found
    assert found[1] == "no agent in 400 s; 2 failed calls, at last AgentThrottled: 2 sessions"


def test_only_open_runs_are_looked_at(rb: Runbook, history: History) -> None:
    history.completed(utc_now() - timedelta(hours=1))
    stuck = history.claim(utc_now() - timedelta(hours=1), request={"prompt": "Count"})
    with Stubber(rb.clients.stepfunctions) as stepfunctions:
        stepfunctions.add_client_error("describe_execution", "ExecutionDoesNotExist", "no")
        (found,) = rb.stuck().to_json()
    assert found | {"beganAt": ""} == {
        "sessionId": stuck,
        "trouble": "EXECUTION_ENDED",
        "explanation": "nobody watches it: its execution is unknown to Step Functions",
        "beganAt": "",
        "lastStatus": "SESSION_INITIATED",
        "prompt": "Count",
    }
