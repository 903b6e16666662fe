"""`make run`, installed: from the command to its end, which is a little after the run's outcome."""

from __future__ import annotations

import json
import subprocess
import sys
import time

from benchmarks.progress import progress
from benchmarks.rows import Row
from benchmarks.samples import Samples

COUNT = 5
LIMIT_SECONDS = 60.0


def rows(count: int = COUNT) -> list[Row]:
    """Run it again and again, and check that each run completed."""
    progress(f"embedded cloud: `python -m local run --json`, {count} times")
    seconds = Samples.of(_one() for _ in range(count))
    return [
        Row(
            "embedded cloud: make run, from command to end",
            seconds.median,
            "s",
            target=4.0,
            measured={"s": seconds},
            reason="the time is wall-clock time: other programs at work on the machine are in it",
        )
    ]


def _one() -> float:
    began = time.perf_counter()
    finished = subprocess.run(
        [sys.executable, "-m", "local", "run", "--json"], capture_output=True, check=True, timeout=LIMIT_SECONDS
    )
    seconds = time.perf_counter() - began
    outcome = json.loads(finished.stdout)["outcome"]
    if outcome != "AGENT_BACKGROUND_TASK_COMPLETED":
        raise RuntimeError(f"the run ended as {outcome}")
    return seconds
