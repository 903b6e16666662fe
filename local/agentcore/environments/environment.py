"""One execution environment: a process that runs an agent, and the session that it belongs to.

Owns its life from the start of the process to its end. It does not know of other environments
(`local.agentcore.environments.pool`).
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import tempfile
import uuid
from collections.abc import AsyncGenerator, Awaitable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from time import monotonic

from local.agentcore.environments.agent_client import AgentClient
from local.agentcore.environments.agent_process import AgentProcess, new_process, variables_of
from local.agentcore.environments.lifecycle import Lifecycle, LifecycleLimits
from local.agentcore.environments.log_shipping import LogShipper
from local.agentcore.environments.prepared import PreparedProcess, Snapshots
from local.agentcore.environments.runtime_catalog import RuntimeVersion
from local.agentcore.environments.settings import DataPlaneSettings
from local.agentcore.protocol.errors import SEE_LOGS, RuntimeClientError
from local.agentcore.protocol.requests import Endpoint
from local.loopback.exchange import Answer, ConnectionLostError, RawHeaders
from local.loopback.ports import free_port
from local.processes.guard import ProcessGuard

_START_POLL_SECONDS = 0.02
_DEATH_NOTICED_SECONDS = 1.0
_LOGGER = logging.getLogger(__name__)


class State(StrEnum):
    """The stage of an environment's life."""

    STARTING = "starting"
    READY = "ready"
    STOPPING = "stopping"
    GONE = "gone"


@dataclass(frozen=True)
class EnvironmentRecord:
    """A snapshot of an environment.

    :ivar endpoint_name: None for a spare, like `session_id`.
    :ivar pid: also its process group; None before there is a process.
    :ivar started_at: timezone-aware.
    """

    environment_id: str
    runtime_arn: str
    version: str
    endpoint_name: str | None
    session_id: str | None
    pid: int | None
    state: State
    started_at: datetime


@dataclass(frozen=True)
class Host:
    """What all environments of a data plane share.

    :ivar directory: for their files.
    :ivar variables: environment variables that the platform adds for all of them.
    :ivar snapshots: what those on platform version V2 are forked from.
    :ivar closing: set when the data plane ends: nothing is delayed any more.
    """

    guard: ProcessGuard
    logs: LogShipper
    directory: Path
    variables: Mapping[str, str]
    snapshots: Snapshots
    settings: DataPlaneSettings
    closing: asyncio.Event


class Environment:
    """An environment that runs `version` while `live` is awaited.

    :ivar credentials_token: authorizes its process to get credentials.
    :ivar session: the endpoint and the session id; None for a spare.
    :ivar gone: set when nothing of it is left.
    """

    def __init__(self, version: RuntimeVersion, host: Host) -> None:
        self.id = str(uuid.uuid4())
        self.version = version
        self.credentials_token = secrets.token_urlsafe()
        self.gone = asyncio.Event()
        self.log = host.logs.new_buffer()
        self._host = host
        self._started_at = datetime.now(UTC)
        self._port = free_port()
        self._client = AgentClient(self._port, host.settings.request_limit_seconds)
        self._process: AgentProcess | None = None
        self.session: tuple[Endpoint, str] | None = None
        self._lifecycle: Lifecycle | None = None
        self._answered = asyncio.Event()
        self._stopping = asyncio.Event()
        self._stopped_by_caller = False
        self._start_failure = RuntimeClientError(f"The runtime session ended while it was starting. {SEE_LOGS}")

    @property
    def state(self) -> State:
        """The current stage, which only moves forward."""
        if self.gone.is_set():
            return State.GONE
        if self._stopping.is_set():
            return State.STOPPING
        return State.READY if self._answered.is_set() else State.STARTING

    async def live(self) -> None:
        """Start and serve until told to stop, until a limit is reached, or until the process ends."""
        try:
            process = self._process = await self._launch()
            await self._wait_until_it_answers(process)
            self._answered.set()
            await _wait_for_first(process.wait(), self._stopping.wait(), self._wait_until_reclaimed())
        except RuntimeClientError as failure:
            self._start_failure = failure
        finally:
            await self._end()

    async def wait_until_ready(self) -> None:
        """Wait until it accepts requests.

        :raises RuntimeClientError: if it never will.
        """
        await _wait_for_first(self._answered.wait(), self._stopping.wait())
        if not self._answered.is_set():
            await self.gone.wait()
            raise self._start_failure

    def bind(self, endpoint: Endpoint, session_id: str) -> None:
        """Make it the environment of a session, for good."""
        factor = self._host.settings.lifecycle_factor
        limits = LifecycleLimits(
            idle=self.version.idle_seconds * factor,
            max_lifetime=self.version.max_lifetime_seconds * factor,
            unhealthy=self._host.settings.unhealthy_after_seconds,
        )
        self.session = (endpoint, session_id)
        self._lifecycle = Lifecycle(limits, monotonic())
        stream = f"{datetime.now(UTC):%Y/%m/%d}/[runtime-logs-{session_id}]{self.id}"
        self.log.destination = (endpoint.log_group, stream)

    def stop(self) -> None:
        """Begin to end: requests are cut off now, the process gets its grace period; harmless when repeated."""
        self._stopped_by_caller = True
        self._stopping.set()
        self._client.cut_off()

    @asynccontextmanager
    async def invocation(self, headers: RawHeaders, payload: bytes) -> AsyncGenerator[Answer, None]:
        """Send a request to the agent and yield the answer, to be read inside this context.

        :raises AgentCoreError: if the agent answers with an error, takes too long, or ends before it is done.
        """
        self._saw_request()
        try:
            async with self._client.invocation(headers, payload) as answer:
                yield answer
        except ConnectionLostError as error:
            # So that the caller's next request gets a new environment rather than what is left of this one.
            await _wait_for_first(self.gone.wait(), asyncio.sleep(_DEATH_NOTICED_SECONDS))
            raise RuntimeClientError(f"The runtime did not answer: {error}. {SEE_LOGS}") from error
        finally:
            self._saw_request()

    def record(self) -> EnvironmentRecord:
        """A snapshot of it."""
        endpoint, session_id = self.session or (None, None)
        return EnvironmentRecord(
            environment_id=self.id,
            runtime_arn=self.version.runtime_arn,
            version=self.version.version,
            endpoint_name=endpoint.name if endpoint else None,
            session_id=session_id,
            pid=self._process.pid if self._process else None,
            state=self.state,
            started_at=self._started_at,
        )

    async def _launch(self) -> AgentProcess:
        platform = {
            **self._host.variables,
            "HOST": "127.0.0.1",
            "PORT": str(self._port),
            "AWS_CONTAINER_AUTHORIZATION_TOKEN": self.credentials_token,
        }
        try:
            spawn = new_process(self.version)
            if self.version.snapshot:
                spawn = (await self._prepared()).fork
            directory = Path(tempfile.mkdtemp(prefix=f"{self.id}-", dir=self._host.directory))
            variables = variables_of(self.version, directory, platform)
            return await AgentProcess.start(spawn, directory, variables, self.log, self._host.guard)
        except OSError as error:
            raise RuntimeClientError(f"An error occurred when starting the runtime: {error}.") from error

    async def _prepared(self) -> PreparedProcess:
        preparing = asyncio.ensure_future(self._host.snapshots.of(self.version, self.log))
        await _wait_for_first(preparing, self._stopping.wait())
        if not preparing.done() or preparing.cancelled():
            raise self._start_failure
        return preparing.result()

    async def _wait_until_it_answers(self, process: AgentProcess) -> None:
        limit_seconds = self._host.settings.start_limit_seconds
        deadline = monotonic() + limit_seconds
        while await self._client.ping() is None:
            if self._stopping.is_set():
                raise self._start_failure
            if process.exit_code is not None:
                raise RuntimeClientError(
                    f"An error occurred when starting the runtime: its process ended with exit code "
                    f"{process.exit_code} before it answered GET /ping. {SEE_LOGS}"
                )
            if monotonic() > deadline:
                raise RuntimeClientError(
                    f"Runtime initialization time exceeded: GET /ping was not answered within "
                    f"{limit_seconds:g} seconds. {SEE_LOGS}"
                )
            await asyncio.sleep(_START_POLL_SECONDS)

    async def _end(self) -> None:
        self._stopping.set()
        try:
            if self._process is not None:
                if self._process.exit_code is None:  # otherwise connections break by themselves
                    self._client.cut_off()
                    await self._delay(self._host.settings.stop_delay_seconds)
                await self._process.end(self._host.settings.stop_grace_seconds)
            if self._stopped_by_caller:
                await self._delay(self._host.settings.teardown_seconds)
        finally:
            self._client.cut_off()
            self.log.close()
            self.gone.set()

    async def _delay(self, seconds: float) -> None:
        if seconds > 0:
            await _wait_for_first(asyncio.sleep(seconds), self._host.closing.wait())

    async def _wait_until_reclaimed(self) -> None:
        while True:
            await asyncio.sleep(self._host.settings.ping_interval_seconds)
            if self._lifecycle is None:
                continue
            self._lifecycle.saw_ping(await self._client.ping(), monotonic())
            if reason := self._lifecycle.reason_to_end(monotonic()):
                _LOGGER.info("Environment %s is reclaimed: %s.", self.id, reason)
                return

    def _saw_request(self) -> None:
        if self._lifecycle is not None:
            self._lifecycle.saw_request(monotonic())


async def _wait_for_first(*awaitables: Awaitable[object]) -> None:
    """Wait until the first one is done, raise its error if it failed, and cancel the others."""
    tasks = [asyncio.ensure_future(awaitable) for awaitable in awaitables]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
