"""An agent that starts in a twentieth of a second, for tests about processes: the HTTP contract and nothing else.

Packed as `main.py` into a runtime's code; tests don't import it.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

SESSION_HEADER = "X-Amzn-Bedrock-AgentCore-Runtime-Session-Id"
busy_until = 0.0


class Agent(BaseHTTPRequestHandler):
    """One request."""

    def do_GET(self) -> None:
        self.answer({"status": "HealthyBusy" if time.monotonic() < busy_until else "Healthy"})

    def do_POST(self) -> None:
        payload = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        answer = {"session": self.headers[SESSION_HEADER], "pid": os.getpid()}
        self.answer(answer | {"done": self.do(payload)})

    def do(self, payload: Mapping[str, Any]) -> Any:
        global busy_until
        match payload.get("do"):
            case "hang":
                Path(os.environ["HOME"], f"{self.headers[SESSION_HEADER]}.hangs").touch()
                threading.Event().wait(60)
            case "start_work":
                busy_until = time.monotonic() + payload["seconds"]
            case "start_child":
                return subprocess.Popen(["/bin/sleep", "60"]).pid
            case "start_daemon":
                return subprocess.Popen(["/bin/sleep", "60"], start_new_session=True).pid
            case "variables":
                return dict(os.environ)
            case _:
                pass
        return None

    def answer(self, body: Mapping[str, Any]) -> None:
        content = json.dumps(body).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class calls it so
        pass


if __name__ == "__main__":
    if "IGNORE_SIGTERM" in os.environ:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if "PORT" in os.environ:
        ThreadingHTTPServer((os.environ["HOST"], int(os.environ["PORT"])), Agent).serve_forever()
    else:  # to be cloned: see quick_uvicorn.py
        import uvicorn

        uvicorn.run(Agent)
