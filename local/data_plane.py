"""The local AgentCore data plane: a server on 127.0.0.1 that runs agents as AgentCore would.

Owns the server's thread and the life of all its parts. What it serves is `local.data_plane_api`'s part. The
emulator is asked about everything that is not running agents: who may call, which runtimes there are, where
logs go; it has to be there from `start` until after `stop`.
"""

from __future__ import annotations

import asyncio
import shutil
import socket
import tempfile
import threading
import time
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import Future
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import uvicorn

from local.agentcore_requests import endpoint_of
from local.clients import REGION, RootSession
from local.data_plane_api import CREDENTIALS_PATH, DataPlaneApi
from local.data_plane_settings import DataPlaneSettings
from local.environment import EnvironmentRecord, Host
from local.environment_pool import EnvironmentPool
from local.gatekeeper import Gatekeeper
from local.log_shipping import LogShipper
from local.process_guard import ProcessGuard
from local.rate_limit import RateLimit
from local.role_credentials import RoleCredentialsStore
from local.runtime_catalog import RuntimeCatalog

ClientMaker = Callable[[str], Any]
_START_SECONDS = 30.0
_STOP_SECONDS = 30.0
_CONNECTIONS_CLOSED_SECONDS = 1
_EMULATOR_SECONDS = 30.0


class DataPlaneError(Exception):
    """The data plane could not be started or stopped."""


@dataclass(frozen=True)
class _Running:
    loop: asyncio.AbstractEventLoop
    pool: EnvironmentPool
    stop_wanted: asyncio.Event


class DataPlane:
    """A data plane whose address is known from construction, and which serves from `start` to `stop`.

    As a context manager it stops at the end; starting it is still the caller's.

    :ivar url: what boto3 takes as `endpoint_url` of `bedrock-agentcore`.
    :raises DataPlaneError: if its port is taken.
    """

    def __init__(self, settings: DataPlaneSettings | None = None) -> None:
        self._settings = settings or DataPlaneSettings()
        self._socket = _bound_socket(self._settings.port)
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self._thread: threading.Thread | None = None
        self._running: _Running | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self, emulator_url: str, client: ClientMaker | None = None) -> None:
        """Serve. Once only.

        :param emulator_url: such as `http://127.0.0.1:4566`.
        :param client: gives root's client for a service of the emulator, as `Emulator.client` does; made here
            without it, which takes a few tenths of a second more.
        :raises DataPlaneError: if that does not work out.
        """
        started: Future[_Running] = Future()
        self._thread = threading.Thread(
            target=self._run,
            args=(emulator_url, client or RootSession(emulator_url).client, started),
            name="agentcore-data-plane",
            daemon=True,
        )
        self._thread.start()
        try:
            self._running = started.result(_START_SECONDS)
        except Exception as error:
            raise DataPlaneError(f"The AgentCore data plane could not be started: {error!r}.") from error

    def stop(self) -> None:
        """End every environment, send the last of their logs, delete all files; harmless when repeated.

        :raises DataPlaneError: if that takes too long.
        """
        running, self._running = self._running, None
        if running is None or self._thread is None:
            self._socket.close()
            return
        running.loop.call_soon_threadsafe(running.stop_wanted.set)
        self._thread.join(_STOP_SECONDS)
        if self._thread.is_alive():
            raise DataPlaneError(f"The AgentCore data plane did not stop within {_STOP_SECONDS:g} s.")

    def warm(self, runtime_arn: str, qualifier: str = "DEFAULT") -> None:
        """Start the endpoint's spares now, and return when they are ready.

        :raises AgentCoreError: if the agent can't be started; its last output is in the message.
        """
        running = self._started()
        warmed = running.pool.warm(endpoint_of(runtime_arn, qualifier))
        asyncio.run_coroutine_threadsafe(warmed, running.loop).result(
            self._settings.start_limit_seconds + _EMULATOR_SECONDS
        )

    def environments(self) -> tuple[EnvironmentRecord, ...]:
        """All environments at this moment, spares included."""
        return self._started().pool.records()

    def _started(self) -> _Running:
        if self._running is None:
            raise DataPlaneError("The AgentCore data plane is not running: it was not started, or was stopped.")
        return self._running

    def _run(self, emulator_url: str, client: ClientMaker, started: Future[_Running]) -> None:
        try:
            asyncio.run(self._serve(emulator_url, client, started))
        except BaseException as error:
            if started.done():
                raise
            started.set_exception(error)

    async def _serve(self, emulator_url: str, client: ClientMaker, started: Future[_Running]) -> None:
        async with AsyncExitStack() as parts:
            api = await parts.enter_async_context(self._assembled(emulator_url, client))
            # Only uvicorn's own complaints about responses that were cut off on purpose are lost at this level.
            config = uvicorn.Config(
                api.app(),
                lifespan="off",
                log_config=None,
                log_level="critical",
                access_log=False,
                timeout_graceful_shutdown=_CONNECTIONS_CLOSED_SECONDS,
            )
            server = uvicorn.Server(config)
            serving = asyncio.create_task(server.serve([self._socket]))
            self._socket.listen(config.backlog)  # uvicorn will; until then, callers wait instead of being refused
            running = _Running(asyncio.get_running_loop(), api.pool, asyncio.Event())
            started.set_result(running)
            await running.stop_wanted.wait()
            await api.pool.close()
            server.should_exit = True
            await serving

    @asynccontextmanager
    async def _assembled(self, emulator_url: str, client: ClientMaker) -> AsyncGenerator[DataPlaneApi, None]:
        directory = Path(tempfile.mkdtemp(prefix="agentcore-"))
        guard = ProcessGuard(directory)
        logs = LogShipper(client("logs"))
        host = Host(
            guard=guard,
            logs=logs,
            directory=directory,
            variables=_variables(self._settings.agent_endpoint_url or emulator_url),
            credentials_url=self.url + CREDENTIALS_PATH,
            settings=self._settings,
        )
        catalog = RuntimeCatalog(client("bedrock-agentcore-control"), client("s3"), directory)
        pool = EnvironmentPool(catalog, RoleCredentialsStore(client("sts")), host)
        try:
            yield DataPlaneApi(
                Gatekeeper(_port_of(emulator_url), client("iam")),
                pool,
                RateLimit(self._settings.requests_per_second, time.monotonic()),
            )
        finally:
            await pool.close()
            await asyncio.to_thread(logs.close)
            guard.close()
            shutil.rmtree(directory, ignore_errors=True)


def _bound_socket(port: int) -> socket.socket:
    # The protocol is named because asyncio sets TCP_NODELAY only where it is: 40 ms a request otherwise.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", port))
    except OSError as error:
        listener.close()
        raise DataPlaneError(f"Port {port} on 127.0.0.1 can't be had for the data plane: {error.strerror}.") from error
    return listener


def _port_of(url: str) -> int:
    return urlsplit(url).port or 80


def _variables(endpoint_url: str) -> dict[str, str]:
    return {"AWS_REGION": REGION, "AWS_DEFAULT_REGION": REGION, "AWS_ENDPOINT_URL": endpoint_url}
