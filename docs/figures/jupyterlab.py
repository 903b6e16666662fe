"""JupyterLab in a headless Chromium: a notebook run to its end, and a picture of what one sees then.

Talks to Chromium by its own protocol, https://chromedevtools.github.io/devtools-protocol/, over a WebSocket.
"""

import base64
import itertools
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import websocket

START_SECONDS = 60.0
RUN_SECONDS = 180.0
SIZE = (1280, 1000)
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
T = TypeVar("T")

CELLS = "document.querySelectorAll('.jp-CodeCell')"
# Without a kernel, JupyterLab would ask for one.
PANEL = "[...window.jupyterapp.shell.widgets('main')][0]"
IS_LOADED = f"{CELLS}.length > 5 && {PANEL}.sessionContext.session.kernel.status == 'idle'"
RUN_ALL = (
    f"window.jupyterapp.shell.activateById({PANEL}.id), window.jupyterapp.commands.execute('notebook:run-all-cells')"
)
PROMPTS = f"[...{CELLS}].map(cell => cell.querySelector('.jp-InputPrompt').textContent)"
ERRORS = "document.querySelectorAll('[data-mime-type=\"application/vnd.jupyter.error\"]').length"
# Windowed rendering would leave out the cells that are not on the screen; news would lie over them.
SETTINGS: dict[str, dict[str, Any]] = {
    "@jupyterlab/notebook-extension:tracker": {"windowingMode": "none"},
    "@jupyterlab/apputils-extension:notification": {"fetchNews": "false", "checkForUpdates": False},
}


class JupyterLab:
    """A JupyterLab on loopback, from entering the context to leaving it.

    :param folder: the notebooks
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._token = os.urandom(16).hex()
        self._port = _free_port()

    def __enter__(self) -> Self:
        self._files = tempfile.TemporaryDirectory()
        settings = Path(self._files.name, "overrides")
        settings.mkdir()
        for plugin, values in SETTINGS.items():
            extension, name = plugin.split(":")
            path = settings / extension / f"{name}.jupyterlab-settings"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(values))
        self._process = subprocess.Popen(
            [
                *(sys.executable, "-m", "jupyterlab", "--no-browser", "--ip=127.0.0.1", f"--port={self._port}"),
                *(f"--IdentityProvider.token={self._token}", f"--LabApp.user_settings_dir={settings}"),
                *("--LabApp.expose_app_in_browser=True", "--allow-root", f"--notebook-dir={self._folder}"),
            ],
            env=os.environ | {"JUPYTER_RUNTIME_DIR": self._files.name},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        url = f"http://127.0.0.1:{self._port}/api?token={self._token}"
        _until(lambda: _answers(url), "JupyterLab's first answer", START_SECONDS)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.terminate()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
        self._files.cleanup()

    def url_of(self, notebook: str) -> str:
        """Return the address of a notebook of the folder."""
        return f"http://127.0.0.1:{self._port}/doc/tree/{notebook}?token={self._token}"


def screenshot(url: str, heading: str) -> bytes:
    """Open a notebook, run all of its cells, and return what is seen from a heading on, as PNG.

    :raises RuntimeError: if there is no browser, or a cell fails
    :raises TimeoutError: if JupyterLab or the cells take too long
    """
    with _Browser() as browser:
        browser.call("Page.navigate", url=url)
        _until(lambda: browser.value(IS_LOADED), "the notebook in JupyterLab", START_SECONDS)
        browser.value(RUN_ALL)
        _until(lambda: _is_done(browser.value(PROMPTS)), "the end of the last cell", RUN_SECONDS)
        if browser.value(ERRORS):
            raise RuntimeError("a cell of the notebook failed")
        headings = "[...document.querySelectorAll('.jp-RenderedMarkdown h2')]"
        browser.value(f"{headings}.find(found => found.textContent.startsWith('{heading}')).scrollIntoView()")
        # The scroll is animated.
        time.sleep(1)
        return base64.b64decode(browser.call("Page.captureScreenshot", format="png")["data"])


def _is_done(prompts: list[str]) -> bool:
    return bool(prompts) and all(prompt.strip("[]:").isdigit() for prompt in prompts)


class _Browser:
    """A headless Chromium with one page."""

    def __init__(self) -> None:
        program = next(filter(None, map(shutil.which, BROWSERS)), None)
        if program is None:
            raise RuntimeError(f"there is no browser on PATH: install one of {', '.join(BROWSERS)}")
        self._profile = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        port = _free_port()
        self._process = subprocess.Popen(
            [
                *(program, "--headless=new", f"--remote-debugging-port={port}", "--remote-allow-origins=*"),
                *(f"--user-data-dir={self._profile.name}", f"--window-size={SIZE[0]},{SIZE[1]}", "--hide-scrollbars"),
                *("--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-dev-shm-usage"),
                *(["--no-sandbox"] if os.geteuid() == 0 else []),
                "about:blank",
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self._ids = itertools.count(1)
        pages = _until(
            lambda: _json_of(f"http://127.0.0.1:{port}/json/list"), "the browser's first answer", START_SECONDS
        )
        page = next(page for page in pages if page["type"] == "page")
        self._socket = websocket.create_connection(page["webSocketDebuggerUrl"], timeout=RUN_SECONDS)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()
        self._process.terminate()
        self._process.wait(20)
        self._profile.cleanup()

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Call a method of the protocol, and return its result."""
        number = next(self._ids)
        self._socket.send(json.dumps({"id": number, "method": method, "params": parameters}))
        while True:
            answer = json.loads(self._socket.recv())
            if answer.get("id") == number:
                return answer.get("result", {})

    def value(self, expression: str) -> Any:
        """Return the value of a JavaScript expression in the page; None where it fails."""
        done = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=False)
        return done.get("result", {}).get("value")


def _until(look: Callable[[], T], what: str, seconds: float) -> T:
    deadline = time.monotonic() + seconds
    while not (found := look()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {seconds:g} s: {what}")
        time.sleep(0.2)
    return found


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2):  # noqa: S310 - loopback
            return True
    except OSError:
        return False


def _json_of(url: str) -> Any:
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:  # noqa: S310 - loopback
            return json.load(answer)
    except OSError:
        return None


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]
