from typing import Any

import pytest

from runtime.invoker.errors import AgentCallDenied, AgentThrottled, AgentUnavailable, SessionInTransition
from runtime.invoker.invocation import Invoker
from tests.support.faulty_dynamodb import FaultyDynamoDB
from tests.support.http_server import HttpServer, Reply


def test_a_session_is_stopped_and_nothing_journalled(
    invoker: Invoker, agentcore: HttpServer, table: FaultyDynamoDB, session_id: str
) -> None:
    agentcore.queue(Reply(200, b"{}"))
    assert invoker.stop({"operation": "stop", "session_id": session_id}) == {"stopped": True}
    [request] = agentcore.requests
    assert request.path.endswith("/stopruntimesession?qualifier=live")
    assert request.headers["x-amzn-bedrock-agentcore-runtime-session-id"] == session_id
    assert table.tried == []


def test_a_session_that_is_not_there_is_as_good_as_stopped(
    invoker: Invoker, agentcore: HttpServer, session_id: str
) -> None:
    agentcore.queue(Reply(404, b"{}", {"x-amzn-ErrorType": "ResourceNotFoundException"}))
    assert invoker.stop({"session_id": session_id}) == {"stopped": False}


@pytest.mark.parametrize(
    ("status", "becomes"),
    [(429, AgentThrottled), (500, AgentUnavailable), (403, AgentCallDenied), (409, SessionInTransition)],
)
def test_a_stop_that_fails_is_tried_once_and_says_why(
    status: int, becomes: Any, invoker: Invoker, agentcore: HttpServer, session_id: str
) -> None:
    agentcore.queue(Reply(status, b"{}"))
    with pytest.raises(becomes):
        invoker.stop({"session_id": session_id})
    assert len(agentcore.requests) == 1
