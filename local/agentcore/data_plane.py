"""The local AgentCore data plane: a server on 127.0.0.1 that runs agents as AgentCore would.

Owns the server's thread and what the rest of the program sees of it; `local.agentcore.api` says what it serves. For
everything but running agents it asks the emulator: who may call, which runtimes there are, where logs go. The emulator
must be running from `start` until after `stop`.
"""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable
from concurrent.futures import Future
from types import TracebackType
from typing import Any, Self

from local.agentcore.environments.environment import EnvironmentRecord
from local.agentcore.environments.settings import DataPlaneSettings
from local.agentcore.protocol.requests import endpoint_of
from local.agentcore.server import Address, Running, serve

_START_SECONDS = 30.0
_STOP_SECONDS = 30.0
_EMULATOR_SECONDS = 30.0


class DataPlaneError(Exception):
    """The data plane could not be started or stopped."""


class DataPlane:
    """A data plane that has its address from construction and serves from `start` to `stop`.

    As a context manager it stops at the end; the caller starts it.

    :ivar url: boto3's `endpoint_url` for `bedrock-agentcore`.
    :raises DataPlaneError: if its port is in use.
    """

    def __init__(self, settings: DataPlaneSettings | None = None) -> None:
        self._settings = settings or DataPlaneSettings()
        self._listener = _bind_socket(self._settings.port)
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._thread: threading.Thread | None = None
        self._started: Future[Running] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self, emulator_url: str, client: Callable[[str], Any]) -> None:
        """Start serving; may be called once.

        :param emulator_url: such as `http://127.0.0.1:4566`.
        :param client: returns root's boto3 client for a service of the emulator, as `Emulator.client` does.
        :raises DataPlaneError: if it does not start.
        """
        address = Address(self._listener, self.url, emulator_url, client)
        self._started = started = Future[Running]()
        self._thread = threading.Thread(
            target=_run, args=(address, self._settings, started), name="agentcore-data-plane", daemon=True
        )
        self._thread.start()
        try:
            started.result(_START_SECONDS)
        except Exception as error:
            raise DataPlaneError(f"The AgentCore data plane could not be started: {error!r}.") from error

    def stop(self) -> None:
        """End every environment, send their last logs, delete all files; harmless when repeated.

        :raises DataPlaneError: if that takes too long.
        """
        started, self._started = self._started, None
        if started is not None and self._thread is not None:
            if started.exception(_START_SECONDS) is None:
                running = started.result()
                running.loop.call_soon_threadsafe(running.stop_wanted.set)
            limit_seconds = self._settings.stop_grace_seconds + _STOP_SECONDS
            self._thread.join(limit_seconds)
            if self._thread.is_alive():
                raise DataPlaneError(f"The AgentCore data plane did not stop within {limit_seconds:g} s.")
        self._listener.close()

    def warm(self, runtime_arn: str, qualifier: str = "DEFAULT") -> None:
        """Start the endpoint's spares now, and wait until they are ready.

        :raises AgentCoreError: if the agent can't be started; its last output is in the message.
        :raises DataPlaneError: if that takes too long.
        """
        running = self._running()
        warmed = asyncio.run_coroutine_threadsafe(running.pool.warm(endpoint_of(runtime_arn, qualifier)), running.loop)
        limit_seconds = self._settings.start_limit_seconds + _EMULATOR_SECONDS
        try:
            warmed.result(limit_seconds)
        except TimeoutError as error:
            raise DataPlaneError(f"{runtime_arn} has no warm environment after {limit_seconds:g} s.") from error

    def environments(self) -> tuple[EnvironmentRecord, ...]:
        """All current environments, spares included."""
        return self._running().pool.records()

    def _running(self) -> Running:
        if self._started is None:
            raise DataPlaneError("The AgentCore data plane is not running: it was not started, or was stopped.")
        return self._started.result(_START_SECONDS)


def _run(address: Address, settings: DataPlaneSettings, started: Future[Running]) -> None:
    try:
        asyncio.run(serve(address, settings, started))
    except BaseException as error:
        if started.done():
            raise
        started.set_exception(error)


def _bind_socket(port: int) -> socket.socket:
    # With an explicit protocol, because asyncio sets TCP_NODELAY only then: otherwise a request takes 40 ms.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", port))
    except OSError as error:
        listener.close()
        raise DataPlaneError(
            f"Port {port} on 127.0.0.1 can't be bound for the data plane: {error.strerror}."
        ) from error
    return listener
