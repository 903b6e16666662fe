from collections.abc import Iterator
from typing import TYPE_CHECKING

import boto3
import pytest
from botocore.exceptions import ClientError
from botocore.stub import Stubber

from runtime.journal.waker import Waker

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_stepfunctions import SFNClient


@pytest.fixture(scope="module")
def stepfunctions(aws: None) -> "SFNClient":
    return boto3.client("stepfunctions")


@pytest.fixture
def stubber(stepfunctions: "SFNClient") -> Iterator[Stubber]:
    with Stubber(stepfunctions) as stubber:
        yield stubber


@pytest.fixture
def waker(dynamodb: "DynamoDBClient", stepfunctions: "SFNClient") -> Waker:
    return Waker(dynamodb, stepfunctions, "journal")


def put_token(dynamodb: "DynamoDBClient", session_id: str, created_at: str, token: str) -> None:
    item = {"PK": {"S": f"SESSION#{session_id}"}, "SK": {"S": f"TOKEN#{created_at}"}, "taskToken": {"S": token}}
    dynamodb.put_item(TableName="journal", Item=item)


def test_nobody_is_woken_where_nobody_waits(waker: Waker, stubber: Stubber, session_id: str) -> None:
    assert waker.wake(session_id) is False


def test_the_newest_token_of_the_run_is_used(
    waker: Waker, stubber: Stubber, dynamodb: "DynamoDBClient", session_id: str
) -> None:
    put_token(dynamodb, session_id, "2026-11-22T20:00:00.000Z", "old")
    put_token(dynamodb, session_id, "2026-11-22T20:00:10.000Z", "new")
    put_token(dynamodb, f"{session_id}0", "2026-11-22T20:00:20.000Z", "another's")
    stubber.add_response("send_task_success", {}, {"taskToken": "new", "output": "{}"})
    assert waker.wake(session_id) is True
    stubber.assert_no_pending_responses()


@pytest.mark.parametrize("code", ["TaskTimedOut", "TaskDoesNotExist", "InvalidToken"])
def test_an_execution_that_has_gone_is_no_error(
    code: str, waker: Waker, stubber: Stubber, dynamodb: "DynamoDBClient", session_id: str
) -> None:
    put_token(dynamodb, session_id, "2026-11-22T20:00:00.000Z", "gone")
    stubber.add_client_error("send_task_success", code)
    assert waker.wake(session_id) is False


def test_a_refusal_is_raised(waker: Waker, stubber: Stubber, dynamodb: "DynamoDBClient", session_id: str) -> None:
    put_token(dynamodb, session_id, "2026-11-22T20:00:00.000Z", "token")
    stubber.add_client_error("send_task_success", "AccessDeniedException")
    with pytest.raises(ClientError, match="AccessDenied"):
        waker.wake(session_id)
