"""Events that never became a run."""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.stub import ANY, Stubber

from runbook.clients import Clients
from runbook.outputs import StackOutputs
from runbook.runbook import Runbook
from runtime.contract.errors import InvalidRequest
from tests.runbook.history import new_session_id


@pytest.fixture(autouse=True)
def queue(clients: Clients, outputs: StackOutputs, monkeypatch: pytest.MonkeyPatch) -> None:
    """The stack's dead-letter queue, which has one server to ask."""
    monkeypatch.setattr("runbook.dead_letters.WAIT_SECONDS", 0)
    clients.sqs.create_queue(QueueName=outputs.dead_letter_queue_url.rsplit("/", 1)[1])


def send(rb: Runbook, body: object) -> None:
    """What EventBridge sends when it gives up."""
    rb.clients.sqs.send_message(
        QueueUrl=rb.outputs.dead_letter_queue_url,
        MessageBody=body if isinstance(body, str) else json.dumps(body),
        MessageAttributes={
            "ERROR_CODE": {"DataType": "String", "StringValue": "NO_PERMISSIONS"},
            "ERROR_MESSAGE": {"DataType": "String", "StringValue": "not allowed to start it"},
        },
    )


def start_execution(stepfunctions: Stubber, session_id: str, request: Any) -> None:
    """Expect the execution that the event should have started."""
    execution_input = json.dumps({"session_id": session_id, "request": request})
    stepfunctions.add_response(
        "start_execution",
        {"executionArn": "arn", "startDate": 0},
        {"stateMachineArn": ANY, "name": f"redrive-{session_id}", "input": execution_input},
    )


def test_an_empty_queue_has_no_dead_letters(rb: Runbook) -> None:
    assert list(rb.dead_letters()) == []


@pytest.mark.parametrize(("id_name", "request_name"), [("id", "detail"), ("session_id", "request")])
def test_looking_at_dead_letters_leaves_them_where_they_are(rb: Runbook, id_name: str, request_name: str) -> None:
    session_id = new_session_id()
    send(rb, {id_name: session_id, request_name: {"prompt": "Count"}, "source": "x"})
    for _ in range(2):
        (letter,) = rb.dead_letters()
        assert (letter.session_id, letter.request) == (session_id, {"prompt": "Count"})
        assert letter.error == "NO_PERMISSIONS: not allowed to start it"


def test_a_redriven_event_keeps_its_id_and_leaves_the_queue(rb: Runbook) -> None:
    kept, redriven = new_session_id(), new_session_id()
    for session_id in (kept, redriven):
        send(rb, {"id": session_id, "detail": {"prompt": "Count"}})
    with Stubber(rb.clients.stepfunctions) as stepfunctions:
        start_execution(stepfunctions, redriven, {"prompt": "Count"})
        assert rb.redrive(next(letter for letter in rb.dead_letters() if letter.session_id == redriven)) == redriven
    assert [letter.session_id for letter in rb.dead_letters()] == [kept]


def test_an_event_that_was_redriven_before_only_leaves_the_queue(rb: Runbook) -> None:
    send(rb, {"id": new_session_id(), "detail": {"prompt": "Count"}})
    with Stubber(rb.clients.stepfunctions) as stepfunctions:
        stepfunctions.add_client_error("start_execution", "ExecutionAlreadyExists", "there is one")
        rb.redrive(rb.dead_letters()[0])
    assert not rb.dead_letters()


def test_a_message_of_somebody_else_is_shown_and_not_redriven(rb: Runbook) -> None:
    send(rb, "hello")
    (letter,) = rb.dead_letters()
    assert (letter.session_id, letter.request) == ("", "hello")
    with pytest.raises(InvalidRequest):
        rb.redrive(letter)
