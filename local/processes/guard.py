"""Kills process groups and deletes a directory when the process that started them is gone, however it ended.

Owns one small process that waits for the end of its standard input, which the kernel closes even if the parent is
killed with SIGKILL. The guarded processes, the emulator and the agents, need no watcher inside; Linux's
PR_SET_PDEATHSIG would depend on the thread that forked, and miss what they start themselves.

A process that has left its group (`setsid`, a daemon) is found by its mark: its starter's private directory, which is
its TMPDIR and HOME and is inherited by whatever it starts. This needs /proc, so Linux; a process that has cleared its
environment is not found.

Imported, this module is the handle to that process; run as a script, it is the process. It uses only the standard
library, because it starts without site-packages.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

_END_SECONDS = 5.0
_SWEEPS = 5


def kill_marked(directory: str | Path) -> None:
    """Kill all other processes that have a directory, or one below it, in their environment variables."""
    mark = f"={directory}".encode()
    for _ in range(_SWEEPS):  # a process that is just being forked may be missed
        found = [pid for pid in _other_processes() if _carries(pid, mark)]
        for pid in found:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        if not found:
            return


def _other_processes() -> list[int]:
    try:
        names = [entry.name for entry in Path("/proc").iterdir()]
    except FileNotFoundError:
        return []
    return [int(name) for name in names if name.isdecimal() and int(name) != os.getpid()]


def _carries(pid: int, mark: bytes) -> bool:
    try:
        variables = Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:  # gone, a zombie, or another user's
        return False
    return any(part.partition(mark)[2][:1] in (b"", b"/") for part in variables.split(b"\0") if mark in part)


class ProcessGuard:
    """A running guard. Not thread-safe.

    :param directory: deleted at the end.
    """

    def __init__(self, directory: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", __file__, str(directory)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C is only for the parent
            env={},
        )

    def watch(self, process_group: int) -> None:
        """Kill this process group if the parent ends before `release`."""
        self._tell(f"+{process_group}")

    def release(self, process_group: int) -> None:
        """Forget a process group that has ended; its id may be reused."""
        self._tell(f"-{process_group}")

    def close(self) -> None:
        """End the guard, which kills what it still watches and deletes its directory; harmless when repeated."""
        pipe = self._process.stdin
        if pipe is not None:
            with suppress(BrokenPipeError):
                pipe.close()
        try:
            self._process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(_END_SECONDS)

    def _tell(self, line: str) -> None:
        pipe = self._process.stdin
        if pipe is not None and not pipe.closed:
            with suppress(BrokenPipeError):  # the guard was killed; what it guards goes on
                pipe.write(f"{line}\n".encode())
                pipe.flush()


def _guard(directory: str) -> None:
    watched: set[int] = set()
    for line in sys.stdin:
        group = int(line[1:])
        if line.startswith("+"):
            watched.add(group)
        else:
            watched.discard(group)
    for group in watched:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(group, signal.SIGKILL)
    kill_marked(directory)
    shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    _guard(sys.argv[1])
