"""Runs a Python module that cannot outlive the process that started it.

Owns one guarantee: when the parent is gone, however it died, this process, the rest of its process group and
its temporary directory are gone as well. Stopping in the ordinary way is the parent's business
(`local.processes.child`).

Run as ``python -P parent_watch.py <module>``, leading a process group of its own, with a pipe from the parent
as standard input. Nothing is written to that pipe: the kernel closes it when the parent dies. No signal handler
in the parent could promise that (SIGKILL), and Linux's PR_SET_PDEATHSIG depends on the thread that forked and
would miss the grandchildren. The module may be one of this project.
"""

import os
import runpy
import shutil
import signal
import sys
import threading
from pathlib import Path


def _end_with_parent(directory: str) -> None:
    while os.read(0, 1):
        pass
    kill_marked(directory)
    shutil.rmtree(directory, ignore_errors=True)
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    # Otherwise it would one day kill its parent's group and delete everybody's temporary files.
    if os.getpgid(0) != os.getpid() or "TMPDIR" not in os.environ:
        sys.exit("parent_watch: it needs a process group and a TMPDIR of its own")
    # Last, and in this process alone: what it starts doesn't see this project's packages.
    sys.path.append(str(Path(__file__).resolve().parents[2]))
    from local.processes.guard import kill_marked

    threading.Thread(target=_end_with_parent, args=(os.environ["TMPDIR"],), daemon=True).start()
    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
