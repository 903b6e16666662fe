"""Runs that can't succeed: each ends once, with a type and a sentence that says what was wrong."""

import json
import uuid
from typing import Any

import pytest

from runtime.journal.vocabulary import Status
from tests.support.fake_model import FakeModel
from tests.support.running_cloud import RunningCloud
from tests.support.waiting import wait_until

# Nobody waits for an agent then, so that it is the same for both ways of noticing an end.
EITHER_WAY = pytest.mark.parametrize("cloud", ["poll"], indirect=True)


def put_event(cloud: RunningCloud, detail: object) -> str:
    """Put an event that the runbook would not let through, and return its id."""
    entry = {
        "Source": cloud.output("eventSource"),
        "DetailType": cloud.output("eventDetailType"),
        "Detail": json.dumps(detail),
    }
    return str(cloud.client("events").put_events(Entries=[entry])["Entries"][0]["EventId"])


def test_a_step_without_an_answer_fails_its_run(cloud: RunningCloud, model: FakeModel) -> None:
    model.queue_text("")
    session = cloud.run()
    outcome = cloud.runbook.outcome(session)
    assert outcome
    assert (outcome.status, outcome.error_type) == (Status.AGENT_BACKGROUND_TASK_FAILED, "EmptyAnswer")
    # A slow table lets a heartbeat in between.
    told = [status for status in cloud.statuses(session) if status != Status.AGENT_BACKGROUND_TASK_HEARTBEAT]
    assert told[-2:] == ["TASK_ANALYST_FAILED", "AGENT_BACKGROUND_TASK_FAILED"]
    execution = cloud.runbook.execution(session)
    assert execution.status == "FAILED"
    description = cloud.client("stepfunctions").describe_execution(executionArn=execution.arn)
    assert (description["error"], description["cause"]) == ("EmptyAnswer", outcome.error_message)


@EITHER_WAY
@pytest.mark.parametrize(
    ("detail", "sentence"),
    [
        ({}, "request.prompt is missing: it must be a text that is not empty"),
        ({"prompt": 7}, "request.prompt is 7"),
        ({"prompt": "x", "retryOf": "short"}, "request.retryOf is 'short' (5 characters)"),
    ],
)
def test_an_event_that_cannot_be_run_is_closed_with_the_reason(
    cloud: RunningCloud, detail: dict[str, Any], sentence: str
) -> None:
    session = put_event(cloud, detail)
    outcome = cloud.wait_for_end(session)
    assert (outcome.status, outcome.error_type) == (Status.SESSION_FAILED, "InvalidRequest")
    assert sentence in str(outcome.error_message)
    assert cloud.statuses(session) == ["SESSION_INITIATED", "AGENT_INVOCATION_FAILED", "SESSION_FAILED"]


@EITHER_WAY
@pytest.mark.parametrize(
    "execution_input", ["[]", '"text"', "null", "{}", '{"session_id": 7}', '{"session_id": "short"}']
)
def test_an_execution_without_a_usable_session_id_ends_at_once(cloud: RunningCloud, execution_input: str) -> None:
    ended = cloud.ended_execution(cloud.start_execution(execution_input))
    assert (ended["status"], ended["error"]) == ("FAILED", "InvalidRequest")
    assert "33 to 100 characters" in ended["cause"]


@EITHER_WAY
def test_a_request_that_the_agent_refuses_is_journalled_by_both_sides(cloud: RunningCloud) -> None:
    # The invoker is told of more attempts than an agent accepts, so that only the agent refuses.
    with cloud.function_variables(MAX_ATTEMPTS="11"):
        session = cloud.run()
    outcome = cloud.runbook.outcome(session)
    assert outcome
    assert (outcome.status, outcome.error_type) == (Status.SESSION_FAILED, "AgentRefused")
    events = {event.status: event for event in cloud.runbook.events(session)}
    assert "maxAttempts is 11" in str(events["AGENT_RUNTIME_INVOKE_FAILED"].error_message)
    assert events["AGENT_INVOCATION_FAILED"].error_type == "AgentRefused"
    assert "AGENT_BACKGROUND_TASK_STARTED" not in events


def test_an_execution_that_is_stopped_by_hand_closes_its_run(cloud: RunningCloud, model: FakeModel) -> None:
    model.queue_text("Too late.", delay_seconds=5)
    calls = len(model.conversations)
    session = cloud.runbook.trigger("Take your time.")
    # Or the answer would be left for another test.
    wait_until(lambda: len(model.conversations) > calls, "the model is asked", 30)
    cloud.client("stepfunctions").stop_execution(executionArn=cloud.runbook.execution(session).arn)
    outcome = cloud.wait_for_end(session)
    assert (outcome.status, outcome.error_type) == (Status.SESSION_FAILED, "ExecutionEnded")
    assert "ABORTED" in str(outcome.error_message)


def test_an_execution_whose_event_leaves_its_input_out_closes_its_run_all_the_same(
    cloud: RunningCloud, model: FakeModel
) -> None:
    session = str(uuid.uuid4())
    more_than_an_event_holds = "x" * 250 * 1024
    execution_input = {
        "session_id": session,
        "request": {"prompt": 'Say "\\n" slowly.'},
        "more": more_than_an_event_holds,
    }
    model.queue_text("Too late.", delay_seconds=5)
    calls = len(model.conversations)
    execution = cloud.start_execution(json.dumps(execution_input))
    wait_until(lambda: len(model.conversations) > calls, "the model is asked", 30)
    cloud.client("stepfunctions").stop_execution(executionArn=execution)
    outcome = cloud.wait_for_end(session)
    assert (outcome.status, outcome.error_type) == (Status.SESSION_FAILED, "ExecutionEnded")
