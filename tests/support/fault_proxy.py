"""A proxy in front of an AWS endpoint: calls that a test's rule picks fail, wait or lose their answer.

Owns recognising calls and error answers in their service's own shape. Which calls go wrong is the rules'. All else
passes byte for byte, Host included, so that signatures stay valid. In the test's own process, because rules are
functions: they can wait for a moment, kill something, or call on and drop the answer.
"""

import http.client
import json
import random
import re
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from tests.support.http_server import HttpServer, Received, Reply
from tests.support.waiting import wait_until

FORWARD_SECONDS = 120
_SCOPE = re.compile(r"Credential=[^/]+/\d{8}/[^/]+/(?P<service>[^/]+)/aws4_request")
_NOT_PASSED_ON = {"connection", "expect", "transfer-encoding", "content-length"}
_S3_OPERATIONS = {"GET": "GetObject", "PUT": "PutObject", "HEAD": "HeadObject"}


@dataclass(frozen=True)
class Call:
    """A call of AWS as it came.

    :ivar service: as it is signed: `dynamodb`, `s3`, `bedrock`, `bedrock-agentcore`
    :ivar operation: `PutItem`, `ListObjectsV2`, `ConverseStream`, `InvokeAgentRuntime`, …
    """

    service: str
    operation: str
    request: Received

    @classmethod
    def of(cls, request: Received) -> "Call":
        """Return which call a request is."""
        scope = _SCOPE.search(request.headers.get("authorization", ""))
        return cls(scope["service"] if scope else "", _operation(request), request)

    def mentions(self, text: str) -> bool:
        """Whether a text, a session id for instance, is in its path, headers or body."""
        return text in self.request.path or text in self.request.headers.values() or text.encode() in self.request.body


Rule = Callable[[Call], Reply | None]
"""What happens to a call: an answer in place of the real one, or None to let it pass."""


class FaultProxy(HttpServer):
    """Passes calls on to `upstream`, which may be set later, except for those that a rule answers.

    :ivar upstream: such as `http://127.0.0.1:4566`
    :ivar calls: all calls so far without their bodies, oldest first
    """

    def __init__(self, upstream: str = "") -> None:
        self.upstream = upstream
        self.calls: list[Call] = []
        self._rules: list[Rule] = []
        super().__init__()

    @contextmanager
    def rule(self, rule: Rule) -> Generator[None]:
        """Ask a rule about every call for a while; of several, the newest that answers wins."""
        self._rules.insert(0, rule)
        try:
            yield
        finally:
            self._rules.remove(rule)

    def wait_for_call(self, operation: str, text: str, seconds: float = 10) -> None:
        """Wait for a call of an operation that has a text in its path or headers."""
        what = f"{operation} of {text}"
        wait_until(
            lambda: any(call.operation == operation and call.mentions(text) for call in self.calls), what, seconds
        )

    def take(self, request: Received) -> Reply | None:
        """Answer as a rule says, or as the upstream does. Bodies aren't kept: they are too many."""
        call = Call.of(request)
        self.calls.append(replace(call, request=replace(request, body=b"")))
        reply = next((found for rule in tuple(self._rules) if (found := rule(call))), None) or self.forward(call)
        if reply.hangs:
            self._stopped.wait()
            return None
        return reply

    def forward(self, call: Call) -> Reply:
        """Return what the upstream answers."""
        target = urlsplit(self.upstream)
        connection = http.client.HTTPConnection(target.hostname or "", target.port, timeout=FORWARD_SECONDS)
        try:
            connection.putrequest(call.request.method, call.request.path, skip_host=True, skip_accept_encoding=True)
            for name, value in call.request.headers.items():
                if name not in _NOT_PASSED_ON:
                    connection.putheader(name, value)
            connection.putheader("content-length", str(len(call.request.body)))
            connection.endheaders(call.request.body)
            answer = connection.getresponse()
            body = answer.read()
        except (OSError, http.client.HTTPException) as error:
            return Reply(502, str(error).encode())
        finally:
            connection.close()
        kept = {name: value for name, value in answer.getheaders() if name.lower() not in _NOT_PASSED_ON}
        return Reply(answer.status, body, kept)

    def lost(self, call: Call) -> Reply:
        """Let the upstream do it, and break the connection in the middle of its answer."""
        done = self.forward(call)
        return Reply(done.status, done.body[: len(done.body) // 2], done.headers, cut_short=True)


def throttled(call: Call) -> Reply:
    """Return what a service answers that is asked too often."""
    if call.service == "s3":
        return _s3_error(503, "SlowDown")
    return _json_error(400 if call.service == "dynamodb" else 429, "ThrottlingException")


def failed(call: Call) -> Reply:
    """Return what a service answers that has a fault of its own."""
    if call.service == "s3":
        return _s3_error(500, "InternalError")
    return _json_error(500, "InternalServerError" if call.service == "dynamodb" else "InternalServerException")


def conflicting(_call: Call) -> Reply:
    """Return what DynamoDB answers to a transaction that met another one at an item."""
    body = json.dumps(
        {
            "__type": "com.amazonaws.dynamodb.v20120810#TransactionCanceledException",
            "Message": "Transaction cancelled, please refer cancellation reasons for specific reasons",
            "CancellationReasons": [{"Code": "TransactionConflict"}, {"Code": "None"}],
        }
    ).encode()
    return Reply(400, body, {"Content-Type": "application/x-amz-json-1.0"})


def denied(_call: Call) -> Reply:
    """Return what a service answers to someone who may not do this."""
    return _json_error(403, "AccessDeniedException")


def unanswered(_call: Call) -> Reply:
    """Accept the call and never answer."""
    return Reply(hangs=True)


def first(count: int, fault: Callable[[Call], Reply], picks: Callable[[Call], bool]) -> Rule:
    """Return a rule by which the first calls that are picked go wrong, and later ones pass."""
    left, lock = count, threading.Lock()

    def rule(call: Call) -> Reply | None:
        nonlocal left
        if not picks(call):
            return None
        with lock:
            left -= 1
            if left < 0:
                return None
        return fault(call)

    return rule


def sometimes(proxy: FaultProxy, share: float, seed: int) -> Rule:
    """Return a rule by which that share of all calls is throttled, fails, or is done and loses its answer."""
    dice, lock = random.Random(seed), threading.Lock()
    faults: list[Callable[[Call], Reply]] = [throttled, failed, proxy.lost]

    def rule(call: Call) -> Reply | None:
        with lock:
            fault = dice.choice(faults) if dice.random() < share else None
        return fault(call) if fault else None

    return rule


def share_of(share: float, seed: int, fault: Callable[[Call], Reply], picks: Callable[[Call], bool]) -> Rule:
    """Return a rule by which that share of the calls that are picked goes wrong."""
    dice, lock = random.Random(seed), threading.Lock()

    def rule(call: Call) -> Reply | None:
        if not picks(call):
            return None
        with lock:
            wrong = dice.random() < share
        return fault(call) if wrong else None

    return rule


def _operation(request: Received) -> str:
    if target := request.headers.get("x-amz-target"):
        return target.rpartition(".")[2]
    path, _, query = request.path.partition("?")
    for ending, name in (
        ("/invocations", "InvokeAgentRuntime"),
        ("/stopruntimesession", "StopRuntimeSession"),
        ("/converse-stream", "ConverseStream"),
        ("/converse", "Converse"),
    ):
        if path.endswith(ending):
            return name
    return "ListObjectsV2" if "list-type=2" in query else _S3_OPERATIONS.get(request.method, request.method)


def _json_error(status: int, code: str) -> Reply:
    body = json.dumps({"__type": code, "message": "as scripted"}).encode()
    return Reply(status, body, {"Content-Type": "application/json", "x-amzn-ErrorType": code})


def _s3_error(status: int, code: str) -> Reply:
    body = f"<Error><Code>{code}</Code><Message>as scripted</Message></Error>".encode()
    return Reply(status, body, {"Content-Type": "application/xml"})
