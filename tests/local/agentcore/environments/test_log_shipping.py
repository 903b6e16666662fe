from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest
from botocore.config import Config

from local.agentcore.environments.log_buffer import LogBuffer, LogLine
from local.agentcore.environments.log_shipping import BATCH_MAX_BYTES, BATCH_MAX_EVENTS, LogShipper, batches
from local.emulator.clients import AccessKey, RootSession
from local.emulator.process import Emulator
from local.loopback.ports import free_port
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from mypy_boto3_logs import CloudWatchLogsClient

STREAM = "2026/11/22/[runtime-logs-session]environment"


@pytest.fixture
def logs(emulator: Emulator) -> CloudWatchLogsClient:
    return emulator.client("logs")


@pytest.fixture
def shipper(logs: CloudWatchLogsClient) -> Iterator[LogShipper]:
    shipper = LogShipper(logs, interval_seconds=0.05)
    yield shipper
    shipper.close()


@pytest.fixture
def group() -> str:
    return f"/aws/bedrock-agentcore/runtimes/agent-{uuid.uuid4().hex[:10]}-DEFAULT"


def shipped(logs: CloudWatchLogsClient, group: str) -> list[str]:
    """All messages in the stream, in order; none if there is no stream."""
    messages: list[str] = []
    more: dict[str, Any] = {}
    try:
        while True:
            page = logs.get_log_events(logGroupName=group, logStreamName=STREAM, startFromHead=True, **more)
            if not page["events"]:
                return messages
            messages += [event.get("message", "") for event in page["events"]]
            more = {"nextToken": page["nextForwardToken"]}
    except logs.exceptions.ResourceNotFoundException:
        return messages


def lines(count: int, size: int = 27, milliseconds_apart: int = 0) -> Iterator[LogLine]:
    return (LogLine(number * milliseconds_apart, "x", size) for number in range(count))


def test_no_batch_has_too_many_events() -> None:
    assert [len(batch) for batch in batches(lines(2 * BATCH_MAX_EVENTS + 1))] == [10_000, 10_000, 1]


def test_no_batch_is_too_large() -> None:
    third = BATCH_MAX_BYTES // 3
    assert [len(batch) for batch in batches(lines(7, size=third))] == [3, 3, 1]


def test_no_batch_spans_more_than_a_day() -> None:
    half_a_day = 12 * 60 * 60 * 1000
    assert [len(batch) for batch in batches(lines(5, milliseconds_apart=half_a_day))] == [3, 2]


def test_nothing_makes_no_batch() -> None:
    assert list(batches([])) == []


def test_lines_from_before_the_stream_has_a_name_go_there_too(
    shipper: LogShipper, logs: CloudWatchLogsClient, group: str
) -> None:
    buffer = shipper.new_buffer()
    buffer.write(b"imported\n")
    buffer.destination = (group, STREAM)
    buffer.write(b"invoked\n")
    wait_until(lambda: shipped(logs, group) == ["imported", "invoked"], "both lines are there", seconds=2)


def test_a_stream_is_there_even_if_nothing_was_printed(
    shipper: LogShipper, logs: CloudWatchLogsClient, group: str
) -> None:
    shipper.new_buffer().destination = (group, STREAM)

    def names() -> list[str | None]:
        found = logs.describe_log_groups(logGroupNamePrefix=group)["logGroups"]
        streams = logs.describe_log_streams(logGroupName=group)["logStreams"] if found else []
        return [stream.get("logStreamName") for stream in streams]

    wait_until(lambda: names() == [STREAM], "the stream is there", seconds=2)


def test_a_group_that_was_made_before_keeps_its_retention(
    shipper: LogShipper, logs: CloudWatchLogsClient, group: str
) -> None:
    logs.create_log_group(logGroupName=group)
    logs.put_retention_policy(logGroupName=group, retentionInDays=30)
    shipper.new_buffer().destination = (group, STREAM)
    shipper.close()
    (found,) = logs.describe_log_groups(logGroupNamePrefix=group)["logGroups"]
    assert found.get("retentionInDays") == 30


def test_every_line_of_a_chatty_agent_arrives_in_order(
    shipper: LogShipper, logs: CloudWatchLogsClient, group: str
) -> None:
    buffer = shipper.new_buffer()
    buffer.destination = (group, STREAM)
    expected = [f"line {number}" for number in range(25_000)]
    buffer.write("\n".join(expected).encode())
    buffer.close()
    shipper.close()
    assert shipped(logs, group) == expected


def test_closing_sends_the_last_line_and_is_harmless_when_repeated(
    shipper: LogShipper, logs: CloudWatchLogsClient, group: str
) -> None:
    buffer = shipper.new_buffer()
    buffer.destination = (group, STREAM)
    buffer.write(b"last words")
    buffer.close()
    shipper.close()
    shipper.close()
    assert shipped(logs, group) == ["last words"]


def test_without_an_emulator_nothing_waits_and_the_loss_is_told(caplog: pytest.LogCaptureFixture) -> None:
    once = Config(retries={"total_max_attempts": 1})
    nowhere = RootSession(f"http://127.0.0.1:{free_port()}", AccessKey.new()).client("logs", config=once)
    shipper = LogShipper(nowhere, interval_seconds=0.01)
    buffer = shipper.new_buffer()
    buffer.destination = ("group", STREAM)
    began = time.monotonic()
    buffer.write(b"lost\n")
    assert time.monotonic() - began < 0.1
    with caplog.at_level(logging.WARNING):
        wait_until(lambda: "log lines for" in caplog.text, "the loss is told")
    shipper.close(timeout_seconds=3)
    assert time.monotonic() - began < 10


def test_a_buffer_that_nobody_named_is_dropped(shipper: LogShipper) -> None:
    buffer: LogBuffer = shipper.new_buffer()
    buffer.write(b"a spare that was never used\n")
    buffer.close()
    shipper.close()
    assert len(buffer.take()) == 1
