"""Runs a Python module as a child process that leaves nothing behind.

Owns the child's process group, its private temporary directory, its output and its end. The caller knows what the child
does and when it is ready (`local.emulator.process`).
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from local.processes.guard import ProcessGuard, kill_marked

END_SECONDS = 10.0
OUTPUT_LINES_SHOWN = 8
_PROJECT = Path(__file__).resolve().parents[2]
# The project's path comes last, so that none of its folders hides an installed package.
_RUN_MODULE = """
import runpy, sys
sys.path.append(sys.argv[1])
del sys.argv[:2]
runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
"""


class ChildProcess:
    """A child that runs from construction until `end`, and never longer than this process.

    :param module: as for `python -m`.
    :param environment: the child's whole environment, apart from this process's PATH and a TMPDIR and HOME of its own:
        it and everything it starts see no settings or secrets of ours.
    """

    def __init__(self, module: str, environment: Mapping[str, str]) -> None:
        self._directory = Path(tempfile.mkdtemp(prefix=f"{module}-"))
        self._log = self._directory / "output.log"
        self._guard = ProcessGuard(self._directory)
        own = {"HOME": str(self._directory), "TMPDIR": str(self._directory)}
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-c", _RUN_MODULE, str(_PROJECT), module],
                env={"PATH": os.environ.get("PATH", os.defpath), **environment, **own},
                cwd=self._directory,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                process_group=0,
            )
        self._guard.watch(self._process.pid)

    @property
    def alive(self) -> bool:
        """Whether the child itself is still running, not just something it started."""
        return self._process.poll() is None

    def last_output(self) -> str:
        """The last lines of the child's output, errors included; empty after `end`."""
        with suppress(FileNotFoundError):
            lines = self._log.read_text(errors="replace").splitlines()
            return "\n".join([line for line in lines if line.strip()][-OUTPUT_LINES_SHOWN:])
        return ""

    def end(self) -> None:
        """Kill the child and everything it started, and delete its files; harmless when repeated."""
        # No SIGTERM first: there is nothing to save, and what a busy child started would outlive it.
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(END_SECONDS)
        kill_marked(self._directory)
        self._guard.release(self._process.pid)
        self._guard.close()
        shutil.rmtree(self._directory, ignore_errors=True)
