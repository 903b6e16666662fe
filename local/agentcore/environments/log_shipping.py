"""Sends agents' output to CloudWatch Logs.

Owns batching and the thread that sends. `local.agentcore.environments.log_buffer` holds the lines until then, and knows
their group and stream.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from local.agentcore.environments.log_buffer import LogBuffer, LogLine

if TYPE_CHECKING:
    from mypy_boto3_logs import CloudWatchLogsClient
    from mypy_boto3_logs.type_defs import InputLogEventTypeDef

# https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutLogEvents.html
BATCH_MAX_BYTES = 1_048_576
BATCH_MAX_EVENTS = 10_000
BATCH_MAX_SPAN_MILLISECONDS = 24 * 60 * 60 * 1000
_LOGGER = logging.getLogger(__name__)


class LogShipper:
    """Sends the buffers' lines, from a thread of its own, until it is closed.

    :param client: must be thread-safe, as boto3's are.
    :param interval_seconds: how long a line waits at most before it is sent.
    """

    def __init__(self, client: CloudWatchLogsClient, interval_seconds: float = 0.25) -> None:
        self._client = client
        self._interval_seconds = interval_seconds
        self._buffers: list[LogBuffer] = []
        self._made: set[tuple[str, str]] = set()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="log-shipper", daemon=True)
        self._thread.start()

    def new_buffer(self) -> LogBuffer:
        """Return a buffer whose lines are sent, once it has a destination, until it is closed and empty."""
        buffer = LogBuffer()
        self._buffers.append(buffer)
        return buffer

    def close(self, timeout_seconds: float = 5.0) -> None:
        """Send what is left and end, giving up after the timeout; harmless when repeated."""
        self._closing.set()
        self._thread.join(timeout_seconds)

    def _run(self) -> None:
        while not self._closing.wait(self._interval_seconds):
            self._ship_all()
        self._ship_all()

    def _ship_all(self) -> None:
        for buffer in list(self._buffers):
            done = buffer.closed  # read first: a line added after this waits for the next round
            if buffer.destination is not None:
                self._ship(buffer.destination, buffer.take())
            if done:
                self._buffers.remove(buffer)
                self._made.discard(buffer.destination or ("", ""))

    def _ship(self, destination: tuple[str, str], lines: list[LogLine]) -> None:
        group, stream = destination
        try:
            self._make(destination)
            for batch in batches(lines):
                events: list[InputLogEventTypeDef] = [
                    {"timestamp": line.timestamp, "message": line.message} for line in batch
                ]
                self._client.put_log_events(logGroupName=group, logStreamName=stream, logEvents=events)
        except (ClientError, BotoCoreError) as error:
            _LOGGER.warning("%d log lines for %s in %s could not be sent: %s", len(lines), stream, group, error)

    def _make(self, destination: tuple[str, str]) -> None:
        if destination in self._made:
            return
        group, stream = destination
        exists = self._client.exceptions.ResourceAlreadyExistsException
        with suppress(exists):
            self._client.create_log_group(logGroupName=group)
        with suppress(exists):
            self._client.create_log_stream(logGroupName=group, logStreamName=stream)
        self._made.add(destination)


def batches(lines: Iterable[LogLine]) -> Iterator[list[LogLine]]:
    """Split lines, in order, into lists that each fit into one PutLogEvents call."""
    batch: list[LogLine] = []
    size = 0
    for line in lines:
        if batch and (
            size + line.size > BATCH_MAX_BYTES
            or len(batch) == BATCH_MAX_EVENTS
            or line.timestamp - batch[0].timestamp > BATCH_MAX_SPAN_MILLISECONDS
        ):
            yield batch
            batch, size = [], 0
        batch.append(line)
        size += line.size
    if batch:
        yield batch
