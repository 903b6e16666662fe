"""All execution environments of a data plane: which session has which, and which are kept warm.

Owns session affinity, the limit on active sessions and the queue for it, and spares. It knows neither HTTP nor who may
do what.

A session's environment is found by endpoint and session id, so the same id on two endpoints is two sessions.
https://docs.aws.amazon.com/bedrock-agentcore/latest/devguide/runtime-sessions.html
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from local.agentcore.environments.environment import Environment, EnvironmentRecord, Host, State
from local.agentcore.environments.role_credentials import RoleCredentials, RoleCredentialsStore
from local.agentcore.environments.runtime_catalog import RuntimeCatalog, RuntimeVersion
from local.agentcore.protocol.errors import (
    AccessDeniedError,
    ConflictError,
    NotFoundError,
    QuotaExceededError,
    RuntimeClientError,
)
from local.agentcore.protocol.requests import Endpoint

# Starting a new spare must not compete for the processor with the session that took the last one.
_REPLENISH_DELAY_SECONDS = 0.5
_LOGGER = logging.getLogger(__name__)

_Session = tuple[Endpoint, str]


class EnvironmentPool:
    """Environments by session, and spares by runtime version."""

    def __init__(self, catalog: RuntimeCatalog, credentials: RoleCredentialsStore, host: Host) -> None:
        self._catalog = catalog
        self._credentials = credentials
        self._host = host
        self._all: dict[str, Environment] = {}
        self._by_session: dict[_Session, Environment] = {}
        self._spares: list[Environment] = []
        self._lives: set[asyncio.Task[None]] = set()
        self._queue: list[asyncio.Future[None]] = []
        self._closing = False

    async def environment_of(self, endpoint: Endpoint, session_id: str) -> Environment:
        """The session's environment; a new session gets a spare, or a new environment.

        :raises ConflictError: if the session is being provisioned or torn down.
        :raises QuotaExceededError: if it is new and over the limit, and no other ended in time.
        :raises RuntimeClientError: if its environment can't be started.
        """
        session = (endpoint, session_id)
        environment = self._running(session)
        if environment is None:
            version = await self._resolve_version(endpoint)
            async with self._wait_for_place():
                # Another request may have come first.
                environment = self._running(session) or self._bind(session, version)
        await environment.wait_until_ready()
        return environment

    def stop(self, endpoint: Endpoint, session_id: str) -> None:
        """Begin to end a session.

        :raises NotFoundError: if there is no such session.
        :raises ConflictError: if it is already ending.
        """
        environment = self._by_session.get((endpoint, session_id))
        if environment is None:
            raise NotFoundError(f"There is no active session '{session_id}' for agent '{endpoint.runtime_arn}'")
        if environment.state is State.STOPPING:
            raise _in_transition(session_id)
        environment.stop()

    async def warm(self, endpoint: Endpoint) -> None:
        """Wait until the spare pool is full.

        :raises AgentCoreError: if the agent can't be started; its last lines are in the message.
        """
        version = await self._resolve_version(endpoint)
        self._replenish(version)
        for spare in self._spares_of(version):
            try:
                await spare.wait_until_ready()
            except RuntimeClientError as error:
                raise RuntimeClientError(f"{error}\nIts last output:\n{spare.log.tail()}") from error

    def records(self) -> tuple[EnvironmentRecord, ...]:
        """All environments, spares included; may be called from any thread."""
        return tuple(environment.record() for environment in tuple(self._all.values()))

    async def credentials_for(self, token: str) -> RoleCredentials:
        """The credentials for the process that has a token.

        :raises AccessDeniedError: if none has it.
        """
        for process in (*self._all.values(), *self._host.snapshots):
            if secrets.compare_digest(process.credentials_token.encode(), token.encode()):
                return await self._credentials.credentials_of(process.version.role_arn)
        raise AccessDeniedError("No environment has this token")

    async def close(self) -> None:
        """End every environment, and wait until nothing is left of them."""
        self._closing = True
        self._host.closing.set()
        for place in self._queue:
            if not place.done():
                place.set_result(None)
        for environment in self._all.values():
            environment.stop()
        if self._lives:
            await asyncio.wait(self._lives)
        await self._host.snapshots.close()

    def _running(self, session: _Session) -> Environment | None:
        environment = self._by_session.get(session)
        if environment is not None and environment.state is not State.READY:
            raise _in_transition(session[1])
        return environment

    @asynccontextmanager
    async def _wait_for_place(self) -> AsyncGenerator[None]:
        """Queue for a place for one more session. Nothing inside may await: the place would not be held."""
        place = asyncio.get_running_loop().create_future()
        self._queue.append(place)
        try:
            self._admit()
            await asyncio.wait_for(place, self._host.settings.queue_seconds)
            yield
        except TimeoutError:
            limit = self._host.settings.max_environments
            raise QuotaExceededError(f"Maximum number of active sessions reached (maxVms: {limit})") from None
        finally:
            self._queue.remove(place)
            self._admit()

    def _admit(self) -> None:
        """Admit the head of the queue, as far as there is room. An admitted session counts until it is bound."""
        room = self._host.settings.max_environments - len(self._by_session)
        for place in self._queue[: max(0, room)]:
            if not place.done():
                place.set_result(None)

    async def _resolve_version(self, endpoint: Endpoint) -> RuntimeVersion:
        version = await self._catalog.version_behind(endpoint)
        await self._credentials.credentials_of(version.role_arn)  # fails early if the role can't be assumed
        return version

    def _bind(self, session: _Session, version: RuntimeVersion) -> Environment:
        if self._closing:
            raise _in_transition(session[1])
        spares = self._spares_of(version)
        if spares:
            environment = min(spares, key=lambda spare: spare.state is State.STARTING)
            self._spares.remove(environment)
        else:
            environment = self._launch(version)
        self._by_session[session] = environment
        environment.bind(*session)
        asyncio.get_running_loop().call_later(_REPLENISH_DELAY_SECONDS, self._replenish, version)
        return environment

    def _spares_of(self, version: RuntimeVersion) -> list[Environment]:
        usable = (State.STARTING, State.READY)
        return [spare for spare in self._spares if spare.version == version and spare.state in usable]

    def _replenish(self, version: RuntimeVersion) -> None:
        if self._closing:
            return
        for spare in self._spares:
            if spare.version.runtime_arn == version.runtime_arn and spare.version != version:
                spare.stop()
        for _ in range(self._host.settings.warm_spares - len(self._spares_of(version))):
            self._spares.append(self._launch(version))

    def _launch(self, version: RuntimeVersion) -> Environment:
        environment = Environment(version, self._host)
        self._all[environment.id] = environment
        life = asyncio.create_task(self._life_of(environment))
        self._lives.add(life)
        life.add_done_callback(self._lives.discard)
        return environment

    async def _life_of(self, environment: Environment) -> None:
        try:
            await environment.live()
        except Exception:
            _LOGGER.exception("Environment %s ended with an unexpected error.", environment.id)
        finally:
            self._forget(environment)

    def _forget(self, environment: Environment) -> None:
        del self._all[environment.id]
        if environment in self._spares:
            self._spares.remove(environment)
        if environment.session is not None:
            del self._by_session[environment.session]
            self._admit()


def _in_transition(session_id: str) -> ConflictError:
    return ConflictError(f"Session '{session_id}' is being provisioned or torn down. Please try again.")
