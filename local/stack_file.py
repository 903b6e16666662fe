"""`.local/stack.json`: how everyone else finds the running embedded cloud.

Owns the file's place and form. It is written when everything is ready and removed at the end; one left behind by
a killed process looks like any other, so readers must be prepared for a connection that is refused.
"""

from __future__ import annotations

import json
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

STACK_FILE = Path(__file__).resolve().parent.parent / ".local" / "stack.json"


@dataclass(frozen=True)
class LocalStack:
    """A running embedded cloud.

    :ivar endpoint_url: of every service but AgentCore's data plane.
    :ivar agentcore_endpoint_url: of AgentCore's data plane.
    :ivar outputs: the stack's outputs, by name.
    """

    endpoint_url: str
    agentcore_endpoint_url: str
    region: str
    stack: str
    outputs: dict[str, Any]


def write(stack: LocalStack, path: Path = STACK_FILE) -> None:
    """Write the file as a whole: nobody sees half of it, and nobody but its owner sees it at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {
        "endpointUrl": stack.endpoint_url,
        "agentcoreEndpointUrl": stack.agentcore_endpoint_url,
        "region": stack.region,
        "stack": stack.stack,
        "outputs": stack.outputs,
    }
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.name)  # mode 0600
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        json.dump(content, file, indent=2)
    Path(temporary).replace(path)


def read(path: Path = STACK_FILE) -> LocalStack:
    """The embedded cloud that the file tells of.

    :raises FileNotFoundError: if none is running.
    :raises ValueError: if the file is not one of ours.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return LocalStack(
            content["endpointUrl"],
            content["agentcoreEndpointUrl"],
            content["region"],
            content["stack"],
            content["outputs"],
        )
    except (ValueError, LookupError, TypeError) as error:
        raise ValueError(f"{path} is not a description of an embedded cloud: {error!r}") from error


def remove(path: Path = STACK_FILE) -> None:
    """Remove the file; harmless when there is none."""
    path.unlink(missing_ok=True)
