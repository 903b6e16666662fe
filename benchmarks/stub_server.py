"""A loopback HTTP server that answers at once what AWS would, and counts connections: the baseline's own.

It is no emulator: it keeps nothing and checks nothing. The faster it answers, the less it hides of what our code
costs, so a ratio measured against it is stricter than any against a real service. It runs in a process of its own,
so that it competes with nobody for Python's lock.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import multiprocessing
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection

START_SECONDS = 20
COUNTS = b"GET /counts "
DYNAMODB = b"x-amz-target: dynamodb"
LIVES_SECONDS = 600


@dataclass
class _Counts:
    connections: int = 0
    requests: int = 0
    open: set[asyncio.Transport] = field(default_factory=set["asyncio.Transport"])


class _Answers(asyncio.Protocol):
    """One connection. Requests come one after another, headers and body perhaps in several pieces."""

    def __init__(self, counts: _Counts) -> None:
        self._counts = counts
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, found, body = self._received.partition(b"\r\n\r\n")
        if not found or len(body) < _content_length(head):
            return
        self._received = b""
        if head.startswith(COUNTS):
            self._send(json.dumps({"connections": self._counts.connections, "requests": self._counts.requests}))
            return
        if self._transport not in self._counts.open:
            self._counts.open.add(self._transport)
            self._counts.connections += 1
        self._counts.requests += 1
        self._send("{}" if DYNAMODB in head.lower() else '{"accepted": {}}')

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        self._counts.open.discard(self._transport)

    def _send(self, body: str) -> None:
        self._transport.write(
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"
            % (len(body), body.encode())
        )


def _content_length(head: bytes) -> int:
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return int(line.split(b":")[1])
    return 0


def _serve(ready: Connection) -> None:
    async def serve() -> None:
        counts = _Counts()
        server = await asyncio.get_running_loop().create_server(lambda: _Answers(counts), "127.0.0.1", 0)
        ready.send(server.sockets[0].getsockname()[1])
        await asyncio.sleep(LIVES_SECONDS)

    asyncio.run(serve())


@dataclass(frozen=True)
class StubServer:
    """A running server.

    :ivar url: what clients take as endpoint
    """

    url: str

    def counts(self) -> tuple[int, int]:
        """Return how many connections were used and how many requests came so far."""
        connection = http.client.HTTPConnection(self.url.removeprefix("http://"), timeout=5)
        try:
            connection.request("GET", "/counts")
            counts = json.load(connection.getresponse())
        finally:
            connection.close()
        return counts["connections"], counts["requests"]


@contextmanager
def stub_server() -> Generator[StubServer]:
    """Run a server in a process of its own.

    :raises TimeoutError: if it doesn't come up
    """
    context = multiprocessing.get_context("spawn")
    ours, its = context.Pipe()
    process = context.Process(target=_serve, args=(its,), daemon=True)
    process.start()
    try:
        if not ours.poll(START_SECONDS):
            raise TimeoutError(f"the stub server did not come up within {START_SECONDS} s")
        yield StubServer(f"http://127.0.0.1:{ours.recv()}")
    finally:
        process.kill()
        process.join(5)
