"""Prepared processes, one per runtime version on platform version V2, from which environments are forked.

Owns their start, their control sockets and what is known of their clones. `snapshot_main.py` is what they run,
`agent_process.py` looks after a clone as after any other process.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import secrets
import signal
import socket
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

from local.agentcore.environments.agent_process import AgentProcess, Spawned, new_process, variables_of
from local.agentcore.environments.log_buffer import LogBuffer
from local.agentcore.environments.runtime_catalog import RuntimeVersion
from local.agentcore.protocol.errors import SEE_LOGS, RuntimeClientError
from local.processes.guard import ProcessGuard

_MAIN = Path(__file__).with_name("snapshot_main.py")
_END_SECONDS = 1.0
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Clone:
    """A forked process, as far as its prepared process tells; the interface is asyncio's."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._ended = asyncio.Event()

    async def wait(self) -> int:
        """Wait until it has ended."""
        await self._ended.wait()
        return self.returncode or 0

    def end_with(self, code: int) -> None:
        """Note how it ended."""
        self.returncode = code
        self._ended.set()


class PreparedProcess:
    """A process that has loaded a version's code and settings and waits to be forked. Create it with `start`."""

    def __init__(self, process: AgentProcess, control: socket.socket, streams: Streams) -> None:
        self.gone = False
        self._process = process
        self._control = control
        self._ready = asyncio.get_running_loop().create_future()
        self._ready.add_done_callback(_take)
        self._numbers = itertools.count()
        self._asked: dict[str, asyncio.Future[Clone]] = {}
        self._clones: dict[int, Clone] = {}
        reader, self._writer = streams
        self._listening = asyncio.create_task(self._listen(reader))

    @classmethod
    async def start(
        cls,
        version: RuntimeVersion,
        directory: Path,
        environment: Mapping[str, str],
        log: LogBuffer,
        guard: ProcessGuard,
    ) -> Self:
        """Start the version's entry point, up to where it would serve.

        :param environment: the platform's variables.
        :raises OSError: if the process can't be started.
        """
        ours, its_end = socket.socketpair()
        with its_end:
            spawn = new_process(version, str(_MAIN), str(its_end.fileno()), pass_fds=(its_end.fileno(),))
            variables = variables_of(version, directory, environment)
            process = await AgentProcess.start(spawn, directory, variables, log, guard)
        ours.setblocking(False)
        return cls(process, ours, await asyncio.open_connection(sock=ours))

    async def wait_until_ready(self, seconds: float) -> None:
        """Wait until it can be forked.

        :raises RuntimeClientError: if it never will, or takes longer.
        """
        try:
            await asyncio.wait_for(asyncio.shield(self._ready), seconds)
        except TimeoutError:
            raise RuntimeClientError(
                f"Runtime initialization time exceeded: the agent did not begin to serve within {seconds:g} seconds. "
                f"{SEE_LOGS}"
            ) from None

    async def fork(self, variables: Mapping[str, str], output: int) -> Spawned:
        """Fork a clone with these variables, whose output goes into a pipe.

        :raises OSError: if it can't be forked.
        """
        if self.gone:
            raise OSError("the prepared process has ended")
        number = str(next(self._numbers))
        self._asked[number] = asked = asyncio.get_running_loop().create_future()
        wanted = json.dumps({"id": number, "variables": dict(variables)})
        socket.send_fds(self._control, [f"{wanted}\n".encode()], [output])
        return await asked

    async def end(self) -> None:
        """End it, and every clone that is left."""
        await self._process.end(_END_SECONDS)
        self._listening.cancel()
        self._writer.close()

    async def _listen(self, reader: asyncio.StreamReader) -> None:
        with suppress(ConnectionError):
            while line := await reader.readline():
                self._note(json.loads(line))
        self.gone = True
        await self._process.wait()
        self._fail(f"its process ended with exit code {self._process.exit_code} before it began to serve")
        # Nobody would notice their end any more.
        for clone in self._clones.values():
            _kill(clone.pid)
            clone.end_with(-signal.SIGKILL)

    def _note(self, told: Mapping[str, Any]) -> None:
        match told:
            case {"id": asked, "pid": int(pid)}:
                self._clones[pid] = clone = Clone(pid)
                waiting = self._asked.pop(asked)
                # Nobody waits any more for one whose environment was given up.
                _kill(pid) if waiting.done() else waiting.set_result(clone)
            case {"id": asked, "refused": why}:
                self._asked.pop(asked).set_exception(OSError(why))
            case {"ended": pid, "code": code} if pid in self._clones:
                self._clones.pop(pid).end_with(code)
            case {"refused": why}:
                self._fail(f"{why}; platformVersion V1 starts it anew each time")
            case {"ready": True} if not self._ready.done():
                self._ready.set_result(None)
            case _:
                pass

    def _fail(self, why: str) -> None:
        self.gone = True
        if not self._ready.done():
            self._ready.set_exception(
                RuntimeClientError(f"An error occurred when starting the runtime: {why}. {SEE_LOGS}")
            )
        for asked in self._asked.values():
            if not asked.done():
                asked.set_exception(OSError(why))


def _kill(process_group: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process_group, signal.SIGKILL)


def _take(done: asyncio.Future[None]) -> None:
    """Take a failure that nobody waits for."""
    if not done.cancelled():
        done.exception()


class _Snapshot:
    """A version's prepared process, and the token with which it gets credentials."""

    def __init__(self, version: RuntimeVersion) -> None:
        self.version = version
        self.credentials_token = secrets.token_urlsafe()
        self.log = LogBuffer()
        self.prepared: PreparedProcess | None = None
        self.lock = asyncio.Lock()


class Snapshots:
    """The prepared processes of a data plane, by runtime version: made when one is first needed, kept until the end.

    :param variables: the platform's, the address of credentials among them.
    """

    def __init__(
        self, directory: Path, guard: ProcessGuard, variables: Mapping[str, str], start_limit_seconds: float
    ) -> None:
        self._directory = directory
        self._guard = guard
        self._variables = variables
        self._start_limit_seconds = start_limit_seconds
        self._all: dict[tuple[str, str], _Snapshot] = {}

    def __iter__(self) -> Iterator[_Snapshot]:
        return iter(self._all.values())

    async def of(self, version: RuntimeVersion, log: LogBuffer) -> PreparedProcess:
        """Return a version's prepared process, ready to be forked.

        :param log: gets the last output of one that could not be prepared.
        :raises RuntimeClientError: if the code can't be prepared.
        :raises OSError: if the process can't be started.
        """
        snapshot = self._all.setdefault((version.runtime_arn, version.version), _Snapshot(version))
        async with snapshot.lock:
            prepared = snapshot.prepared
            if prepared is None or prepared.gone:
                prepared = await self._replace(snapshot)
            try:
                await prepared.wait_until_ready(self._start_limit_seconds)
            except RuntimeClientError:
                await prepared.end()
                snapshot.prepared = None
                log.write(snapshot.log.tail().encode() + b"\n")
                raise
        return prepared

    async def _replace(self, snapshot: _Snapshot) -> PreparedProcess:
        if snapshot.prepared is not None:
            await snapshot.prepared.end()
        snapshot.log = LogBuffer()
        directory = Path(tempfile.mkdtemp(prefix="prepared-", dir=self._directory))
        variables = {**self._variables, "AWS_CONTAINER_AUTHORIZATION_TOKEN": snapshot.credentials_token}
        started = await PreparedProcess.start(snapshot.version, directory, variables, snapshot.log, self._guard)
        snapshot.prepared = started
        return started

    async def close(self) -> None:
        """End them all."""
        for snapshot in self._all.values():
            if snapshot.prepared is not None:
                await snapshot.prepared.end()
                snapshot.prepared = None
