"""Buffers the lines that an agent prints until they are sent.

Owns splitting output into lines, their timestamps, and the size limit. Nothing here blocks: a full buffer drops its
oldest lines, and says so in their place. `local.agentcore.environments.log_shipping` sends them.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from dataclasses import dataclass

LINE_MAX_BYTES = 262_144
BUFFER_MAX_BYTES = 8_388_608
TAIL_LINES = 12
EVENT_OVERHEAD_BYTES = 26  # what PutLogEvents counts for an event besides its message


@dataclass(frozen=True)
class LogLine:
    """One event.

    :ivar timestamp: milliseconds since 1970, UTC.
    :ivar size: bytes it adds to a batch.
    """

    timestamp: int
    message: str
    size: int


class LogBuffer:
    """The lines of one log stream: written in one thread, taken in another.

    :ivar destination: log group and log stream; None until the agent is invoked.
    :ivar closed: whether the last line has been written.
    """

    def __init__(self, max_bytes: int = BUFFER_MAX_BYTES) -> None:
        self.destination: tuple[str, str] | None = None
        self.closed = False
        self._max_bytes = max_bytes
        self._bytes = 0
        self._lost = 0
        self._lines: deque[LogLine] = deque()
        self._tail: deque[str] = deque(maxlen=TAIL_LINES)
        self._unfinished = b""
        self._lock = threading.Lock()

    def write(self, output: bytes) -> None:
        """Add a piece of output; lines may begin and end anywhere in it."""
        *whole, self._unfinished = (self._unfinished + output).split(b"\n")
        for line in whole:
            self._add(line)
        while len(self._unfinished) > LINE_MAX_BYTES:
            self._add(self._unfinished[:LINE_MAX_BYTES])
            self._unfinished = self._unfinished[LINE_MAX_BYTES:]

    def close(self) -> None:
        """Add an unfinished last line; harmless when repeated."""
        self._add(self._unfinished)
        self._unfinished = b""
        self.closed = True

    def tail(self) -> str:
        """The last lines, sent or not."""
        return "\n".join(self._tail)

    def take(self) -> list[LogLine]:
        """Remove and return all lines so far."""
        with self._lock:
            lines, lost = list(self._lines), self._lost
            self._lines.clear()
            self._bytes = self._lost = 0
        if lost:
            lines.insert(0, _line(lines[0].timestamp, f"[{lost} lines were lost here: too many at once]".encode()))
        return lines

    def _add(self, output: bytes) -> None:
        for start in range(0, len(output), LINE_MAX_BYTES):
            self._keep(output[start : start + LINE_MAX_BYTES].rstrip(b"\r"))

    def _keep(self, output: bytes) -> None:
        if not output:  # CloudWatch refuses empty events
            return
        with self._lock:
            # The clock may go back, but a batch must be in order.
            earliest = self._lines[-1].timestamp if self._lines else 0
            line = _line(max(earliest, time.time_ns() // 1_000_000), output)
            self._lines.append(line)
            self._bytes += line.size
            while self._bytes > self._max_bytes and len(self._lines) > 1:
                self._bytes -= self._lines.popleft().size
                self._lost += 1
        self._tail.append(line.message)


def _line(timestamp: int, output: bytes) -> LogLine:
    message = output.decode(errors="replace")
    return LogLine(timestamp, message, len(message.encode()) + EVENT_OVERHEAD_BYTES)
