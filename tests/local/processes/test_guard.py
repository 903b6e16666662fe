from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from local.processes.guard import ProcessGuard, kill_marked
from tests.support.waiting import wait_until

pytestmark = pytest.mark.slow

# Becomes a parent with a guard and a child, says the child's process id, and waits to be killed.
PARENT = """
import subprocess, sys, threading
from pathlib import Path
from local.processes.guard import ProcessGuard
guard = ProcessGuard(Path(sys.argv[1]))
child = subprocess.Popen(["/bin/sleep", "60"], start_new_session=True, stdout=subprocess.DEVNULL)
guard.watch(child.pid)
marked = {"TMPDIR": sys.argv[1] + "/of-a-child"}
strayed = subprocess.Popen(["/bin/sleep", "60"], start_new_session=True, stdout=subprocess.DEVNULL, env=marked)
print(child.pid, strayed.pid, flush=True)
threading.Event().wait(60)
"""


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    made = tmp_path / "guarded"
    made.mkdir()
    (made / "file").touch()
    return made


@pytest.fixture
def sleeper() -> Iterator[Callable[[], subprocess.Popen[bytes]]]:
    """Starts processes that sleep, each in a group of its own."""
    started: list[subprocess.Popen[bytes]] = []

    def start() -> subprocess.Popen[bytes]:
        started.append(subprocess.Popen(["/bin/sleep", "60"], start_new_session=True))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait(5)


def test_nothing_outlives_a_parent_that_is_killed(directory: Path) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(directory)], stdout=subprocess.PIPE, cwd=Path(__file__).parents[3]
    )
    assert parent.stdout is not None
    with parent.stdout:
        child, strayed = map(int, parent.stdout.readline().split())
    assert psutil.pid_exists(child)
    parent.kill()
    parent.wait(5)
    wait_until(lambda: not runs(child), "the child is gone")
    if sys.platform == "linux":
        wait_until(lambda: not runs(strayed), "what carries its mark is gone")
    wait_until(lambda: not directory.exists(), "the directory is gone")


def runs(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def test_closing_kills_what_is_watched_and_spares_what_was_released(
    directory: Path, sleeper: Callable[[], subprocess.Popen[bytes]]
) -> None:
    guard = ProcessGuard(directory)
    watched, released = sleeper(), sleeper()
    for process in (watched, released):
        guard.watch(process.pid)
    guard.release(released.pid)
    guard.close()
    guard.close()
    assert watched.wait(5) == -9
    assert released.poll() is None
    assert not directory.exists()


def test_a_guard_that_was_killed_stops_nobody(directory: Path, sleeper: Callable[[], subprocess.Popen[bytes]]) -> None:
    guard = ProcessGuard(directory)
    process = psutil.Process(guard._process.pid)
    process.kill()
    process.wait(5)
    guard.watch(sleeper().pid)
    guard.watch(sleeper().pid)
    guard.close()


@pytest.mark.skipif(sys.platform != "linux", reason="processes are found by their marks in /proc")
def test_a_mark_is_the_whole_name_of_a_directory(tmp_path: Path) -> None:
    names = {"HOME": tmp_path / "own", "TMPDIR": tmp_path / "own" / "below", "OTHER": tmp_path / "own-and-more"}
    started = {
        name: subprocess.Popen(["/bin/sleep", "60"], env={name: str(value)}, start_new_session=True)
        for name, value in names.items()
    }
    try:
        kill_marked(tmp_path / "own")
        assert started["HOME"].wait(5) == started["TMPDIR"].wait(5) == -signal.SIGKILL
        assert started["OTHER"].poll() is None
    finally:
        for process in started.values():
            process.kill()
            process.wait(5)
