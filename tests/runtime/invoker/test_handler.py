import json
import logging
import platform
from types import ModuleType
from typing import Any

import boto3
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runtime.contract.errors import InvalidRequest
from runtime.invoker.invocation import Limits
from runtime.journal.reader import JournalReader
from runtime.journal.vocabulary import Status
from tests.runtime.invoker.conftest import ENVIRON
from tests.support.faulty_dynamodb import FaultyDynamoDB
from tests.support.http_server import HttpServer, Reply

JSON = st.none() | st.booleans() | st.integers() | st.text(max_size=20) | st.lists(st.integers(), max_size=3)


def test_a_start_goes_from_the_event_to_the_agent_and_the_journal(
    handler_module: ModuleType,
    agentcore: HttpServer,
    payload: dict[str, Any],
    reader: JournalReader,
    session_id: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setenv("_X_AMZN_TRACE_ID", "Root=1;Parent=2;Sampled=1")
    with caplog.at_level(logging.INFO):
        result = handler_module.handler(payload, None)
    assert set(result) == {"now", "secondsLeft", "acknowledgeSeconds"}
    assert agentcore.requests[0].headers["x-amzn-trace-id"] == "Root=1;Parent=2;Sampled=1"
    assert [event.status for event in reader.events(session_id)] == [
        Status.AGENT_INVOCATION_STARTED,
        Status.AGENT_INVOCATION_SUCCEEDED,
    ]
    [line] = [record for record in caplog.records if record.message == "done"]
    assert (line.__dict__["operation"], line.__dict__["session_id"]) == ("start", session_id)


def test_a_stop_goes_to_the_agent(handler_module: ModuleType, agentcore: HttpServer, session_id: str) -> None:
    agentcore.queue(Reply(200, b"{}"))
    assert handler_module.handler({"operation": "stop", "session_id": session_id}, None) == {"stopped": True}


def test_the_detail_of_an_executions_end_closes_its_run(
    handler_module: ModuleType, agentcore: HttpServer, table: FaultyDynamoDB, session_id: str
) -> None:
    # Nobody claimed that run: what counts is that the event gets as far as the journal.
    detail = {"executionArn": "arn", "status": "FAILED", "input": json.dumps({"session_id": session_id})}
    assert handler_module.handler(detail, None) == {"closed": False}
    assert agentcore.requests == []


def test_the_function_says_what_it_runs_on(handler_module: ModuleType) -> None:
    assert handler_module.handler({"operation": "describe"}, None) == {
        "boto3": boto3.__version__,
        "python": platform.python_version(),
        "stopRuntimeSession": True,
    }


@pytest.mark.parametrize("event", [None, 7, "start", ["start"], True])
def test_an_event_that_is_no_object_is_refused(event: object, handler_module: ModuleType) -> None:
    with pytest.raises(InvalidRequest, match=r"event is .*: it must be an object with operation and session_id"):
        handler_module.handler(event, None)


@pytest.mark.parametrize("operation", [None, "", "START", "close", 7, ["start"], {"start": 1}])
def test_an_operation_that_is_not_known_is_refused(
    operation: object, handler_module: ModuleType, agentcore: HttpServer, session_id: str
) -> None:
    with pytest.raises(InvalidRequest, match=r"operation is .*: it must be start, stop or describe"):
        handler_module.handler({"operation": operation, "session_id": session_id}, None)
    assert agentcore.requests == []


@settings(
    max_examples=60,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(event=JSON | st.dictionaries(st.sampled_from(["operation", "session_id", "input", "attempt"]), JSON))
def test_any_other_event_is_refused_too(event: object, handler_module: ModuleType) -> None:
    with pytest.raises(InvalidRequest):
        handler_module.handler(event, None)


def test_the_client_of_agentcore_sends_a_job_once(handler_module: ModuleType) -> None:
    config = handler_module._invoker.agentcore.meta.config
    assert config.retries == {"mode": "standard", "total_max_attempts": 1}


def test_the_functions_limits_come_from_its_environment(handler_module: ModuleType) -> None:
    built = handler_module.build_invoker(ENVIRON | {"LEASE_SECONDS": "6", "MAX_RUN_SECONDS": "60", "MAX_ATTEMPTS": "2"})
    assert built.limits == Limits(lease_seconds=6, max_run_seconds=60, max_attempts=2)


@pytest.mark.parametrize("missing", ENVIRON)
def test_a_missing_variable_is_named_when_the_function_starts(missing: str, handler_module: ModuleType) -> None:
    with pytest.raises(KeyError, match=missing):
        handler_module.build_invoker({name: value for name, value in ENVIRON.items() if name != missing})
