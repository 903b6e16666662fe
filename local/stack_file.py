"""`.local/stack.json`: how others find the running embedded cloud, and why there is only one at a time.

Owns the file's place and format, and whether the cloud it describes can still be running. It is written when everything
is ready and removed at the end. A file left behind by a killed process is recognized by that process's id and start
time; readers must still be prepared for a refused connection.
"""

from __future__ import annotations

import fcntl
import json
import os
import stat
import tempfile
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from local.emulator.clients import AccessKey

STACK_FILE = Path(__file__).resolve().parent.parent / ".local" / "stack.json"
MAX_BYTES = 1_000_000
# A start time is computed from the time of boot, which moves with the clock.
_SAME_START_SECONDS = 5.0


class StackFileError(ValueError):
    """The file is not one of ours, can't be read, belongs to another cloud, or describes one that has ended."""


@dataclass(frozen=True)
class LocalStack:
    """A running embedded cloud.

    :ivar endpoint_url: of every service but AgentCore's data plane.
    :ivar agentcore_endpoint_url: of AgentCore's data plane.
    :ivar outputs: the stack's outputs, by name.
    :ivar key: root's key.
    """

    endpoint_url: str
    agentcore_endpoint_url: str
    region: str
    stack: str
    outputs: dict[str, Any]
    key: AccessKey


@contextmanager
def claim(path: Path = STACK_FILE) -> Generator[None]:
    """Keep other embedded clouds from the file, and remove it at the end.

    :raises StackFileError: if another embedded cloud has it, or something other than a file is in its place.
    """
    if path.exists() and not path.is_file():
        raise StackFileError(f"{path} is not a file: move it away, or name another with --stack-path.")
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_name(f"{path.name}.lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            raise StackFileError(
                f"An embedded cloud is already running, process {lock.read().strip() or 'unknown'}, described in "
                f"{path}. Use that one, stop it, or give this one a file of its own with "
                "`make local ARGS='--stack-path FILE'`."
            ) from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        try:
            yield
        finally:
            remove(path)


def write(stack: LocalStack, path: Path = STACK_FILE) -> None:
    """Write the file atomically, readable by its owner only."""
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {
        "endpointUrl": stack.endpoint_url,
        "agentcoreEndpointUrl": stack.agentcore_endpoint_url,
        "region": stack.region,
        "stack": stack.stack,
        "accessKeyId": stack.key.access_key_id,
        "secretAccessKey": stack.key.secret_access_key,
        "process": {"id": os.getpid(), "startedAt": psutil.Process().create_time()},
        "outputs": stack.outputs,
    }
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.name)  # mode 0600
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        json.dump(content, file, indent=2)
    Path(temporary).replace(path)


def read(path: Path = STACK_FILE) -> LocalStack:
    """The embedded cloud that the file describes.

    :raises FileNotFoundError: if none is running.
    :raises StackFileError: if the file is not one of ours, can't be read, or describes a cloud that has ended.
    """
    try:
        content = json.loads(_content(path))
        outputs, process = content["outputs"], content["process"]
        stack = LocalStack(
            endpoint_url=_text(content, "endpointUrl"),
            agentcore_endpoint_url=_text(content, "agentcoreEndpointUrl"),
            region=_text(content, "region"),
            stack=_text(content, "stack"),
            outputs={str(name): value for name, value in outputs.items()},
            key=AccessKey(_text(content, "accessKeyId"), _text(content, "secretAccessKey")),
        )
        running = _is_running(int(process["id"]), float(process["startedAt"]))
    except FileNotFoundError:
        raise
    except OSError as error:
        raise StackFileError(f"{path} can't be read: {error.strerror}") from error
    except (ValueError, LookupError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise StackFileError(f"{path} is not a description of an embedded cloud: {_describe(error)}") from error
    if not running:
        raise StackFileError(f"{path} was left behind by an embedded cloud that is no longer running")
    return stack


def remove(path: Path = STACK_FILE) -> None:
    """Remove the file, if there is one."""
    path.unlink(missing_ok=True)


def _content(path: Path) -> str:
    # Opening a pipe without a writer would block otherwise.
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise ValueError("it is not a regular file")
        content = os.read(handle, MAX_BYTES + 1)
    finally:
        os.close(handle)
    if len(content) > MAX_BYTES:
        raise ValueError(f"it is larger than {MAX_BYTES} bytes")
    return content.decode("utf-8")


def _text(content: dict[str, Any], name: str) -> str:
    value = content[name]
    if not isinstance(value, str):
        raise TypeError(f"{name} is {type(value).__name__}, not text")
    return value


def _describe(error: Exception) -> str:
    if isinstance(error, UnicodeDecodeError):
        return "it is not UTF-8 text"
    return f"{error.args[0]} is missing" if isinstance(error, KeyError) else str(error)


def _is_running(process_id: int, started_at: float) -> bool:
    """Whether that same process is running: its id may have been reused."""
    with suppress(psutil.NoSuchProcess, psutil.AccessDenied, ValueError):
        return abs(psutil.Process(process_id).create_time() - started_at) < _SAME_START_SECONDS
    return False
