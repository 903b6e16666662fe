from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator

import pytest

from local.loopback.exchange import ConnectionLostError, exchange
from local.loopback.ports import free_port

HOST = (b"host", b"signed.example")


@pytest.fixture
def answering() -> Iterator[Callable[[bytes], int]]:
    """Starts a server that gives one connection these bytes and closes it; gives its port."""
    threads: list[threading.Thread] = []

    def start(answer: bytes) -> int:
        server = socket.create_server(("127.0.0.1", 0))
        threads.append(threading.Thread(target=serve, args=(server, answer)))
        threads[-1].start()
        return server.getsockname()[1]

    yield start
    for thread in threads:
        thread.join(5)


def serve(server: socket.socket, answer: bytes) -> None:
    server.settimeout(5)
    with server, server.accept()[0] as connection:
        connection.settimeout(5)
        request = b""
        while not request.endswith(b"payload"):
            received = connection.recv(65_536)
            assert received, request
            request += received
        connection.sendall(answer.replace(b"<request>", request))


def fetched(port: int, target: bytes = b"/") -> tuple[int, bytes]:
    async def fetch() -> tuple[int, bytes]:
        async with asyncio.timeout(5), exchange(port, "POST", target, [HOST], b"payload") as answer:
            return answer.status, await answer.body()

    return asyncio.run(fetch())


def test_a_request_is_sent_byte_for_byte_as_told(answering: Callable[[bytes], int]) -> None:
    port = answering(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n<request>")
    status, request = fetched(port, b"/runtimes/arn%3Aaws%2f../x?qualifier=")
    assert status == 200
    assert request.split(b"\r\n") == [
        b"POST /runtimes/arn%3Aaws%2f../x?qualifier= HTTP/1.1",
        b"host: signed.example",
        b"content-length: 7",
        b"connection: close",
        b"",
        b"payload",
    ]


def test_a_chunked_answer_is_put_together(answering: Callable[[bytes], int]) -> None:
    head = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 Made\r\nTransfer-Encoding: chunked\r\n\r\n"
    chunked = head + b"2\r\nab\r\n1\r\nc\r\n0\r\n\r\n"
    assert fetched(answering(chunked)) == (201, b"abc")


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (b"", "closed too early"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc", "closed too early"),
        (b"220 mail.example ESMTP\r\n\r\n", "does not speak HTTP"),
    ],
)
def test_an_answer_that_is_none_is_a_lost_connection(
    answering: Callable[[bytes], int], answer: bytes, problem: str
) -> None:
    with pytest.raises(ConnectionLostError, match=problem):
        fetched(answering(answer))


def test_nobody_there_is_a_lost_connection() -> None:
    with pytest.raises(ConnectionLostError, match="nothing listens"):
        fetched(free_port())
