"""A scripted HTTP server on loopback: replies are queued in, requests come out.

It answers whatever it is asked, any method and any path; what an answer means is the caller's business.
`tests/support/fake_model.py` and `tests/support/aws_over_http.py` are built on it.
"""

import threading
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self, cast


@dataclass(frozen=True)
class Received:
    """A request as it arrived; header names are in lower case."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class Reply:
    """One answer.

    :ivar delay_seconds: time until it is sent
    :ivar hangs: it is never sent: the request waits until the server stops
    :ivar cut_short: the connection ends after the body, which is said to be longer
    """

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    delay_seconds: float = 0
    hangs: bool = False
    cut_short: bool = False


class HttpServer:
    """Runs from construction until `close`, or for a `with` block.

    :ivar requests: all requests so far, oldest first
    """

    def __init__(self, default: Reply | None = None) -> None:
        self.requests: list[Received] = []
        self._default = default or Reply()
        self._queue: deque[Reply] = deque()
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._server = _Server(self)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        """Where it listens, for instance http://127.0.0.1:40001."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def queue(self, *replies: Reply) -> None:
        """Answer the next requests with these, and only then with the default again."""
        with self._lock:
            self._queue.extend(replies)

    def answer(self, request: Received) -> Reply:  # noqa: ARG002 - for those who override it
        """Return what a request is answered with: the next queued reply, or the default."""
        with self._lock:
            return self._queue.popleft() if self._queue else self._default

    def close(self) -> None:
        """Stop, and let go of every request that hangs."""
        self._stopped.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def take(self, request: Received) -> Reply | None:
        """Record a request, wait as its reply says, and return the reply; None if it is never to be sent."""
        with self._lock:
            self.requests.append(request)
        reply = self.answer(request)
        if reply.hangs:
            self._stopped.wait()
            return None
        if reply.delay_seconds:
            self._stopped.wait(reply.delay_seconds)
        return reply


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, owner: HttpServer) -> None:
        self.owner = owner
        super().__init__(("127.0.0.1", 0), _Handler)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Without these an answer's body waits for the acknowledgement of its headers, 40 ms.
    disable_nagle_algorithm = True
    wbufsize = -1

    def handle_one_request(self) -> None:
        try:
            super().handle_one_request()
        except (ConnectionError, TimeoutError):
            self.close_connection = True

    def handle_expect_100(self) -> bool:
        # boto3 waits for it before it sends an object, a second at most.
        proceed = super().handle_expect_100()
        self.wfile.flush()
        return proceed

    def __getattr__(self, name: str) -> Any:
        if name.startswith("do_"):
            return self._take_and_answer
        raise AttributeError(name)

    def _take_and_answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        headers = {name.lower(): value for name, value in self.headers.items()}
        reply = cast("_Server", self.server).owner.take(Received(self.command, self.path, headers, body))
        if reply is None:
            self.close_connection = True
        else:
            self._send(reply)

    def _send(self, reply: Reply) -> None:
        self.send_response(reply.status)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(reply.body) + (100 if reply.cut_short else 0)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(reply.body)
        self.wfile.flush()
        self.close_connection = self.close_connection or reply.cut_short

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - so it is called in the base class
        """Stay silent: what arrived is in `requests`."""
