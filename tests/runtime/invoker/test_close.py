import dataclasses
import json
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.exceptions import ClientError
from botocore.stub import Stubber

from runtime.invoker.errors import StopUnknown
from runtime.invoker.invocation import Invoker
from runtime.journal.errors import JournalUnavailable
from runtime.journal.reader import JournalReader
from runtime.journal.vocabulary import Status
from tests.support.faulty_dynamodb import FaultyDynamoDB, first, timed_out
from tests.support.http_server import HttpServer, Reply

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

EXECUTION = "arn:aws:states:us-east-1:123456789012:execution:runs:1"


@pytest.fixture
def ended(session_id: str) -> dict[str, Any]:
    """What an execution's end looks like to the function."""
    execution_input = json.dumps({"session_id": session_id, "request": {"prompt": "Why?"}})
    return {
        "executionArn": EXECUTION,
        "status": "ABORTED",
        "input": execution_input,
        "inputDetails": {"included": True},
        "output": None,
    }


@pytest.fixture
def _claimed(dynamodb: "DynamoDBClient", session_id: str) -> None:
    """The execution claimed the run."""
    item = {"PK": {"S": f"SESSION#{session_id}"}, "SK": {"S": "METADATA"}, "executionArn": {"S": EXECUTION}}
    dynamodb.put_item(TableName="journal", Item=item)


@pytest.mark.usefixtures("_claimed")
@pytest.mark.parametrize(
    ("execution", "outcome"),
    [
        ("ABORTED", Status.SESSION_FAILED),
        ("FAILED", Status.SESSION_FAILED),
        ("TIMED_OUT", Status.SESSION_TIMED_OUT),
    ],
)
def test_the_run_of_an_execution_that_ended_early_is_closed_and_its_session_stopped(
    execution: str,
    outcome: Status,
    invoker: Invoker,
    ended: dict[str, Any],
    agentcore: HttpServer,
    reader: JournalReader,
    session_id: str,
) -> None:
    assert invoker.close(ended | {"status": execution}) == {"closed": True}
    assert (closed := reader.outcome(session_id)) is not None
    assert (closed.status, closed.error_type) == (outcome, "ExecutionEnded")
    assert closed.error_message == f"the state machine's execution ended as {execution} before the run had an outcome"
    [request] = agentcore.requests
    assert request.path.endswith("/stopruntimesession?qualifier=live")


@pytest.mark.usefixtures("_claimed")
def test_a_run_that_has_its_outcome_keeps_it(
    invoker: Invoker, ended: dict[str, Any], agentcore: HttpServer, reader: JournalReader, session_id: str
) -> None:
    invoker.journal.close(invoker.journal.stamp(session_id, Status.AGENT_BACKGROUND_TASK_COMPLETED))
    assert invoker.close(ended) == {"closed": False}
    assert [event.status for event in reader.events(session_id)] == [Status.AGENT_BACKGROUND_TASK_COMPLETED]
    assert agentcore.requests == []


@pytest.mark.usefixtures("_claimed")
def test_the_run_of_another_execution_is_left_alone(
    invoker: Invoker, ended: dict[str, Any], agentcore: HttpServer, reader: JournalReader, session_id: str
) -> None:
    assert invoker.close(ended | {"executionArn": f"{EXECUTION}2"}) == {"closed": False}
    assert list(reader.events(session_id)) == []
    assert reader.outcome(session_id) is None
    assert agentcore.requests == []


def test_a_run_that_was_never_claimed_is_not_closed(
    invoker: Invoker, ended: dict[str, Any], reader: JournalReader, session_id: str
) -> None:
    assert invoker.close(ended) == {"closed": False}
    assert reader.outcome(session_id) is None


@pytest.mark.parametrize(
    "execution_input",
    ["", "no JSON", "null", "[]", '"text"', "{}", '{"session_id": 7}', "[" * 100_000],
    ids=lambda value: repr(value)[:20],
)
def test_an_execution_without_a_usable_session_id_has_no_run_to_close(
    execution_input: object, invoker: Invoker, ended: dict[str, Any], table: FaultyDynamoDB
) -> None:
    # No error: Lambda would try it twice more, and an alarm count it.
    assert invoker.close(ended | {"input": execution_input}) == {"closed": False}
    assert table.tried == []


@pytest.mark.usefixtures("_claimed")
def test_a_close_that_the_journal_did_not_take_can_be_tried_again(
    invoker: Invoker, ended: dict[str, Any], table: FaultyDynamoDB
) -> None:
    table.decide = first(1, timed_out)
    with pytest.raises(JournalUnavailable):
        invoker.close(ended)
    assert invoker.close(ended) == {"closed": True}


@pytest.mark.usefixtures("_claimed")
def test_a_run_whose_session_cannot_be_stopped_is_closed_all_the_same(
    invoker: Invoker, ended: dict[str, Any], agentcore: HttpServer, reader: JournalReader, session_id: str
) -> None:
    agentcore.queue(Reply(500, b"{}"))
    assert invoker.close(ended) == {"closed": True}
    assert reader.outcome(session_id) is not None


@pytest.mark.usefixtures("_claimed")
@pytest.mark.parametrize(
    "left_out",
    [
        {"input": None, "inputDetails": {"included": False}},
        {"input": None},
        {"input": "", "inputDetails": {"included": False}},
    ],
)
def test_the_input_that_an_event_was_too_large_for_is_asked_for(
    left_out: dict[str, Any], invoker: Invoker, ended: dict[str, Any], reader: JournalReader, session_id: str
) -> None:
    stepfunctions = boto3.client("stepfunctions")
    description = {"input": ended["input"], "status": "ABORTED", "executionArn": EXECUTION}
    description |= {"stateMachineArn": EXECUTION, "startDate": "2026-11-22T20:00:00Z"}
    asking = dataclasses.replace(invoker, stepfunctions=lambda: stepfunctions)
    with Stubber(stepfunctions) as stub:
        stub.add_response("describe_execution", description, {"executionArn": EXECUTION})
        assert asking.close(ended | left_out) == {"closed": True}
    assert reader.outcome(session_id) is not None


def test_an_execution_that_may_not_be_asked_about_is_an_error_that_lambda_tries_again(
    invoker: Invoker, ended: dict[str, Any], table: FaultyDynamoDB
) -> None:
    stepfunctions = boto3.client("stepfunctions")
    asking = dataclasses.replace(invoker, stepfunctions=lambda: stepfunctions)
    with Stubber(stepfunctions) as stub:
        stub.add_client_error("describe_execution", "AccessDeniedException", http_status_code=400)
        with pytest.raises(ClientError, match="AccessDenied"):
            asking.close(ended | {"input": None})
    assert table.tried == []


@pytest.mark.usefixtures("_claimed")
def test_a_run_is_closed_by_a_function_whose_boto3_cannot_stop_its_session(
    invoker: Invoker, ended: dict[str, Any], agentcore: HttpServer, reader: JournalReader, session_id: str
) -> None:
    class OldClient:
        """As boto3 1.40.4 builds it."""

        exceptions = invoker.agentcore.exceptions

    old: Any = OldClient()
    outdated = dataclasses.replace(invoker, agentcore=old)
    assert outdated.close(ended) == {"closed": True}
    assert reader.outcome(session_id) is not None
    assert agentcore.requests == []
    with pytest.raises(StopUnknown, match=r"boto3 1\.\d+\.\d+ has no stop_runtime_session"):
        outdated.stop({"session_id": session_id})
