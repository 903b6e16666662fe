"""What the console's page of one run says."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from botocore.exceptions import ClientError

from runbook.clients import Clients
from runbook.console.details import MAX_ARTIFACT_BYTES, MAX_LINES, RunDetails, look_closely
from runbook.console.run_page import sections
from runbook.outputs import StackOutputs
from runbook.runbook import Runbook
from runtime.journal.vocabulary import Status
from tests.runbook.console.test_pages import EVIL, seen, typeset
from tests.runbook.history import NOON, History, write_log

SECOND = timedelta(seconds=1)
TRACE = 'Traceback (most recent call last):\n  File "steps.py", line 1\nValueError: no clouds'


@pytest.fixture(autouse=True)
def without_executions(rb: Runbook, monkeypatch: pytest.MonkeyPatch) -> None:
    """Step Functions has forgotten everything."""
    monkeypatch.setattr(rb, "_execution_if_known", {}.get)
    monkeypatch.setattr(rb, "model_id", lambda: "anthropic.claude-sonnet-4-6")


@pytest.fixture
def failed(history: History, clients: Clients, outputs: StackOutputs) -> str:
    """A run whose second step raised."""
    session_id = history.claim(request={"prompt": f"Count {EVIL}"})
    history.add(session_id, Status.AGENT_INVOCATION_STARTED, NOON, attempt=1)
    history.add(session_id, Status.AGENT_BACKGROUND_TASK_STARTED, NOON, attempt=1, environment_id="e1-environment")
    history.add(session_id, "TASK_ANALYST_STARTED", NOON + SECOND, attempt=1, step="analyst")
    key = f"sessions/{session_id}/analyst.md"
    detail = {"artifact": key, "tokens": {"inputTokens": 11, "outputTokens": 7}}
    history.add(session_id, "TASK_ANALYST_COMPLETED", NOON + 3 * SECOND, attempt=1, step="analyst", detail=detail)
    history.add(session_id, "TASK_REPORTER_STARTED", NOON + 4 * SECOND, attempt=1, step="reporter")
    error = {"error_type": "ValueError", "error_message": f"no clouds {EVIL}"}
    history.add(session_id, "TASK_REPORTER_FAILED", NOON + 5 * SECOND, attempt=1, step="reporter", **error)
    history.close(session_id, Status.AGENT_BACKGROUND_TASK_FAILED, NOON + 6 * SECOND, attempt=1, **error)
    clients.s3.put_object(Bucket=outputs.artifact_bucket_name, Key=key, Body=f"# Clouds\n\n{EVIL}".encode())
    clients.s3.put_object(
        Bucket=outputs.artifact_bucket_name, Key=f"sessions/{session_id}/plan.json", Body=json.dumps([EVIL]).encode()
    )
    lines = ["plain", json.dumps({"level": "ERROR", "message": EVIL, "errorType": "ValueError", "stackTrace": TRACE})]
    write_log(clients, outputs, session_id, "e1-environment", NOON, *lines)
    return session_id


def completed(history: History) -> str:
    """A run that has a report."""
    session_id = history.claim()
    detail = {"reportKey": f"sessions/{session_id}/reporter.md"}
    history.close(session_id, Status.AGENT_BACKGROUND_TASK_COMPLETED, NOON + SECOND, attempt=1, detail=detail)
    return session_id


def look(rb: Runbook, session_id: str) -> RunDetails:
    """A look at it, soon after."""
    return look_closely(rb, session_id, "fire-and-forget.dev", NOON + 60 * SECOND)


def test_steps_say_what_went_in_and_what_came_out(rb: Runbook, failed: str) -> None:
    analyst, reporter = look(rb, failed).steps
    assert (analyst.state, analyst.work.seconds, analyst.tokens, analyst.inputs) == ("completed", 2.0, 18, ())
    assert analyst.artifact == f"sessions/{failed}/analyst.md"
    assert (reporter.state, reporter.inputs, reporter.artifact) == ("failed", ("analyst",), "")
    assert reporter.error.startswith("ValueError: no clouds")


def test_the_page_says_where_and_why_with_the_traceback_folded(rb: Runbook, failed: str) -> None:
    page = dict(sections(look(rb, failed)))
    assert "In step reporter: ValueError: no clouds" in seen(page["head"])
    assert "<details><summary>Traceback, 3 lines</summary>" in page["head"]
    assert [name for name in page if name.startswith(("step ", "artifact ", "log "))] == [
        *("step analyst", "step reporter"),
        *(f"artifact sessions/{failed}/analyst.md", f"artifact sessions/{failed}/plan.json"),
        "log e1-environment",
    ]
    assert "In: the request, what analyst wrote." in seen(page["step reporter"])
    assert "at list prices" in page["cost"]


def test_nothing_of_a_run_acts(rb: Runbook, failed: str) -> None:
    page = "".join(content for _, content in sections(look(rb, failed)))
    pictures = page.count('<img class="rbc-picture" alt="Timeline of the run; its events are below" src="data:')
    assert page.count("<img") == pictures == 1
    assert page.count("&lt;img") >= 6
    assert "\u202e" not in page
    assert "$" not in typeset(page)


def test_a_traceback_of_another_error_is_not_taken_for_this_one_s(
    rb: Runbook, failed: str, clients: Clients, outputs: StackOutputs
) -> None:
    later = json.dumps({"level": "ERROR", "message": "x", "errorType": "KeyError", "stackTrace": "KeyError: 'x'"})
    write_log(clients, outputs, failed, "e2-environment", NOON + 3 * SECOND, later)
    assert look(rb, failed).traceback == TRACE


def test_what_is_refused_is_left_out_with_its_reason(rb: Runbook, failed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise ClientError({"Error": {"Code": "AccessDenied", "Message": "you may not"}}, "GetLogEvents")

    monkeypatch.setattr(rb, "log_events", refuse)
    monkeypatch.setattr(rb, "cost", refuse)
    found = look(rb, failed)
    assert len(found.steps) == 2
    page = dict(sections(found))
    assert "you may not" in page["logs"]
    assert "you may not" in page["cost"]
    assert "No traceback" not in page["head"]


def test_what_is_very_long_is_cut(rb: Runbook, history: History, clients: Clients, outputs: StackOutputs) -> None:
    session_id = completed(history)
    key = f"sessions/{session_id}/reporter.md"
    text = "ä" * MAX_ARTIFACT_BYTES
    clients.s3.put_object(Bucket=outputs.artifact_bucket_name, Key=key, Body=text.encode())
    write_log(clients, outputs, session_id, "e1", NOON, *(f"line {number}" for number in range(MAX_LINES + 3)))
    found = look(rb, session_id)
    (artifact,), (log,) = found.artifacts.value, found.logs.value
    assert artifact.is_cut
    assert artifact.text == "ä" * (MAX_ARTIFACT_BYTES // 2)
    assert (len(log.lines), log.left_out, log.lines[-1].message) == (MAX_LINES, 3, f"line {MAX_LINES + 2}")
    page = dict(sections(found))
    assert "<details open>" in page[f"artifact {key}"]
    assert "3 lines in the middle are left out." in page["log e1"]


def test_bytes_that_are_no_text_are_said_to_be_none(
    rb: Runbook, history: History, clients: Clients, outputs: StackOutputs
) -> None:
    session_id = completed(history)
    key = f"sessions/{session_id}/picture.png"
    clients.s3.put_object(Bucket=outputs.artifact_bucket_name, Key=key, Body=b"\x89PNG")
    assert "This is no text." in dict(sections(look(rb, session_id)))[f"artifact {key}"]


def test_a_step_that_a_lost_attempt_left_behind_is_cut_off(rb: Runbook, history: History) -> None:
    session_id = history.claim()
    history.add(session_id, Status.AGENT_BACKGROUND_TASK_STARTED, NOON, attempt=1, environment_id="e1-environment")
    history.add(session_id, "TASK_ANALYST_STARTED", NOON + SECOND, attempt=1, step="analyst")
    history.close(session_id, Status.SESSION_FAILED, NOON + 9 * SECOND, error_type="AgentLost")
    assert [step.state for step in look(rb, session_id).steps] == ["cut off"]
