"""Keeps web pages from using servers on loopback.

Every page open in a browser on this machine can reach 127.0.0.1. Its requests have an `Origin` or `Sec-Fetch-…` header,
which a page can't remove, or, if its own name was pointed here (DNS rebinding), a foreign `Host`. AWS's clients send
none of these. Owns that rule and the answer; the servers check signatures themselves.

https://developer.mozilla.org/en-US/docs/Glossary/Forbidden_request_header
"""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
AsgiApp = Callable[[Message, Receive, Send], Awaitable[None]]

_OWN_NAME = re.compile(r"(127\.0\.0\.1|localhost|\[::1\])(:\d{1,5})?", re.IGNORECASE | re.ASCII)
_OF_BROWSERS = ("origin", "sec-fetch-")


def refusal(headers: Iterable[tuple[str, str]]) -> str | None:
    """Why a request with these headers is refused, as a sentence; None if it isn't.

    :param headers: as received, names in any case.
    """
    hosts = list[str]()
    for name, value in headers:
        known = name.lower()
        if known.startswith(_OF_BROWSERS):
            return f"This server is not for web pages: the request has the header {name}: {value[:200]}"
        if known == "host":
            hosts.append(value)
    if len(hosts) != 1 or not _OWN_NAME.fullmatch(hosts[0]):
        return f"This server is 127.0.0.1 and answers to no other name: the request's Host is {hosts}"
    return None


def gate(app: AsgiApp) -> AsgiApp:
    """Wrap an application so that it refuses web pages' requests and lets no page read its answers."""

    async def handle(scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await app(scope, receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
            return
        headers = ((name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"])
        if (why := refusal(headers)) is not None:
            await refuse(why, send)
            return

        async def send_without_cors(message: Message) -> None:
            if message["type"] == "http.response.start":
                kept = [pair for pair in message["headers"] if not pair[0].lower().startswith(b"access-control-")]
                message = {**message, "headers": kept}
            await send(message)

        await app(scope, receive, send_without_cors)

    return handle


async def refuse(why: str, send: Send, code: str = "AccessDeniedException") -> None:
    """Answer 403 in a form that AWS's clients understand."""
    body = json.dumps({"__type": code, "message": why}).encode()
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        (b"x-amzn-errortype", code.encode()),
        (b"connection", b"close"),
    ]
    await send({"type": "http.response.start", "status": 403, "headers": headers})
    await send({"type": "http.response.body", "body": body})
