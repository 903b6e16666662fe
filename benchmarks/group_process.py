"""A group of rows in a process of its own: what it imported, opened or spent does not touch the next group's figures.

`run_group` is the parent's side, bounded in time; `python -m benchmarks.group_process` is the child's.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from benchmarks.groups import rows_of

CLEAN_UP_SECONDS = 30.0


def run_group(group: str, limit_seconds: float, command: Sequence[str] = ()) -> list[dict[str, Any]]:
    """Measure a group in a child process, and return its rows as JSON values.

    A group that fails or takes too long is one row that says so.

    :param command: what to run in place of this module, for tests; it gets the file for the rows as last argument
    """
    with tempfile.TemporaryDirectory(prefix="bench-") as directory:
        answer = Path(directory) / "rows.json"
        child = subprocess.Popen(
            [*(command or (sys.executable, "-m", "benchmarks.group_process", group)), str(answer)],
            stdin=subprocess.DEVNULL,
            stdout=sys.stderr,
            process_group=0,
        )
        try:
            code = child.wait(limit_seconds)
        except subprocess.TimeoutExpired:
            return [_failed(group, f"it took longer than {limit_seconds:g} s")]
        finally:
            _end(child)
        if code != 0:
            return [_failed(group, f"its process ended with exit code {code}; what it printed tells why")]
        return json.loads(answer.read_text(encoding="utf-8"))


def _failed(group: str, reason: str) -> dict[str, Any]:
    return {"what": group, "figure": None, "unit": "", "target": None, "verdict": "FAILED", "reason": reason}


def _end(child: subprocess.Popen[bytes]) -> None:
    """End the child as Ctrl-C would, so that it stops what it started, and then for good."""
    if child.poll() is None:
        child.terminate()
        with suppress(subprocess.TimeoutExpired):
            child.wait(CLEAN_UP_SECONDS)
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait(5)


def main() -> None:
    """Measure the group named by the first argument and write its rows, or its error, to the second one's file."""
    signal.signal(signal.SIGTERM, _interrupt)
    group, answer = sys.argv[1:]
    try:
        rows = [row.as_json() for row in rows_of(group)]
    except Exception as error:
        traceback.print_exc()
        rows = [_failed(group, f"{type(error).__name__}: {error}")]
    Path(answer).write_text(json.dumps(rows), encoding="utf-8")


def _interrupt(_signal: int, _frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


if __name__ == "__main__":
    main()
