"""The runbook on a mocked account."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from unittest.mock import Mock

import pytest
from botocore.stub import Stubber

from runbook.clients import Clients
from runbook.connection import PROJECT
from runbook.errors import NoRecentRun, ReportMissing, RunNotFound
from runbook.outputs import StackOutputs
from runbook.runbook import Runbook
from runtime.contract.errors import InvalidRequest
from runtime.journal.timestamps import utc_now
from runtime.journal.vocabulary import Status
from tests.runbook.history import History, new_session_id


def test_the_report_is_where_the_outcome_says(
    rb: Runbook, history: History, clients: Clients, outputs: StackOutputs
) -> None:
    session_id = history.completed()
    clients.s3.put_object(
        Bucket=outputs.artifact_bucket_name, Key=f"sessions/{session_id}/reporter.md", Body="# Wölkchen".encode()
    )
    assert rb.report(session_id) == "# Wölkchen"
    assert rb.artifacts(session_id) == [f"sessions/{session_id}/reporter.md"]


def test_the_page_s_query_finds_the_terminal_event(rb: Runbook, history: History) -> None:
    page = (PROJECT / "docs" / "runbook.md").read_text(encoding="utf-8")
    code = page.split("## The query itself")[1].split("```python\n")[1].split("```")[0]
    names: dict[str, Any] = {"rb": rb, "session_id": history.completed()}
    exec(code, names)  # noqa: S102 - the page's own
    assert names["answer"]["Item"]["status"]["S"] == Status.AGENT_BACKGROUND_TASK_COMPLETED


def test_an_open_run_has_no_report(rb: Runbook, history: History) -> None:
    with pytest.raises(ReportMissing, match="no outcome yet"):
        rb.report(history.claim())


def test_the_report_of_an_unknown_run_is_a_run_not_found(rb: Runbook) -> None:
    with pytest.raises(RunNotFound):
        rb.report(new_session_id())


def test_a_mistyped_session_id_is_named(rb: Runbook) -> None:
    with pytest.raises(InvalidRequest, match="'123'"):
        rb.events("123")


def test_an_id_may_have_spaces_around_it_and_latest_is_the_run_that_began_last(rb: Runbook, history: History) -> None:
    with pytest.raises(NoRecentRun):
        rb.events("latest")
    session_id = history.claim(utc_now())
    assert rb.events(f" {session_id}\n").session_id == session_id
    assert rb.metadata(" latest ").session_id == session_id


@pytest.fixture
def agentcore(clients: Clients) -> Iterator[Stubber]:
    """AgentCore's answers; moto has none for stopping a session."""
    with Stubber(clients.agentcore) as stubber:
        yield stubber


def test_a_cancelled_run_has_its_reason_and_keeps_its_time_to_live(
    rb: Runbook, history: History, agentcore: Stubber
) -> None:
    agentcore.add_response("stop_runtime_session", {"statusCode": 200})
    session_id = history.claim()
    cancelled = rb.cancel(session_id, "the prompt was wrong")
    outcome = rb.outcome(session_id)
    assert outcome is not None
    assert outcome.event_id == cancelled.event.event_id
    assert (outcome.status, outcome.error_message) == (Status.SESSION_CANCELLED, "the prompt was wrong")
    assert round((outcome.expires_at - outcome.created_at.timestamp()) / 86_400) == 90
    assert (cancelled.session_stopped, cancelled.stop_error) == (True, None)


@pytest.mark.parametrize(("code", "stop_error"), [("ResourceNotFoundException", None), ("ThrottlingException", "Thro")])
def test_a_session_that_can_not_be_stopped_does_not_undo_the_cancel(
    rb: Runbook, history: History, agentcore: Stubber, code: str, stop_error: str | None
) -> None:
    agentcore.add_client_error("stop_runtime_session", code, "no")
    session_id = history.claim()
    cancelled = rb.cancel(session_id, "the prompt was wrong")
    assert not cancelled.session_stopped
    assert (cancelled.stop_error or "").find(stop_error or "") >= 0
    outcome = rb.outcome(session_id)
    assert outcome is not None
    assert outcome.event_id == cancelled.event.event_id


def test_the_summary_has_exactly_these_fields(rb: Runbook, history: History, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rb, "_execution_if_known", Mock(return_value=None))
    session_id = history.completed(seconds=3)
    summary = rb.summary(session_id).as_json()
    assert list(summary) == [
        *("sessionId", "workflow", "request", "outcome", "attempts", "steps", "events"),
        *("seconds", "waits", "polls", "stateTransitions"),
        *("logStreams", "artifacts", "report", "artifactsError"),
    ]
    assert summary["outcome"] == "AGENT_BACKGROUND_TASK_COMPLETED"
    assert summary["seconds"] == {"invoker": None, "acknowledge": None, "task": 2.97, "waited": 0.0, "total": 3.0}
    assert summary["events"][0]["status"] == "SESSION_INITIATED"
    json.dumps(summary)


@pytest.mark.parametrize("code", ["NoSuchBucket", "AccessDenied"])
def test_without_its_bucket_a_run_is_told_and_its_cost_estimated_all_the_same(
    rb: Runbook, history: History, monkeypatch: pytest.MonkeyPatch, code: str
) -> None:
    monkeypatch.setattr(rb, "_execution_if_known", Mock(return_value=None))
    session_id = history.completed(seconds=3)
    with Stubber(rb.clients.s3) as s3:
        for _ in range(2):
            s3.add_client_error("list_objects_v2", code, "as it is")
        summary = rb.summary(session_id)
        cost = {item.item: item for item in rb.cost(session_id, model_id="unknown")}
    assert (summary.artifacts, summary.report) == ([], None)
    assert code in str(summary.as_json()["artifactsError"])
    assert cost["artifacts written"].quantity == 0


def test_a_report_that_may_not_be_read_leaves_the_rest_of_the_summary(
    rb: Runbook, history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rb, "_execution_if_known", Mock(return_value=None))
    session_id = history.completed(seconds=3)
    with Stubber(rb.clients.s3) as s3:
        s3.add_response("list_objects_v2", {"Contents": [{"Key": f"sessions/{session_id}/reporter.md"}]})
        s3.add_client_error("get_object", "AccessDenied", "you may not")
        assert "you may not" in str(rb.summary(session_id).artifacts_error)
