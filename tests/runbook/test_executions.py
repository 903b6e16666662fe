"""What an execution's history tells."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from botocore.stub import Stubber

from runbook import executions
from runbook.clients import Clients
from runbook.executions import Execution
from tests.runbook.history import NOON

ARN = "arn:aws:states:us-east-1:123456789012:execution:workflow:one"


def entered(state: str, kind: str = "Task") -> dict[str, Any]:
    """The event of a state that is entered."""
    return {"type": f"{kind}StateEntered", "stateEnteredEventDetails": {"name": state}}


def task(kind: str) -> dict[str, Any]:
    """An event of a task."""
    details = {"resourceType": "lambda", "resource": "invoke"}
    extra = {"region": "us-east-1", "parameters": "{}"} if kind == "Scheduled" else {}
    return {"type": f"Task{kind}", f"task{kind}EventDetails": details | extra}


def read(clients: Clients, history: list[dict[str, Any]], *, page: int = 3) -> Execution:
    """Read an execution with that history, one event a second, in pages."""
    events = [
        {"id": number, "timestamp": NOON + timedelta(seconds=number), **event} for number, event in enumerate(history)
    ]
    with Stubber(clients.stepfunctions) as stubber:
        described = {"executionArn": ARN, "stateMachineArn": "m", "status": "SUCCEEDED", "startDate": NOON}
        stubber.add_response("describe_execution", described)
        for start in range(0, len(events), page):
            more = {"nextToken": str(start)} if start + page < len(events) else {}
            stubber.add_response("get_execution_history", {"events": events[start : start + page], **more})
        return executions.read(clients.stepfunctions, ARN)


def test_polls_are_the_visits_of_the_state_that_polls(clients: Clients) -> None:
    poll = [entered("WaitForCompletion", "Wait"), entered("CheckStatus"), task("Scheduled"), task("Succeeded")]
    assert read(clients, [entered("InvokeAgent"), *poll, *poll]).polls == 2


def test_a_retry_is_a_transition_though_no_state_is_entered(clients: Clients) -> None:
    tries = [entered("InvokeAgent"), task("Scheduled"), task("Failed"), task("Scheduled"), task("Succeeded")]
    assert read(clients, [*tries, entered("RunCompleted", "Succeed")]).state_transitions == 3


def test_the_function_is_held_for_the_call_that_went_well_without_the_waits_before(clients: Clients) -> None:
    tries = [entered("InvokeAgent"), task("Scheduled"), task("Failed"), task("Scheduled"), task("Succeeded")]
    assert read(clients, [*tries, entered("CheckStatus"), task("Scheduled"), task("Succeeded")]).invoker_seconds == 1


@pytest.mark.parametrize("history", [[], [entered("InvokeAgent"), task("Scheduled"), task("Failed")]])
def test_an_agent_that_was_never_started_held_no_function(clients: Clients, history: list[dict[str, Any]]) -> None:
    assert read(clients, history or [entered("CheckInput", "Choice")]).invoker_seconds is None
