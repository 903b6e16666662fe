"""JupyterLab as a process, on a folder of the test's own."""

import os
import secrets
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from local.loopback.ports import free_port
from runbook.connection import PROJECT
from tests.support.waiting import wait_until


@contextmanager
def jupyter_lab(folder: Path, **environ: str) -> Generator[str]:
    """Start JupyterLab on a folder, with settings of its own, and yield what a path of it is put behind.

    :param environ: for its kernels
    """
    token, port = secrets.token_urlsafe(16), free_port()
    own = {f"JUPYTER_{name}_DIR": str(folder / f".{name.lower()}") for name in ("CONFIG", "DATA", "RUNTIME")}
    environment = {**os.environ, **own, "IPYTHONDIR": str(folder / ".ipython"), "PYTHONPATH": str(PROJECT), **environ}
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--ip=127.0.0.1", f"--port={port}", "--allow-root"]
    command += ["--ServerApp.port_retries=0", f"--IdentityProvider.token={token}", f"--notebook-dir={folder}"]
    command += ["--LabApp.news_url=None", "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate"]
    with (folder / "jupyter.log").open("wb") as log:
        server = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log)
        try:
            ready = "is running at"
            wait_until(lambda: ready in (folder / "jupyter.log").read_text(errors="replace"), "JupyterLab", 60)
            yield f"http://127.0.0.1:{port}/lab/tree/{{}}?token={token}"
        finally:
            server.terminate()
            try:
                server.wait(20)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait(5)
