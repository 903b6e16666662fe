"""HTTP/1.1 requests to servers on this machine, byte for byte as given.

Owns connections, one per request, and their framing, by h11. Nothing else: no header is added but for framing, no URL
is normalised, nothing is retried, redirected or decoded. So signed requests pass unchanged, and in a fraction of a
millisecond, where httpx takes a few.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import h11

_READ_BYTES = 65_536
_CLOSED_TOO_EARLY = "the connection was closed too early"

RawHeaders = Iterable[tuple[bytes, bytes]]


class ConnectionLostError(Exception):
    """The server can't be reached, closed the connection too early, or does not speak HTTP."""


@dataclass(frozen=True)
class Answer:
    """A response whose body is not read yet.

    :ivar headers: by names in lower case.
    """

    status: int
    headers: dict[bytes, bytes]
    _connection: h11.Connection
    _reader: asyncio.StreamReader

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """Yield the body as it arrives.

        :raises ConnectionLostError: if it ends too early.
        """
        while isinstance(event := await _next_event(self._connection, self._reader), h11.Data):
            yield bytes(event.data)

    async def body(self) -> bytes:
        """Return the whole body.

        :raises ConnectionLostError: if it ends too early.
        """
        return b"".join([chunk async for chunk in self.chunks()])


@asynccontextmanager
async def exchange(
    port: int, method: str, target: bytes, headers: RawHeaders, body: bytes = b""
) -> AsyncGenerator[Answer, None]:
    """Send one request to a port on 127.0.0.1 and yield the answer, to be read inside this context.

    :param target: path and query, percent-encoded.
    :param headers: with Host, but without Content-Length and connection headers.
    :raises ConnectionLostError: if there is no answer.
    """
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError as error:
        raise ConnectionLostError(f"nothing listens on port {port}: {error.strerror}") from error
    try:
        connection = h11.Connection(h11.CLIENT)
        framing = [(b"content-length", str(len(body)).encode()), (b"connection", b"close")]
        request = h11.Request(method=method, target=target, headers=[*headers, *framing])
        writer.write(connection.send(request) or b"")
        writer.write(connection.send(h11.Data(data=body)) or b"")
        writer.write(connection.send(h11.EndOfMessage()) or b"")
        event = await _next_event(connection, reader)
        if not isinstance(event, h11.Response):
            raise ConnectionLostError(_CLOSED_TOO_EARLY)
        yield Answer(event.status_code, dict(event.headers), connection, reader)
    finally:
        writer.transport.abort()


async def _next_event(connection: h11.Connection, reader: asyncio.StreamReader) -> object:
    try:
        while (event := connection.next_event()) is h11.NEED_DATA or isinstance(event, h11.InformationalResponse):
            if event is h11.NEED_DATA:
                connection.receive_data(await reader.read(_READ_BYTES))
    except OSError as error:
        raise ConnectionLostError(_CLOSED_TOO_EARLY) from error
    except h11.RemoteProtocolError as error:
        problem = _CLOSED_TOO_EARLY if reader.at_eof() else f"it does not speak HTTP: {error}"
        raise ConnectionLostError(problem) from error
    return event
