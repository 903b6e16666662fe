"""AgentCore's data plane on the wire: InvokeAgentRuntime and StopRuntimeSession, as boto3 speaks them.

Owns paths, headers and the format of errors. The authorizer decides who may call, the pool which environment answers.
Bytes are passed through: nothing that an agent receives or answers is parsed here. Custom headers are not passed on,
even if a runtime allows them.

Shapes from botocore's service model `bedrock-agentcore`, 2024-02-28; errors are restJson1's:
https://smithy.io/2.0/aws/protocols/aws-restjson1-protocol.html#operation-error-serialization
"""

from __future__ import annotations

import logging
import secrets
import time
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import Message, Receive, Scope, Send

from local.agentcore.authorizer import Authorizer
from local.agentcore.environments.pool import EnvironmentPool
from local.agentcore.protocol.errors import AgentCoreError, NamedError, ValidationError
from local.agentcore.protocol.requests import (
    REQUEST_ID_HEADER,
    SESSION_HEADER,
    endpoint_of,
    payload_of,
    refuse_what_is_not_emulated,
    session_id_of,
)
from local.loopback.exchange import Answer, RawHeaders

CREDENTIALS_PATH = "/credentials"
_TRACE_HEADERS = frozenset({b"x-amzn-trace-id", b"traceparent", b"tracestate", b"baggage"})
_PASSED_TO_AGENT = frozenset({b"accept", b"content-type"})
_PASSED_TO_CALLER = frozenset({b"content-type", b"content-length", b"content-encoding"})
_LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True)
class DataPlaneApi:
    """The data plane's operations."""

    authorizer: Authorizer
    pool: EnvironmentPool

    def app(self) -> Starlette:
        """Return the ASGI application."""
        return Starlette(
            routes=[
                Route("/runtimes/{arn:path}/invocations", _Operation(self._invoke), methods=["POST"]),
                Route("/runtimes/{arn:path}/stopruntimesession", _Operation(self._stop), methods=["POST"]),
                Route(CREDENTIALS_PATH, _Operation(self._credentials), methods=["GET"]),
                Route("/{path:path}", _Operation(_unknown)),
            ]
        )

    async def _invoke(self, request: Request, request_id: str, send: Send) -> None:
        payload = await payload_of(request)
        refuse_what_is_not_emulated(request.headers)
        endpoint = endpoint_of(request.path_params["arn"], request.query_params.get("qualifier"))
        session_id = session_id_of(request.headers)
        await self.authorizer.authorize_invocation(request, payload, endpoint)
        environment = await self.pool.environment_of(endpoint, session_id)
        session = (SESSION_HEADER.encode(), session_id.encode("latin-1"))
        headers = [session, *_trace_of(request)]
        to_agent = [*headers, (REQUEST_ID_HEADER.encode(), request_id.encode()), *_pick(request, _PASSED_TO_AGENT)]
        async with environment.invocation(to_agent, payload) as answer:
            await _relay(answer, [*headers, (b"x-amzn-requestid", request_id.encode())], request, send)

    async def _stop(self, request: Request, request_id: str, send: Send) -> None:
        payload = await payload_of(request)
        endpoint = endpoint_of(request.path_params["arn"], request.query_params.get("qualifier"))
        if SESSION_HEADER not in request.headers:
            raise ValidationError("Value at 'runtimeSessionId' failed to satisfy constraint: it must not be null")
        session_id = session_id_of(request.headers)
        await self.authorizer.authorize_stop(request, payload, endpoint)
        self.pool.stop(endpoint, session_id)
        headers = {SESSION_HEADER: session_id, "x-amzn-RequestId": request_id}
        await JSONResponse({}, headers=headers)(request.scope, request.receive, send)

    async def _credentials(self, request: Request, request_id: str, send: Send) -> None:
        del request_id
        token = request.headers.get("Authorization", "")
        credentials = await self.pool.credentials_for(token)
        await JSONResponse(credentials.as_document())(request.scope, request.receive, send)


class _Operation:
    """An ASGI application for one operation: errors become responses unless something has been sent."""

    def __init__(self, perform: Callable[[Request, str, Send], Awaitable[None]]) -> None:
        self._perform = perform

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request_id = str(uuid.uuid4())
        begun = False

        async def send_noticing(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self._perform(Request(scope, receive), request_id, send_noticing)
        except AgentCoreError as error:
            failure = error
        except Exception:
            _LOGGER.exception("Request %s failed unexpectedly.", request_id)
            failure = AgentCoreError("An internal error occurred")
        else:
            return
        if not begun:  # otherwise the response stays incomplete, and the server closes the connection
            await _error_response(failure, request_id)(scope, receive, send)


async def _unknown(request: Request, request_id: str, send: Send) -> None:
    del request_id, send
    raise NamedError(
        "UnknownOperationException",
        404,
        "The local AgentCore data plane serves only InvokeAgentRuntime and StopRuntimeSession, "
        f"not {request.method} {request.url.path}",
    )


async def _relay(answer: Answer, headers: RawHeaders, request: Request, send: Send) -> None:
    """Stream an agent's answer until it ends or the caller is gone."""
    passed_on = [(name, value) for name, value in answer.headers.items() if name in _PASSED_TO_CALLER]
    await send({"type": "http.response.start", "status": answer.status, "headers": [*passed_on, *headers]})
    async for chunk in answer.chunks():
        if await request.is_disconnected():
            return
        await send({"type": "http.response.body", "body": chunk, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


def _error_response(error: AgentCoreError, request_id: str) -> Response:
    body = {"message": str(error)}
    if isinstance(error, ValidationError):
        body["reason"] = "FieldValidationFailed"
    headers = {"x-amzn-ErrorType": error.code, "x-amzn-RequestId": request_id}
    return JSONResponse(body, status_code=error.status, headers=headers)


def _trace_of(request: Request) -> list[tuple[bytes, bytes]]:
    """The caller's trace headers, or a new trace:
    https://docs.aws.amazon.com/xray/latest/devguide/xray-concepts.html#xray-concepts-tracingheader
    """
    trace = _pick(request, _TRACE_HEADERS)
    if b"x-amzn-trace-id" not in dict(trace):
        trace.append((b"x-amzn-trace-id", f"Root=1-{int(time.time()):08x}-{secrets.token_hex(12)}".encode()))
    return trace


def _pick(request: Request, names: frozenset[bytes]) -> list[tuple[bytes, bytes]]:
    return [(name, value) for name, value in request.headers.raw if name in names]
