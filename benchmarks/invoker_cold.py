"""The invoker, cold: a fresh process until the handler can be called, and its peak memory.

The baseline imports boto3 and makes the same two clients. Processes of both kinds take turns. Each reports its own
time, from the start of the interpreter's work on it, and its own peak, so that starting a process is in neither.
"""

from __future__ import annotations

import os
import subprocess
import sys

from benchmarks.invoker_warm import ENVIRON
from benchmarks.progress import progress
from benchmarks.rows import Row, ratio_row
from benchmarks.samples import Samples

COUNT = 40
OURS = "import runtime.invoker.handler"
BASELINE = "import boto3; boto3.client('dynamodb'); boto3.client('bedrock-agentcore')"
TIMED = """
import time
began = time.perf_counter()
{code}
seconds = time.perf_counter() - began
import resource
print(seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""
BASELINE_IS = "import boto3 + the two clients"


def rows(count: int = COUNT) -> list[Row]:
    """Start both kinds of processes in turns."""
    progress(f"invoker, cold: {count} fresh processes of each kind, in turns")
    seconds: dict[str, list[float]] = {OURS: [], BASELINE: []}
    memory: dict[str, list[float]] = {OURS: [], BASELINE: []}
    for number in range(count + 1):
        for code in (OURS, BASELINE) if number % 2 else (BASELINE, OURS):
            measured = _fresh_process(code)
            if number:  # the first ones find their bytecode missing
                seconds[code].append(measured[0])
                memory[code].append(measured[1])
    return [
        ratio_row(
            "invoker, cold: fresh process until ready",
            Samples.of(seconds[OURS]),
            Samples.of(seconds[BASELINE]),
            target=1.05,
            baseline_is=BASELINE_IS,
        ),
        Row(
            "invoker, cold: peak memory",
            Samples.of(memory[OURS]).median / Samples.of(memory[BASELINE]).median,
            target=1.05,
            baseline=BASELINE_IS,
            measured={"ours, KiB": Samples.of(memory[OURS]), "baseline, KiB": Samples.of(memory[BASELINE])},
        ),
    ]


def _fresh_process(code: str) -> tuple[float, float]:
    environ = {"PATH": os.defpath, **ENVIRON}
    done = subprocess.run(
        [sys.executable, "-c", TIMED.format(code=code)],
        env=environ,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    seconds, peak = done.stdout.split()
    return float(seconds), float(peak)
