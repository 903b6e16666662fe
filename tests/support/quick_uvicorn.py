"""What the quick agent is served with where it must look like one that uvicorn serves: packed as `uvicorn.py`."""

from __future__ import annotations

from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Config:
    """Settings of which there are none."""

    def __init__(self, *_: Any, **__: Any) -> None:
        pass

    def load(self) -> None:
        """There is nothing to load."""


def run(app: type[BaseHTTPRequestHandler], *, host: str, port: int) -> None:
    """Serve for ever."""
    ThreadingHTTPServer((host, port), app).serve_forever()
