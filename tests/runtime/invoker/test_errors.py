from typing import Any

import pytest
from botocore.exceptions import (
    ClientError,
    ConnectTimeoutError,
    EndpointConnectionError,
    NoCredentialsError,
    ParamValidationError,
    ReadTimeoutError,
)

from runtime.invoker.errors import (
    AgentCallDenied,
    AgentRefused,
    AgentThrottled,
    AgentUnavailable,
    InvokerError,
    SessionInTransition,
    from_boto,
)

FROM_RUNTIME = "Received error ({}) from runtime. Please check your CloudWatch logs for more information."


def answer(status: int, message: str = "it says") -> ClientError:
    response: Any = {
        "Error": {"Code": "SomeException", "Message": message},
        "ResponseMetadata": {"HTTPStatusCode": status},
    }
    return ClientError(response, "InvokeAgentRuntime")


@pytest.mark.parametrize(
    ("error", "becomes"),
    [
        (answer(402), AgentThrottled),
        (answer(429), AgentThrottled),
        (answer(409), SessionInTransition),
        (answer(424, FROM_RUNTIME.format(400)), AgentRefused),
        (answer(424, FROM_RUNTIME.format(422)), AgentRefused),
        (answer(424, FROM_RUNTIME.format(500)), AgentUnavailable),
        (answer(424, "Runtime health check failed or timed out"), AgentUnavailable),
        (answer(500), AgentUnavailable),
        (answer(503), AgentUnavailable),
        (answer(504), AgentUnavailable),
        (answer(400), AgentCallDenied),
        (answer(401), AgentCallDenied),
        (answer(403), AgentCallDenied),
        (answer(404), AgentCallDenied),
        (ReadTimeoutError(endpoint_url="x"), AgentUnavailable),
        (ConnectTimeoutError(endpoint_url="x"), AgentUnavailable),
        (EndpointConnectionError(endpoint_url="x"), AgentUnavailable),
        (ParamValidationError(report="too short"), AgentCallDenied),
        (NoCredentialsError(), AgentCallDenied),
    ],
    ids=str,
)
def test_each_failure_of_a_call_has_one_meaning(error: Exception, becomes: type[InvokerError]) -> None:
    meaning = from_boto(error)
    assert type(meaning) is becomes
    assert str(meaning) == str(error)
