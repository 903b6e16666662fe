"""The data plane's event loop: assembles its parts, serves, and shuts down in order.

Owns the order in which things start and end. `local.agentcore.data_plane` owns the thread that this runs in.
"""

from __future__ import annotations

import asyncio
import shutil
import socket
import tempfile
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import Future
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import uvicorn

from local.agentcore.api import CREDENTIALS_PATH, DataPlaneApi
from local.agentcore.authorizer import Authorizer
from local.agentcore.environments.environment import Host
from local.agentcore.environments.log_shipping import LogShipper
from local.agentcore.environments.pool import EnvironmentPool
from local.agentcore.environments.prepared import Snapshots
from local.agentcore.environments.role_credentials import RoleCredentialsStore
from local.agentcore.environments.runtime_catalog import RuntimeCatalog
from local.agentcore.environments.settings import DataPlaneSettings
from local.loopback.gate import gate
from local.processes.guard import ProcessGuard

_CONNECTIONS_CLOSED_SECONDS = 1
_KEEP_ALIVE_SECONDS = 60


@dataclass(frozen=True)
class Address:
    """Addresses of the data plane and the emulator.

    :ivar listener: the socket to serve on, bound to `url`.
    :ivar emulator_client: returns root's boto3 client for a service of the emulator.
    """

    listener: socket.socket
    url: str
    emulator_url: str
    emulator_client: Callable[[str], Any]


@dataclass(frozen=True)
class Running:
    """What other threads need of a running data plane; the event is set in its loop."""

    loop: asyncio.AbstractEventLoop
    pool: EnvironmentPool
    stop_wanted: asyncio.Event


async def serve(address: Address, settings: DataPlaneSettings, started: Future[Running]) -> None:
    """Serve until told to stop, and return when nothing is left.

    :param started: gets its result as soon as requests are accepted.
    """
    async with _assemble(address, settings) as api:
        # This level only hides uvicorn's complaints about responses that were cut off on purpose.
        config = uvicorn.Config(
            gate(api.app()),
            lifespan="off",
            log_config=None,
            log_level="critical",
            access_log=False,
            timeout_keep_alive=_KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=_CONNECTIONS_CLOSED_SECONDS,
        )
        server = uvicorn.Server(config)
        serving = asyncio.create_task(server.serve([address.listener]))
        address.listener.listen(config.backlog)  # uvicorn will; until then, callers wait instead of being refused
        running = Running(asyncio.get_running_loop(), api.pool, asyncio.Event())
        started.set_result(running)
        await running.stop_wanted.wait()
        await api.pool.close()  # before the server, so that requests in flight get their answer
        server.should_exit = True
        await serving


@asynccontextmanager
async def _assemble(address: Address, settings: DataPlaneSettings) -> AsyncGenerator[DataPlaneApi, None]:
    client = address.emulator_client
    directory = Path(tempfile.mkdtemp(prefix="agentcore-"))
    guard = ProcessGuard(directory)
    logs = LogShipper(client("logs"))
    # No region: AWS doesn't document that AgentCore sets one, so a runtime must set its own.
    variables = {
        "AWS_ENDPOINT_URL": settings.agent_endpoint_url or address.emulator_url,
        # The same for all, as on AWS: a snapshot's clients ask there, too. Their tokens tell them apart.
        "AWS_CONTAINER_CREDENTIALS_FULL_URI": address.url + CREDENTIALS_PATH,
    }
    host = Host(
        guard=guard,
        logs=logs,
        directory=directory,
        variables=variables,
        snapshots=Snapshots(directory, guard, variables, settings.start_limit_seconds),
        settings=settings,
        closing=asyncio.Event(),
    )
    catalog = RuntimeCatalog(client("bedrock-agentcore-control"), client("s3"), directory)
    pool = EnvironmentPool(catalog, RoleCredentialsStore(client("sts")), host)
    try:
        yield DataPlaneApi(
            Authorizer(urlsplit(address.emulator_url).port or 80, client("iam")),
            pool,
        )
    finally:
        await pool.close()
        await asyncio.to_thread(logs.close)
        guard.close()
        shutil.rmtree(directory, ignore_errors=True)
