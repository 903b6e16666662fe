"""The agent's logs: one stream for each execution environment, found by name and never by listing the group.

One session can have several environments. AgentCore keeps a session in one environment while that lives, and
an environment ends when it idles out, reaches its maximum lifetime, is stopped or judged unhealthy, or dies; the
session's next request then gets a fresh one, with nothing in its memory. So a run that was lost and resumed has a
stream for each environment that worked on it, and what a process remembers proves nothing.

Stream names: `YYYY/MM/DD/[runtime-logs-{session}]{environment}` for stdout and stderr, `otel-rt-logs` for what the
OpenTelemetry distribution sends, `spans` for traces; see
https://docs.aws.amazon.com/bedrock-agentcore/latest/devguide/observability-configure.html
"""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import date, datetime
from enum import StrEnum
from functools import partial
from typing import TYPE_CHECKING

from runbook.log_lines import LogLine, LogLines, parse_line
from runbook.tables import UTC_TIME, Column, Table, Terminal

if TYPE_CHECKING:
    from mypy_boto3_logs import CloudWatchLogsClient

_NAME = re.compile(
    r"(?P<day>\d{4}/\d{2}/\d{2})/\[runtime-logs(?:-(?P<session>[A-Za-z0-9_-]+))?\](?P<environment>[0-9A-Za-z-]+)"
)
_ATTEMPT = re.compile(r"\bAttempt (\d+) of run\b")
_ENVIRONMENT = re.compile(r"\bAttempt \d+ of run \S+ began in environment ([0-9A-Za-z-]+)")


class StreamKind(StrEnum):
    """What a stream holds."""

    RUNTIME = "RUNTIME"
    OTEL = "OTEL"
    SPANS = "SPANS"
    OTHER = "OTHER"


@dataclass(frozen=True, slots=True)
class StreamName:
    """What the name of a log stream tells.

    :ivar day: the day, in UTC, on which the stream was made
    :ivar session_id: None where the environment was started before it had a session (container images)
    """

    name: str
    kind: StreamKind
    day: date | None = None
    session_id: str | None = None
    environment_id: str | None = None


def parse_stream_name(name: str) -> StreamName:
    """Return what a stream's name tells; a name of an unknown form is of kind `OTHER`."""
    if name.startswith("otel-rt-logs"):
        return StreamName(name, StreamKind.OTEL)
    if name == "spans":
        return StreamName(name, StreamKind.SPANS)
    found = _NAME.fullmatch(name)
    if not found:
        return StreamName(name, StreamKind.OTHER)
    day = date.fromisoformat(found["day"].replace("/", "-"))
    return StreamName(name, StreamKind.RUNTIME, day, found["session"], found["environment"])


@dataclass(frozen=True, slots=True)
class LogStream:
    """The output of one execution environment.

    :ivar environment_id: as the journal has it, where a line of the stream tells; else as the stream's name has it
    :ivar first_at: time of its first line, None if it is empty
    :ivar attempts: the attempts of the run that began in it, by its own lines
    :ivar errors: how many lines are errors
    """

    name: str
    environment_id: str
    first_at: datetime | None
    last_at: datetime | None
    attempts: tuple[int, ...]
    lines: int
    errors: int


class LogStreams(Table[LogStream]):
    """The execution environments of one session, in the order in which they began to write."""

    nothing = "No log stream yet: no environment has worked on this run, or its lines are on their way."

    columns = (
        Column("environment_id", "str", "environment", Terminal.LINE),
        Column("attempts", "str", "attempts", Terminal.LINE),
        Column("first_at", UTC_TIME, "first (UTC)", Terminal.LINE, text="{:%H:%M:%S}".format),
        Column("last_at", UTC_TIME, "last", Terminal.LINE, text="{:%H:%M:%S}".format),
        Column("lines", "int", "lines", Terminal.LINE),
        Column("errors", "int", "errors", Terminal.LINE),
        Column("log_stream", "str", read=lambda stream: stream.name),
    )

    def __init__(self, session_id: str, streams: Iterable[LogStream]) -> None:
        super().__init__(sorted(streams, key=lambda stream: (str(stream.first_at or "~"), stream.name)))
        self.session_id = session_id

    @property
    def names(self) -> list[str]:
        """The names of the streams."""
        return [stream.name for stream in self]


class AgentLogs:
    """The log group of one agent endpoint.

    :raises botocore.exceptions.ClientError: from every method, if CloudWatch Logs refuses
    """

    def __init__(self, client: "CloudWatchLogsClient", group_name: str) -> None:
        self._client = client
        self._group_name = group_name

    def names(self, session_id: str, days: Iterable[date]) -> list[StreamName]:
        """Return the session's streams that were made on some days. A group that is not there has none."""
        return [found for day in days for found in self._of_day(session_id, day)]

    def streams(self, session_id: str, days: Iterable[date]) -> LogStreams:
        """Return the session's environments, each with what its lines tell."""
        return LogStreams(session_id, (self._describe(name) for name in self.names(session_id, days)))

    def lines(self, session_id: str, days: Iterable[date], accept: Callable[[LogLine], bool]) -> LogLines:
        """Return the lines of all the session's environments, merged by time."""
        names = self.names(session_id, days)
        return LogLines(session_id, (line for name in names for line in self._read(name) if accept(line)))

    def each_line(self, session_id: str, days: Iterable[date]) -> list[Iterator[LogLine]]:
        """Return the lines of each of the session's environments, read as they are asked for."""
        return [self._pages(name) for name in self.names(session_id, days)]

    def _of_day(self, session_id: str, day: date) -> Iterator[StreamName]:
        prefix = f"{day:%Y/%m/%d}/[runtime-logs-{session_id}]"
        pages = self._client.get_paginator("describe_log_streams").paginate(
            logGroupName=self._group_name, logStreamNamePrefix=prefix
        )
        try:
            for page in pages:
                for stream in page["logStreams"]:
                    yield parse_stream_name(stream.get("logStreamName", ""))
        except self._client.exceptions.ResourceNotFoundException:
            return

    def _describe(self, name: StreamName) -> LogStream:
        lines = self._read(name)
        attempts = {int(number) for line in lines for number in _ATTEMPT.findall(line.message)}
        return LogStream(
            name=name.name,
            environment_id=lines[0].environment_id if lines else name.environment_id or "",
            first_at=lines[0].at if lines else None,
            last_at=lines[-1].at if lines else None,
            attempts=tuple(sorted(attempts)),
            lines=len(lines),
            errors=sum(line.is_error for line in lines),
        )

    def _read(self, name: StreamName) -> list[LogLine]:
        """The lines of a stream, under the id by which the journal knows the environment.

        That id is the agent's own: it isn't told the one that AgentCore has put into the stream's name.
        """
        lines = list(self._pages(name))
        own = next((found[1] for line in lines if (found := _ENVIRONMENT.search(line.message))), None)
        return [replace(line, environment_id=own) for line in lines] if own else lines

    def _pages(self, name: StreamName) -> Iterator[LogLine]:
        read_page = partial(
            self._client.get_log_events, logGroupName=self._group_name, logStreamName=name.name, startFromHead=True
        )
        page, token = read_page(), ""
        while True:
            for event in page["events"]:
                yield parse_line(event.get("timestamp", 0), event.get("message", ""), name.environment_id or "")
            # The end is where the token stays the same: an empty page alone is not.
            if token == page["nextForwardToken"]:
                return
            token = page["nextForwardToken"]
            page = read_page(nextToken=token)
