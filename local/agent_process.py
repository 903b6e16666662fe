"""One agent's process, with everything that it starts.

Owns its clean surroundings (environment variables, directory, process group), the pipe that takes its output, and
its end. What it serves, and whether that is well, is `local.environment`'s part.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, STDOUT, Process
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Self

from local.log_buffer import LogBuffer
from local.process_guard import ProcessGuard
from local.runtime_catalog import RuntimeVersion

_READ_BYTES = 65_536
_KILLED_SECONDS = 5.0
_LAST_OUTPUT_SECONDS = 1.0


class AgentProcess:
    """A running process. Made by `start`; `end` must be called whatever happens."""

    def __init__(self, process: Process, directory: Path, log: LogBuffer, guard: ProcessGuard) -> None:
        self.pid = process.pid
        self._process = process
        self._directory = directory
        self._guard = guard
        self._output = asyncio.create_task(_drain(process, log))

    @classmethod
    async def start(
        cls,
        version: RuntimeVersion,
        directory: Path,
        environment: Mapping[str, str],
        log: LogBuffer,
        guard: ProcessGuard,
    ) -> Self:
        """Start the version's entry point with this project's Python.

        :param directory: its HOME and TMPDIR, which is its to delete at its end.
        :param environment: the platform's variables, which win over the runtime's own.
        """
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *version.entry_point,
            cwd=version.code_directory,
            env={
                "PYTHONUNBUFFERED": "1",
                **version.environment,
                "HOME": str(directory),
                "TMPDIR": str(directory),
                **environment,
            },
            stdin=DEVNULL,
            stdout=PIPE,
            stderr=STDOUT,
            start_new_session=True,
        )
        guard.watch(process.pid)
        return cls(process, directory, log, guard)

    @property
    def exit_code(self) -> int | None:
        """Negative for a signal, None while it runs."""
        return self._process.returncode

    async def ended(self) -> None:
        """Return when the process, not necessarily all that it started, has ended."""
        await self._process.wait()

    async def end(self, grace_seconds: float) -> None:
        """Ask it to end, kill what is left of its process group after the grace, and delete its files."""
        self._signal(signal.SIGTERM)
        with suppress(TimeoutError):
            await asyncio.wait_for(self._process.wait(), grace_seconds)
        self._signal(signal.SIGKILL)
        await asyncio.wait_for(self._process.wait(), _KILLED_SECONDS)
        # What has left the process group may hold the pipe open for ever.
        await asyncio.wait({self._output}, timeout=_LAST_OUTPUT_SECONDS)
        self._output.cancel()
        self._guard.release(self.pid)
        shutil.rmtree(self._directory, ignore_errors=True)

    def _signal(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError, PermissionError):  # macOS says the latter of zombies
            os.killpg(self.pid, number)


async def _drain(process: Process, log: LogBuffer) -> None:
    """Read on whatever happens to the lines, so that the agent never waits for its output to be taken."""
    try:
        while process.stdout is not None and (output := await process.stdout.read(_READ_BYTES)):
            log.write(output)
    finally:
        log.close()
