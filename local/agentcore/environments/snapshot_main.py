"""What a prepared process runs: an agent's entry point up to where it would serve, and from there on only its clones.

Platform version V2 takes its snapshot at the first healthy /ping. Here that is the call of `uvicorn.run`, with which
AgentCore's SDK begins to serve: before it there are neither threads nor an event loop, which would not survive a fork.

Each line on the control socket, with the write end of a pipe, is a clone: it gets variables, output and a process group
of its own, and goes on to serve. It keeps the state of `random`, as a restored machine would, where Python seeds forks
anew. `prepared.py` holds the other end.
"""

from __future__ import annotations

import importlib
import json
import os
import random
import runpy
import select
import signal
import socket
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

_READ_BYTES = 65_536
_PIPES_MAX = 64
# What serving and the first /ping import, which on AWS come before the snapshot.
_FIRST_PING = (
    *("uvicorn.loops.asyncio", "uvicorn.loops.auto", "anyio.lowlevel", "anyio.streams.memory"),
    *("anyio.streams.stapled", "anyio.streams.tls"),
    *("anyio._core._sockets", "anyio._core._streams", "anyio._core._tasks", "anyio._core._testing"),
    *("anyio._core._typedattr", "anyio.abc._resources", "anyio._backends._asyncio"),
)


def main(control: socket.socket, script: str) -> None:
    """Run an entry point; this returns in clones only, if at all."""
    sys.path[0] = str(Path.cwd())
    import uvicorn

    serve: Callable[..., None] = uvicorn.run

    def serve_clones(app: Any, **options: Any) -> None:
        uvicorn.Config(app, **options).load()
        for module in _FIRST_PING:
            with suppress(ImportError):
                importlib.import_module(module)
        _become_clones(control)
        serve(app, **options | {"host": os.environ["HOST"], "port": int(os.environ["PORT"])})

    uvicorn.run = serve_clones
    runpy.run_path(script, run_name="__main__")


def _become_clones(control: socket.socket) -> None:
    """Fork for each line that comes; this returns in the clones, and ends the process when nobody is there any more."""
    if len(threading.enumerate()) > 1:
        names = ", ".join(thread.name for thread in threading.enumerate()[1:])
        _say(control, refused=f"it has threads before it serves ({names}), which here no clone would have")
    _say(control, ready=True)
    drawn = random.getstate()
    woken, wake = os.pipe()
    for end in (woken, wake):
        os.set_blocking(end, False)
    signal.signal(signal.SIGCHLD, _wake)
    signal.set_wakeup_fd(wake)
    for wanted, output in _wanted(control, woken):
        try:
            forked = os.fork()
        except OSError as error:
            _say(control, id=wanted["id"], refused=str(error))
            forked = -1
        if forked == 0:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            os.close(woken)
            os.close(wake)
            random.setstate(drawn)
            _be(wanted, output, control)
            return
        os.close(output)
    os._exit(0)


def _wake(*_: object) -> None:
    """Let the signal be handled, so that it writes to the wake-up pipe."""


def _be(wanted: dict[str, Any], output: int, control: socket.socket) -> None:
    os.setsid()
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.close(output)
    os.environ.update(wanted["variables"])
    tempfile.tempdir = None  # it is looked up once only
    # Not before it has a group: that is how it is ended.
    _say(control, id=wanted["id"], pid=os.getpid())
    control.close()


def _wanted(control: socket.socket, woken: int) -> Iterator[tuple[dict[str, Any], int]]:
    """Yield what is asked for, each with its pipe, and report clones that have ended."""
    received, pipes = b"", list[int]()
    while True:
        ready, _, _ = select.select([control, woken], [], [])
        if woken in ready:
            with suppress(BlockingIOError):
                os.read(woken, _READ_BYTES)
            _report_ended(control)
        if control not in ready:
            continue
        piece, passed, _, _ = socket.recv_fds(control, _READ_BYTES, _PIPES_MAX)
        if not piece:
            return
        received, pipes = received + piece, pipes + passed
        *lines, received = received.split(b"\n")
        for line in lines:
            yield json.loads(line), pipes.pop(0)


def _report_ended(control: socket.socket) -> None:
    with suppress(ChildProcessError):
        while (ended := os.waitpid(-1, os.WNOHANG))[0]:
            _say(control, ended=ended[0], code=os.waitstatus_to_exitcode(ended[1]))


def _say(control: socket.socket, **what: Any) -> None:
    control.sendall(json.dumps(what).encode() + b"\n")


if __name__ == "__main__":
    _, descriptor, *sys.argv = sys.argv
    os.set_inheritable(int(descriptor), False)
    main(socket.socket(fileno=int(descriptor)), sys.argv[0])
