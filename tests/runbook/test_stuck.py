"""Telling trouble from patience."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from unittest.mock import Mock

import pytest
from botocore.stub import Stubber

from runbook.events import Events
from runbook.runbook import Runbook
from runbook.stuck import FORGOTTEN, deadline, diagnose
from runtime.journal.records import Event, RunMetadata
from runtime.journal.timestamps import to_timestamp, utc_now
from runtime.journal.vocabulary import Status
from tests.runbook.history import NOON, YES, History, event, metadata_item
from tests.runbook.test_lanes import answers, asks

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


def beat(seconds: int, attempt: int = 1) -> Event:
    """A sign of life."""
    at = NOON + seconds * SECOND
    return event(ID, Status.AGENT_BACKGROUND_TASK_HEARTBEAT, at, attempt=attempt, lease_expires_at=at + 20 * SECOND)


HOUR = 3600
ASKED = [ACKNOWLEDGED, beat(300), asks(310, 1, 1)]
"""A day is waited, in turns of an hour."""
ANSWERED = [*ASKED, answers(20 * HOUR, 1, YES)]
AGAIN = [
    *ANSWERED,
    event(
        ID,
        Status.AGENT_INVOCATION_SUCCEEDED,
        NOON + 20 * HOUR * SECOND,
        attempt=2,
        lease_expires_at=NOON + (20 * HOUR + 20) * SECOND,
        detail={"deadline": to_timestamp(NOON + (20 * HOUR + 290) * SECOND)},
    ),
]


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
        (ASKED, "RUNNING", 24 * HOUR, None),
        (ASKED, "RUNNING", 310 + 25 * HOUR + 299, None),
        (ASKED, "RUNNING", 310 + 25 * HOUR + 301, "WAIT_EXPIRED"),
        ([ACKNOWLEDGED, asks(310, 1, 1, hours=0.1)], "RUNNING", 310 + 720 + 299, None),
        ([ACKNOWLEDGED, asks(310, 1, 1, hours=0.1)], "RUNNING", 310 + 720 + 301, "WAIT_EXPIRED"),
        (ASKED, "ABORTED", 400, "EXECUTION_ENDED"),
        (ANSWERED, "RUNNING", 21 * HOUR + 299, None),
        (ANSWERED, "RUNNING", 21 * HOUR + 301, "NOT_STARTED"),
        (AGAIN, "RUNNING", 20 * HOUR + 60, None),
        (AGAIN, "RUNNING", 20 * HOUR + 71, "SILENT"),
        ([*AGAIN, beat(20 * HOUR + 330, 2)], "RUNNING", 20 * HOUR + 340, None),
        ([*AGAIN, beat(20 * HOUR + 330, 2)], "RUNNING", 20 * HOUR + 341, "OVERDUE"),
    ],
)
def test_an_open_run_is_in_trouble_when_nobody_will_end_it(
    events: list[Event], status: str, seconds: int, trouble: str | None
) -> None:
    found = diagnose(METADATA, Events(ID, events), status, NOON + seconds * SECOND)
    assert (found[0] if found else None) == trouble


@pytest.mark.parametrize(
    ("events", "seconds", "said"),
    [
        (ASKED, 30 * HOUR, f"its questions expired at {to_timestamp(NOON + (310 + 24 * HOUR) * SECOND)}, and nobody"),
        (ANSWERED, 22 * HOUR, "no agent in 7200 s since its question was answered; 0 failed calls"),
    ],
)
def test_a_run_that_asked_says_what_did_not_come_of_it(events: list[Event], seconds: int, said: str) -> None:
    found = diagnose(METADATA, Events(ID, events), "RUNNING", NOON + seconds * SECOND)
    assert said in str(found)


def test_the_deadline_is_that_of_the_newest_segment_and_stands_still_while_the_run_waits() -> None:
    resumed = [*AGAIN, replace(AGAIN[-1], attempt=3, detail={"deadline": to_timestamp(NOON + 21 * HOUR * SECOND)})]
    found = [deadline(Events(ID, events)) for events in ([ACKNOWLEDGED], ASKED, ANSWERED, AGAIN, resumed)]
    later = [NOON + (20 * HOUR + 290) * SECOND, NOON + 21 * HOUR * SECOND]
    assert found == [NOON + 601 * SECOND, None, None, *later]


def test_a_run_that_never_started_says_why() -> None:
    failures = [
        event(ID, Status.AGENT_INVOCATION_FAILED, NOON, error_type="AgentThrottled", error_message=f"{number} sessions")
        for number in (1, 2)
    ]
    found = diagnose(METADATA, Events(ID, failures), "RUNNING", NOON + 400 * SECOND)
    assert found
    assert found[1] == "no agent in 400 s; 2 failed calls, at last AgentThrottled: 2 sessions"


def test_runs_that_have_waited_are_looked_at_however_old_they_are(
    rb: Runbook, history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked = Mock(return_value={"status": "RUNNING"})
    monkeypatch.setattr(rb.clients.stepfunctions, "describe_execution", looked)
    began = utc_now() - timedelta(days=33)
    expired, waiting, ended = (history.claim(began + number * SECOND) for number in range(3))
    history.ask(expired, began, hours=30 * 24)
    history.ask(waiting, utc_now() - timedelta(days=3), hours=30 * 24)
    history.ask(ended, began)
    history.close(ended, Status.SESSION_CANCELLED, began)
    assert [(found.session_id, found.trouble) for found in rb.stuck()] == [(expired, "WAIT_EXPIRED")]
    assert looked.call_count == 2, "an ended run is not looked at"


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
