"""An invoker as its environment variables build it: its journal is moto's, its AgentCore a scripted server."""

import dataclasses
import importlib
from collections.abc import Iterator
from datetime import UTC, datetime
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest

from runtime.contract.start import start_payload
from runtime.invoker.invocation import Invoker
from runtime.journal.writer import JournalWriter
from tests.support.faulty_dynamodb import FaultyDynamoDB
from tests.support.http_server import HttpServer, Reply

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

NOW = datetime(2026, 11, 22, 20, 0, 0, 123_000, UTC)
RUNTIME_ARN = "arn:aws:bedrock-agentcore:us-east-1:123456789012:runtime/fire_and_forget_test-AbCdEfGhIj"
ENVIRON = {
    "JOURNAL_TABLE": "journal",
    "JOURNAL_TTL_DAYS": "30",
    "AGENT_RUNTIME_ARN": RUNTIME_ARN,
    "AGENT_QUALIFIER": "live",
    "LEASE_SECONDS": "120",
    "MAX_RUN_SECONDS": "3600",
    "MAX_ATTEMPTS": "3",
}


@pytest.fixture(scope="session")
def server() -> Iterator[HttpServer]:
    """What listens where AgentCore is expected. The handler's module, which is imported once, keeps to it."""
    with HttpServer(Reply(200, b'{"accepted": {}}', {"Content-Type": "application/json"})) as server:
        yield server


@pytest.fixture(scope="module")
def handler_module(aws: None, server: HttpServer) -> Iterator[ModuleType]:
    """The module that Lambda imports, clients and all."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in ENVIRON.items():
            patch.setenv(name, value)
        patch.setenv("AWS_ENDPOINT_URL_BEDROCK_AGENTCORE", server.url)
        yield importlib.import_module("runtime.invoker.handler")


@pytest.fixture
def agentcore(server: HttpServer) -> HttpServer:
    """The scripted AgentCore, with nothing received yet."""
    server.requests.clear()
    return server


@pytest.fixture
def table(dynamodb: "DynamoDBClient") -> FaultyDynamoDB:
    """The journal's table, which fails when a test says so."""
    return FaultyDynamoDB(dynamodb)


@pytest.fixture
def pauses() -> list[float]:
    """How long the invoker paused between tries, one number each."""
    return []


@pytest.fixture
def invoker(handler_module: ModuleType, agentcore: HttpServer, table: FaultyDynamoDB, pauses: list[float]) -> Invoker:
    """An invoker whose clock stands at NOW and whose pauses take no time."""
    built: Invoker = handler_module._invoker
    journal = JournalWriter(table.as_client(), "journal", ttl_days=30, now=lambda: NOW)
    return dataclasses.replace(built, journal=journal, now=lambda: NOW, pause=pauses.append)


@pytest.fixture
def payload(session_id: str) -> dict[str, Any]:
    """What the state machine sends for the first attempt of a run."""
    request = {"prompt": "Why is it slow?", "customer": "ä"}
    return start_payload(session_id, attempt=1, request=request, seconds_left=None, after=None)
