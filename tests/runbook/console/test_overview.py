"""What the console's first page says."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
from botocore.stub import ANY, Stubber

from runbook.console.overview import Overview, look, running_steps
from runbook.console.spending import Spending
from runbook.events import Events
from runbook.runbook import Runbook
from runtime.journal.timestamps import to_timestamp, utc_now
from runtime.journal.vocabulary import Status
from tests.runbook.console.rows import made
from tests.runbook.history import NOON, History, event, new_session_id

NOW = utc_now()
HOUR = timedelta(hours=1)
SECOND = timedelta(seconds=1)


@pytest.fixture
def running(rb: Runbook) -> Iterator[Stubber]:
    """Step Functions, to which every execution runs."""
    with Stubber(rb.clients.stepfunctions) as stubber:
        for _ in range(4):
            answer = {"status": "RUNNING", "startDate": NOW, "executionArn": "a" * 10, "stateMachineArn": "b" * 10}
            stubber.add_response("describe_execution", answer, {"executionArn": ANY})
        yield stubber


def look_now(rb: Runbook) -> Overview:
    """The last day."""
    return look(rb, NOW - 24 * HOUR, NOW)


def test_the_newest_run_comes_first_and_each_is_counted_once(rb: Runbook, history: History, running: Stubber) -> None:
    completed = history.completed(NOW - 4 * HOUR)
    failed = history.claim(NOW - 3 * HOUR)
    history.close(failed, Status.SESSION_FAILED, NOW - 2 * HOUR, error_type="AgentLost", error_message="gone")
    cancelled = history.claim(NOW - 2 * HOUR)
    history.close(cancelled, Status.SESSION_CANCELLED, NOW - HOUR, error_type="Cancelled", error_message="no need")
    timed_out = history.claim(NOW - HOUR)
    history.close(timed_out, Status.SESSION_TIMED_OUT, NOW - HOUR + SECOND, error_type="RunTimedOut")
    opened = history.claim(NOW - 20 * SECOND)
    found = look_now(rb)
    assert [row.session_id for row in found.rows] == [opened, timed_out, cancelled, failed, completed]
    assert [row.word for row in found.rows] == ["open", "timed out", "cancelled", "failed", "completed"]
    assert (found.failed, found.open, found.stuck) == (2, 1, 0)
    assert found.rows[3].error == "AgentLost: gone"


def test_an_open_run_says_what_it_does_since_when_and_until_when(
    rb: Runbook, history: History, running: Stubber
) -> None:
    session_id = history.claim(NOW - 60 * SECOND, request={"prompt": "Count", "workflow": "investigate"})
    until = to_timestamp(NOW + 9 * 60 * SECOND)
    status = Status.AGENT_INVOCATION_SUCCEEDED
    history.add(session_id, status, NOW - 50 * SECOND, attempt=1, detail={"deadline": until})
    history.add(session_id, Status.AGENT_BACKGROUND_TASK_STARTED, NOW - 45 * SECOND, attempt=1)
    history.add(session_id, "TASK_PLANNER_STARTED", NOW - 40 * SECOND, attempt=1, step="planner")
    history.add(session_id, "TASK_PLANNER_COMPLETED", NOW - 30 * SECOND, attempt=1, step="planner")
    for item in (0, 1):
        history.add(session_id, "TASK_WORKER_STARTED", NOW - (20 - item) * SECOND, attempt=1, step="worker", item=item)
    last = history.add(session_id, Status.AGENT_BACKGROUND_TASK_HEARTBEAT, NOW - 5 * SECOND, attempt=1)
    (row,) = look_now(rb).rows
    assert (row.workflow, row.steps) == ("investigate", ("worker [0]", "worker [1]"))
    assert row.seconds == pytest.approx(60, abs=0.01)
    assert row.last_sign_at == last.created_at.replace(microsecond=last.created_at.microsecond // 1000 * 1000)
    assert row.deadline
    assert to_timestamp(row.deadline) == until


def test_a_lost_attempt_works_on_nothing() -> None:
    began = event("x" * 36, Status.AGENT_BACKGROUND_TASK_STARTED, NOON, attempt=1)
    started = event("x" * 36, "TASK_ANALYST_STARTED", NOON, attempt=1, step="analyst")
    lost = event("x" * 36, Status.AGENT_BACKGROUND_TASK_LOST, NOON, attempt=1)
    assert running_steps(Events("x" * 36, [began, started])) == ("analyst",)
    assert running_steps(Events("x" * 36, [began, started, lost])) == ()


def test_an_open_run_of_the_day_before_yesterday_is_there_and_an_ended_one_is_not(
    rb: Runbook, history: History
) -> None:
    history.completed(NOW - 40 * HOUR)
    stuck = history.claim(NOW - 40 * HOUR)
    with Stubber(rb.clients.stepfunctions) as stepfunctions:
        stepfunctions.add_client_error("describe_execution", "ExecutionDoesNotExist", "no")
        found = look_now(rb)
    assert [row.session_id for row in found.rows] == [stuck]
    assert (found.open, found.stuck, found.rows[0].word) == (1, 1, "stuck")
    assert found.rows[0].trouble
    assert found.rows[0].trouble.startswith("EXECUTION_ENDED: nobody watches it")


def test_a_run_knows_its_newest_retry(rb: Runbook, history: History, running: Stubber) -> None:
    first = history.claim(NOW - 5 * HOUR)
    history.close(first, Status.SESSION_FAILED, NOW - 4 * HOUR)
    history.completed(NOW - 3 * HOUR, request={"prompt": "Count", "retryOf": first})
    newest = history.completed(NOW - 2 * HOUR, request={"prompt": "Count", "retryOf": first})
    rows = {row.session_id: row for row in look_now(rb).rows}
    assert (rows[first].retried_as, rows[newest].retry_of) == (newest, first)


def test_filters_narrow_by_status_workflow_and_text(rb: Runbook, history: History, running: Stubber) -> None:
    history.completed(NOW - 4 * HOUR, request={"prompt": "Count the clouds", "workflow": "verify"})
    timed_out = history.claim(NOW - 3 * HOUR, request={"prompt": "Sum up", "requestedBy": "The nightly import"})
    history.close(timed_out, Status.SESSION_TIMED_OUT, NOW - 2 * HOUR, error_type="RunTimedOut", error_message="slow")
    history.claim(NOW - 20 * SECOND)
    found = look_now(rb)
    assert [row.session_id for row in found.only("failed")] == [timed_out]
    assert [row.session_id for row in found.only("timed out")] == [timed_out]
    assert [row.prompt for row in found.only(workflow="verify")] == ["Count the clouds"]
    for text in ("runtimedOUT", "NIGHTLY", timed_out[:8], "sum up "):
        assert [row.session_id for row in found.only(text=text)] == [timed_out]
    assert found.only("failed", "verify") == ()
    assert len(found.only()) == 3


def test_an_ended_run_is_asked_for_its_cost_once(
    rb: Runbook, history: History, running: Stubber, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    cost = rb.cost

    def noted(session_id: str, *, model_id: str | None = None) -> object:
        asked.append(session_id)
        return cost(session_id, model_id=model_id)

    monkeypatch.setattr(rb, "cost", noted)
    monkeypatch.setattr(rb, "model_id", lambda: "a model without a price")
    monkeypatch.setattr(rb, "_execution_if_known", {}.get)
    ended, opened = history.completed(NOW - 4 * HOUR), history.claim(NOW - 20 * SECOND)
    spending = Spending(rb)
    rows = look_now(rb).rows
    first, second = spending.of(rows), spending.of(rows)
    assert first == second
    assert (first.counted, first.runs, first.is_partial) == (2, 2, True)
    assert first.usd > 0
    assert sorted(asked) == sorted([ended, opened, opened])


def test_a_run_that_nothing_tells_about_is_left_out_of_the_sum(rb: Runbook, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rb, "model_id", lambda: "")
    spent = Spending(rb).of([made(new_session_id())])
    assert (spent.usd, spent.counted, spent.runs) == (0, 0, 1)
