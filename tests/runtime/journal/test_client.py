import socket
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.config import Config

from runtime.journal import client as client_module
from runtime.journal.client import CLIENT_CONFIG, connect
from runtime.journal.errors import JournalUnavailable
from runtime.journal.vocabulary import Status
from runtime.journal.writer import JournalWriter
from tests.support.http_server import HttpServer, Reply

MAX_BACKOFF_SECONDS = 3.0
"""botocore's standard mode waits up to 1 second before the second try and up to 2 before the third."""


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A port that accepts connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.fixture
def backoff(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds that botocore would have waited between tries; it doesn't here."""
    waits: list[float] = []
    monkeypatch.setattr("botocore.endpoint.time", SimpleNamespace(sleep=waits.append))
    return waits


def append(writer: JournalWriter) -> None:
    writer.append(writer.stamp("s" * 36, Status.SESSION_CANCELLED))


def test_no_call_can_take_longer_than_about_ten_seconds() -> None:
    config: Any = connect().meta.config
    assert config.retries == {"mode": "standard", "total_max_attempts": 3}
    assert config.connect_timeout <= config.read_timeout
    assert 3 * config.read_timeout + MAX_BACKOFF_SECONDS < 10


def test_a_table_that_never_answers_is_unavailable_in_bounded_time(
    silent_port: int, backoff: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    faster: Any = CLIENT_CONFIG.merge(Config(connect_timeout=0.1, read_timeout=0.2))
    monkeypatch.setattr(client_module, "CLIENT_CONFIG", faster)
    monkeypatch.setenv("AWS_ENDPOINT_URL_DYNAMODB", f"http://127.0.0.1:{silent_port}")
    writer = JournalWriter(connect(), "journal", ttl_days=1)
    began = time.monotonic()
    with pytest.raises(JournalUnavailable, match="timeout"):
        append(writer)
    assert time.monotonic() - began < 5
    assert len(backoff) == 2
    assert sum(backoff) < MAX_BACKOFF_SECONDS


@pytest.mark.usefixtures("backoff")
def test_a_table_that_refuses_connections_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        monkeypatch.setenv("AWS_ENDPOINT_URL_DYNAMODB", f"http://127.0.0.1:{unused.getsockname()[1]}")
        with pytest.raises(JournalUnavailable, match="Could not connect"):
            append(JournalWriter(connect(), "journal", ttl_days=1))


@pytest.mark.usefixtures("backoff")
def test_a_throttled_write_is_tried_again_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    error = b'{"__type":"com.amazonaws.dynamodb.v20120810#ThrottlingException","message":"slow down"}'
    with HttpServer(Reply(200, b"{}")) as table:
        table.queue(Reply(400, error))
        monkeypatch.setenv("AWS_ENDPOINT_URL_DYNAMODB", table.url)
        append(JournalWriter(connect(), "journal", ttl_days=1))
        assert len(table.requests) == 2


def test_the_region_can_be_given(monkeypatch: pytest.MonkeyPatch) -> None:
    # botocore reads AWS_DEFAULT_REGION only, and an execution environment is promised AWS_REGION.
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    assert connect("eu-central-1").meta.region_name == "eu-central-1"
