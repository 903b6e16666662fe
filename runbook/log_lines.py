"""Lines of an agent's log: JSON from the SDK's logger, plain text from everything else."""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, cast

from runbook.tables import UTC_TIME, Column, Table, Terminal

LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
_PLAIN_LEVEL = re.compile(r"^\W*(DEBUG|INFO|WARNING|WARN|ERROR|CRITICAL|FATAL)\b")
_SYNONYMS = {"WARN": "WARNING", "FATAL": "CRITICAL"}
_TRACEBACK = "Traceback (most recent call last)"


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line that an execution environment wrote.

    :ivar at: when CloudWatch Logs got it, by the environment's clock
    :ivar level: one of :data:`LEVELS`, or None for plain text that names none
    :ivar stack_trace: the traceback, an empty text if there is none
    :ivar raw: the line as it was written
    """

    at: datetime
    environment_id: str
    level: str | None
    message: str
    error_type: str | None
    stack_trace: str
    raw: str

    @property
    def is_error(self) -> bool:
        """Whether the line is of level ERROR or above."""
        return self.level in ("ERROR", "CRITICAL")

    @property
    def has_traceback(self) -> bool:
        """Whether the line tells of an error and where it was raised."""
        return self.is_error and bool(self.stack_trace)


def parse_line(timestamp: int, text: str, environment_id: str) -> LogLine:
    """Return a log event as a line.

    :param timestamp: milliseconds since 1970
    """
    at = datetime.fromtimestamp(timestamp / 1000, UTC)
    fields = _fields(text)
    if fields is None:
        return LogLine(at, environment_id, _plain_level(text), text, None, "", text)
    stack = fields.get("stackTrace", "")
    return LogLine(
        at=at,
        environment_id=environment_id,
        level=_level(str(fields.get("level", ""))),
        message=str(fields["message"]),
        error_type=str(fields["errorType"]) if fields.get("errorType") else None,
        stack_trace="".join(map(str, cast("list[Any]", stack))) if isinstance(stack, list) else str(stack or ""),
        raw=text,
    )


def accepts(level: str | None, text: str | None) -> "LineFilter":
    """Return a filter of lines.

    :param level: that level and above; plain text without a level is left out then
    :param text: a part of the line, in any case
    :raises ValueError: if there is no such level
    """
    if level is not None and level.upper() not in LEVELS:
        raise ValueError(f"level is {level!r}: it must be one of {', '.join(LEVELS)}")
    return LineFilter(LEVELS.index(level.upper()) if level else None, text.casefold() if text else "")


@dataclass(frozen=True, slots=True)
class LineFilter:
    """Whether a line is wanted; made by :func:`accepts`."""

    lowest: int | None
    text: str

    def __call__(self, line: LogLine) -> bool:
        """Return whether the line is of that level and has that text."""
        if self.lowest is not None and (line.level is None or LEVELS.index(line.level) < self.lowest):
            return False
        return self.text in line.raw.casefold()


def _stack_trace(line: LogLine) -> str | None:
    return line.stack_trace or None


class LogLines(Table[LogLine]):
    """The lines of one session in the order of their times, whatever environment wrote them."""

    nothing = "No such lines. Lines may take some seconds to arrive in CloudWatch Logs."

    columns = (
        Column("at", UTC_TIME, "time (UTC)", text=lambda at: f"{at:%H:%M:%S.%f}"[:-3]),
        Column("environment_id", "str", "environment", text=lambda found: found[:8]),
        Column("level", heading="level"),
        Column("message", "str", "message"),
        Column("error_type", heading="error"),
        Column("stack_trace", heading="traceback", terminal=Terminal.BELOW, read=_stack_trace, folded=True),
    )

    def __init__(self, session_id: str, lines: Iterable[LogLine]) -> None:
        super().__init__(sorted(lines, key=lambda line: line.at))
        self.session_id = session_id


def _fields(text: str) -> dict[str, Any] | None:
    if not text.startswith("{"):
        return None
    try:
        fields: object = json.loads(text)
    except ValueError:
        return None
    if isinstance(fields, dict) and "message" in fields:
        return cast("dict[str, Any]", fields)
    return None


def _level(name: str) -> str | None:
    name = _SYNONYMS.get(name.upper(), name.upper())
    return name if name in LEVELS else None


def _plain_level(text: str) -> str | None:
    if text.startswith(_TRACEBACK):
        return "ERROR"
    found = _PLAIN_LEVEL.match(text)
    return _level(found[1]) if found else None
