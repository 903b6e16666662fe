"""What goes through boto3 clients: recorded once, so that a baseline can send the very same again."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any


@contextmanager
def sent_by(*clients: Any) -> Generator[dict[str, dict[str, Any]]]:
    """Record the arguments of every call in the block, by the operation's name; the last call of each stays."""
    sent: dict[str, dict[str, Any]] = {}

    def record(params: dict[str, Any], model: Any, **_: Any) -> None:
        sent[model.name] = dict(params)

    for client in clients:
        client.meta.events.register("provide-client-params.*", record)
    try:
        yield sent
    finally:
        for client in clients:
            client.meta.events.unregister("provide-client-params.*", record)
