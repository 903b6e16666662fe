"""Serves the quick agent where it must look like one that uvicorn serves: it is packed under that name."""

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
