"""A Python module as a child process that leaves nothing behind.

Owns the child's process group, its private temporary directory, its output and its end. It knows nothing about
what the child does or when it is ready; that is its user's part (`local.emulator.process`).
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

from local.processes import parent_watch
from local.processes.guard import kill_marked

END_SECONDS = 10.0
OUTPUT_LINES_SHOWN = 8


class ChildProcess:
    """One child, running from construction until `end`, and never longer than this process.

    :param module: what `python -m` would take.
    :param environment: all of the child's environment, except that PATH is this process's and that TMPDIR and
        HOME are a directory of its own: it and everything it starts see no settings or secrets of ours.
    """

    def __init__(self, module: str, environment: Mapping[str, str]) -> None:
        self._directory = Path(tempfile.mkdtemp(prefix=f"{module}-"))
        self._log = self._directory / "output.log"
        own = {"HOME": str(self._directory), "TMPDIR": str(self._directory)}
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-P", parent_watch.__file__, module],
                env={"PATH": os.environ.get("PATH", os.defpath), **environment, **own},
                cwd=self._directory,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                process_group=0,
            )

    @property
    def alive(self) -> bool:
        """Whether the child itself, not only something it started, is still running."""
        return self._process.poll() is None

    def last_output(self) -> str:
        """The last lines the child printed, errors included; empty after `end`."""
        with suppress(FileNotFoundError):
            lines = self._log.read_text(errors="replace").splitlines()
            return "\n".join([line for line in lines if line.strip()][-OUTPUT_LINES_SHOWN:])
        return ""

    def end(self) -> None:
        """Kill the child and all it started, and delete its files; harmless when repeated."""
        # Not asked politely first: there is nothing to save, and what a busy child started would outlive it.
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(END_SECONDS)
        kill_marked(self._directory)
        if self._process.stdin is not None:
            self._process.stdin.close()
        shutil.rmtree(self._directory, ignore_errors=True)
