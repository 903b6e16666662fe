"""The HTTP contract between AgentCore and one agent's process: GET /ping and POST /invocations.

Owns requests in flight and what their ends mean to the caller. It does not know the process: a broken connection is
reported as such.

https://docs.aws.amazon.com/bedrock-agentcore/latest/devguide/runtime-http-protocol-contract.html
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from enum import StrEnum
from http import HTTPStatus

import anyio

from local.agentcore.protocol.errors import SEE_LOGS, GatewayTimeoutError, RuntimeClientError
from local.loopback.exchange import Answer, ConnectionLostError, RawHeaders, exchange

_PING_SECONDS = 2.0


class PingStatus(StrEnum):
    """What an agent may report of its health."""

    HEALTHY = "Healthy"
    HEALTHY_BUSY = "HealthyBusy"


class AgentClient:
    """Talks to one agent.

    :param port: the agent's port on 127.0.0.1, even before it listens.
    :param request_limit_seconds: how long a request may take, body included.
    """

    def __init__(self, port: int, request_limit_seconds: float) -> None:
        self._port = port
        self._host = (b"host", f"127.0.0.1:{port}".encode())
        self._limit_seconds = request_limit_seconds
        self._in_flight: set[anyio.CancelScope] = set()
        self._cut_off = False

    async def ping(self) -> PingStatus | None:
        """The health that the agent reports; None if there is no valid answer."""
        try:
            async with asyncio.timeout(_PING_SECONDS), exchange(self._port, "GET", b"/ping", [self._host]) as answer:
                status = PingStatus(json.loads(await answer.body())["status"])
                return status if answer.status == HTTPStatus.OK else None
        except (ConnectionLostError, TimeoutError, ValueError, LookupError, TypeError):
            return None

    @asynccontextmanager
    async def invocation(self, headers: RawHeaders, payload: bytes) -> AsyncGenerator[Answer, None]:
        """Send a request and yield the answer, to be read inside this context.

        :raises RuntimeClientError: if the agent answers with an error, or the request is cut off.
        :raises GatewayTimeoutError: if the agent takes longer than the limit.
        :raises ConnectionLostError: if the connection breaks, or can't be made.
        """
        with anyio.move_on_after(self._limit_seconds) as scope:
            self._in_flight.add(scope)
            try:
                request = exchange(self._port, "POST", b"/invocations", [self._host, *headers], payload)
                async with request as answer:
                    if answer.status >= HTTPStatus.BAD_REQUEST:
                        raise RuntimeClientError(f"Received error ({answer.status}) from runtime. {SEE_LOGS}")
                    yield answer
            finally:
                self._in_flight.discard(scope)
        if scope.cancelled_caught:
            raise self._why_cancelled()

    def cut_off(self) -> None:
        """Fail all requests in flight at once."""
        self._cut_off = True
        for scope in self._in_flight:
            scope.cancel()

    def _why_cancelled(self) -> RuntimeClientError | GatewayTimeoutError:
        if self._cut_off:
            return RuntimeClientError(f"The runtime session ended during the request. {SEE_LOGS}")
        return GatewayTimeoutError(f"The runtime took longer than {self._limit_seconds:g} seconds. {SEE_LOGS}")
