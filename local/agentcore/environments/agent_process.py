"""One agent's process, with everything that it starts.

Owns its isolation (environment variables, directory, process group), the pipe for its output, and its end.
`local.agentcore.environments.environment` knows what it serves and whether it is healthy.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sys
from asyncio.subprocess import DEVNULL
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Protocol, Self

from local.agentcore.environments.log_buffer import LogBuffer
from local.agentcore.environments.runtime_catalog import RuntimeVersion
from local.processes.guard import ProcessGuard, kill_marked

# On the path before the project's own packages.
AGENT_PATH = Path(__file__).with_name("agent_path")
_READ_BYTES = 65_536
_KILLED_SECONDS = 5.0
_LAST_OUTPUT_SECONDS = 1.0


class Spawned(Protocol):
    """What asyncio's processes and clones have in common.

    :ivar pid: also its process group.
    """

    pid: int

    @property
    def returncode(self) -> int | None:
        """The exit code, negative for a signal; None while it runs."""
        ...

    async def wait(self) -> int:
        """Wait until it has ended, but not what it started."""
        ...


Spawn = Callable[[Mapping[str, str], int], Awaitable[Spawned]]
"""Makes a process with these environment variables and this file descriptor for its output."""


def new_process(version: RuntimeVersion, *before: str, pass_fds: tuple[int, ...] = ()) -> Spawn:
    """Return what starts the version's entry point with this project's Python.

    :param before: a script that is to run it, with its arguments.
    """

    async def spawn(variables: Mapping[str, str], output: int) -> Spawned:
        return await asyncio.create_subprocess_exec(
            sys.executable,
            *before,
            *version.entry_point,
            cwd=version.code_directory,
            env=dict(variables),
            stdin=DEVNULL,
            stdout=output,
            stderr=output,
            pass_fds=pass_fds,
            start_new_session=True,
        )

    return spawn


def variables_of(version: RuntimeVersion, directory: Path, environment: Mapping[str, str]) -> dict[str, str]:
    """Return the environment variables of a process.

    :param directory: its HOME and TMPDIR.
    :param environment: the platform's variables, which override the runtime's own.
    """
    own = {"HOME": str(directory), "TMPDIR": str(directory)}
    return {"PYTHONPATH": str(AGENT_PATH), "PYTHONUNBUFFERED": "1", **version.environment, **own, **environment}


class AgentProcess:
    """A running process. Create it with `start`; `end` must always be called."""

    def __init__(self, process: Spawned, output: int, directory: Path, log: LogBuffer, guard: ProcessGuard) -> None:
        self.pid = process.pid
        self._process = process
        self._directory = directory
        self._guard = guard
        self._drained = asyncio.create_task(_drain(output, log))

    @classmethod
    async def start(
        cls,
        spawn: Spawn,
        directory: Path,
        variables: Mapping[str, str],
        log: LogBuffer,
        guard: ProcessGuard,
    ) -> Self:
        """Start a process.

        :param directory: its HOME and TMPDIR, deleted by `end`.
        :param variables: see :func:`variables_of`.
        :raises OSError: if the process can't be started.
        """
        # Not asyncio's own pipe: with that, waiting for a process also waits for every other holder of the pipe.
        output, its_end = os.pipe()
        try:
            process = await spawn(variables, its_end)
        except BaseException:
            os.close(output)
            raise
        finally:
            os.close(its_end)
        guard.watch(process.pid)
        return cls(process, output, directory, log, guard)

    @property
    def exit_code(self) -> int | None:
        """The exit code, negative for a signal; None while it runs."""
        return self._process.returncode

    async def wait(self) -> None:
        """Wait until the process itself has ended, but not what it started."""
        await self._process.wait()

    async def end(self, grace_seconds: float) -> None:
        """Send SIGTERM, after the grace period SIGKILL to it and everything it started, and delete its files."""
        self._signal(signal.SIGTERM)
        with suppress(TimeoutError):
            await asyncio.wait_for(self._process.wait(), grace_seconds)
        self._signal(signal.SIGKILL)
        await asyncio.wait_for(self._process.wait(), _KILLED_SECONDS)
        await asyncio.to_thread(kill_marked, self._directory)
        # A process that was not found may hold the pipe open for ever.
        await asyncio.wait({self._drained}, timeout=_LAST_OUTPUT_SECONDS)
        self._drained.cancel()
        self._guard.release(self.pid)
        shutil.rmtree(self._directory, ignore_errors=True)

    def _signal(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError, PermissionError):  # macOS raises the latter for zombies
            os.killpg(self.pid, number)


async def _drain(output: int, log: LogBuffer) -> None:
    """Keep reading, even if lines are lost, so that the agent never blocks on its output."""
    reader = asyncio.StreamReader()
    pipe = os.fdopen(output, "rb", buffering=0)
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), pipe
    )
    try:
        while piece := await reader.read(_READ_BYTES):
            log.write(piece)
    finally:
        transport.close()
        log.close()
