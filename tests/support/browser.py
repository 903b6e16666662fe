"""A headless Chromium that tests drive through its DevTools: clicks and keys as a person's, and every request it makes.

Source of the protocol: https://chromedevtools.github.io/devtools-protocol/
"""

import base64
import http.client
import json
import os
import shutil
import subprocess
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from websocket import WebSocket, WebSocketTimeoutException, create_connection

from tests.support.waiting import wait_until

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
CALL_SECONDS = 60.0
LOOK_SECONDS = 0.1


class Page:
    """One tab.

    :param folder: for pictures of what went wrong
    :ivar requested: the URLs of all requests so far
    """

    def __init__(self, socket: WebSocket, folder: Path) -> None:
        self._socket = socket
        self._folder = folder
        self._number = 0
        self.requested: list[str] = []
        self.call("Network.enable")
        self.call("Page.enable")

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Call a method of the protocol, and return its result."""
        self._number += 1
        self._socket.send(json.dumps({"id": self._number, "method": method, "params": parameters}))
        give_up = time.monotonic() + CALL_SECONDS
        while time.monotonic() < give_up:
            message = json.loads(self._socket.recv())
            self._note(message)
            if message.get("id") == self._number:
                assert "error" not in message, message
                return message["result"]
        raise AssertionError(f"{method} has no result after {CALL_SECONDS:g} s")

    def listen(self, seconds: float) -> None:
        """Take note of what the page asks for, for a while."""
        give_up = time.monotonic() + seconds
        try:
            while (left := give_up - time.monotonic()) > 0:
                self._socket.settimeout(left)
                self._note(json.loads(self._socket.recv()))
        except WebSocketTimeoutException:
            pass
        finally:
            self._socket.settimeout(CALL_SECONDS)

    def _note(self, message: dict[str, Any]) -> None:
        if message.get("method") == "Network.requestWillBeSent":
            self.requested.append(message["params"]["request"]["url"])

    def evaluate(self, expression: str) -> Any:
        """Return the value of an expression of JavaScript."""
        done = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in done, done["exceptionDetails"]
        return done["result"].get("value")

    def wait_for(self, expression: str, what: str, seconds: float = 30.0) -> Any:
        """Wait until an expression is true, and return its value; if it never is, there is a picture of the tab."""
        try:
            wait_until(lambda: self.evaluate(expression), what, seconds, LOOK_SECONDS)
        except AssertionError as error:
            self.screenshot(self._folder / "failed.png")
            raise AssertionError(f"{error}; see {self._folder / 'failed.png'}") from None
        return self.evaluate(expression)

    def text(self, selector: str) -> str:
        """The text of the first element, as it is seen; empty if there is none."""
        return str(self.evaluate(f"document.querySelector({json.dumps(selector)})?.innerText ?? ''"))

    def wait_for_text(self, text: str, selector: str, seconds: float = 30.0) -> None:
        """Wait until a text is seen in an element."""
        condition = f"(document.querySelector({json.dumps(selector)})?.innerText ?? '').includes({json.dumps(text)})"
        try:
            self.wait_for(condition, f"{text!r} in {selector}", seconds)
        except AssertionError as error:
            raise AssertionError(f"{error}; there is: {self.text(selector)}") from None

    def click(self, selector: str, containing: str = "") -> None:
        """Click in the middle of the first element that is seen and enabled, and has a text in it."""
        script = f"""(() => {{
          const found = [...document.querySelectorAll({json.dumps(selector)})].find(element =>
            element.textContent.includes({json.dumps(containing)}) && element.offsetParent && !element.disabled);
          if (!found) return null;
          found.scrollIntoView({{block: "nearest"}});
          const box = found.getBoundingClientRect();
          return [box.x + box.width / 2, box.y + box.height / 2];
        }})()"""
        x, y = self.wait_for(script, f"{selector} with {containing!r}")
        self.call("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def choose(self, selector: str, option: str) -> None:
        """Choose an option of the first list that is seen and has it."""
        script = f"""(() => {{
          const options = [...document.querySelectorAll({json.dumps(selector)} + " option")];
          const found = options.find(each =>
            each.text.replaceAll("\\xa0", " ") === {json.dumps(option)} && each.parentNode.offsetParent);
          if (!found) return false;
          found.parentNode.value = found.value;
          found.selected = true;
          found.parentNode.dispatchEvent(new Event("change", {{bubbles: true}}));
          return true;
        }})()"""
        self.wait_for(script, f"{option!r} in {selector}")

    def press(self, key: str, *, modifiers: int = 0) -> None:
        """Press a key: `Tab`, `Enter`, or one with a letter."""
        codes = {"Tab": 9, "Enter": 13, "Escape": 27}
        known: dict[str, Any] = {"key": key, "windowsVirtualKeyCode": codes.get(key, ord(key[0].upper()))}
        written = {"text": "\r"} if key == "Enter" else {"text": key} if len(key) == 1 else {}
        self.call("Input.dispatchKeyEvent", type="keyDown", modifiers=modifiers, **known, **written)
        self.call("Input.dispatchKeyEvent", type="keyUp", modifiers=modifiers, **known)

    def type(self, text: str) -> None:
        """Write into what has the focus."""
        self.call("Input.insertText", text=text)

    def resize(self, width: int, height: int) -> None:
        """Give the tab a size."""
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)

    def screenshot(self, path: Path) -> None:
        """Photograph the tab."""
        path.write_bytes(base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"]))


@contextmanager
def open_page(url: str, folder: Path, size: tuple[int, int] = (1600, 1000)) -> Generator[Page]:
    """Open a URL in a browser of its own, which ends with the context."""
    assert BROWSER
    profile = folder / "browser"
    options = ["--headless=new", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--hide-scrollbars"]
    options += ["--no-sandbox"] if os.geteuid() == 0 else []
    options += [f"--user-data-dir={profile}", "--remote-debugging-port=0", "about:blank"]
    browser = subprocess.Popen([BROWSER, *options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        port_file = profile / "DevToolsActivePort"
        wait_until(lambda: port_file.exists() and port_file.read_text().count("\n"), "the browser", 30)
        port = int(port_file.read_text().split("\n")[0])
        socket = create_connection(_tab(port), timeout=CALL_SECONDS, suppress_origin=True)
        try:
            page = Page(socket, folder)
            page.resize(*size)
            page.call("Page.navigate", url=url)
            yield page
        finally:
            socket.close()
    finally:
        browser.terminate()
        try:
            browser.wait(20)
        except subprocess.TimeoutExpired:
            browser.kill()
            browser.wait(5)


def _tab(port: int) -> str:
    """Where the tab that it began with can be driven."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", "/json/list")
        tabs = json.loads(connection.getresponse().read())
    finally:
        connection.close()
    return next(tab["webSocketDebuggerUrl"] for tab in tabs if tab["type"] == "page")
