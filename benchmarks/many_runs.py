"""A thousand runs with a trivial workflow through the embedded cloud: all complete, how fast, with how much memory.

Events come in through EventBridge, so many at a time that a fixed number of runs is open; every run has an
environment of its own, a process that is forked from a prepared one.
"""

from __future__ import annotations

import itertools
import time
from collections import Counter

import psutil

from benchmarks.progress import progress
from benchmarks.rows import Row
from benchmarks.samples import Samples
from benchmarks.scripted_cloud import scripted_cloud
from runtime.journal.vocabulary import Status
from tests.support.running_cloud import RunningCloud

RUNS = 1000
# A run waits for a second of its two: fewer would leave the processors idle.
OPEN_RUNS = 32
SPARES = 4
COUNTED = 30
LIMIT_SECONDS = 900.0
LOOK_SECONDS = 0.2
LOOKS_A_MEMORY_SAMPLE = 10
MIB = 1024 * 1024


def rows(runs: int = RUNS, limit_seconds: float = LIMIT_SECONDS) -> list[Row]:
    """Send runs through, for no longer than the limit."""
    progress(f"embedded cloud: {runs} runs, {OPEN_RUNS} at a time, for {limit_seconds:g} s at most")
    deadline = time.monotonic() + limit_seconds
    with scripted_cloud(environments=2 * OPEN_RUNS, spares=SPARES) as cloud:
        began = time.monotonic()
        ended, memory = _send_through(cloud, runs, deadline)
        seconds = time.monotonic() - began
        transitions = [cloud.runbook.execution(session_id).state_transitions for session_id in list(ended)[:COUNTED]]
    completed = sum(status == Status.AGENT_BACKGROUND_TASK_COMPLETED for status in ended.values())
    reason = f"{len(ended)} of {runs} had ended when the time was over" if len(ended) < runs else ""
    return [
        Row(
            f"{runs} runs through the embedded cloud: completed",
            completed,
            unit="",
            target=runs,
            at_least=True,
            measured={str(status): count for status, count in Counter(ended.values()).items()},
            reason=reason,
        ),
        Row(
            f"{runs} runs: runs per second",
            completed / seconds,
            "/s",
            target=10.0,
            at_least=True,
            measured={"seconds": seconds},
            reason="it is the machine's processors that limit it: others at work on them are in it",
        ),
        Row(f"{runs} runs: peak memory, all processes", max(memory), "MiB", measured={"MiB": Samples.of(memory)}),
        Row(f"{runs} runs: state transitions a run", Samples.of(transitions).median, ""),
    ]


def _send_through(cloud: RunningCloud, runs: int, deadline: float) -> tuple[dict[str, str], list[float]]:
    """Return how runs ended, by session id, and the memory of all processes now and then, in MiB."""
    waiting: list[str] = []
    ended: dict[str, str] = {}
    memory: list[float] = []
    looks = itertools.count()
    while len(ended) < runs and time.monotonic() < deadline:
        while len(waiting) < OPEN_RUNS and len(waiting) + len(ended) < runs:
            waiting.append(cloud.runbook.trigger("work 0"))
        _collect(cloud, waiting, ended)
        if next(looks) % LOOKS_A_MEMORY_SAMPLE == 0:
            memory.append(resident_mib())
        time.sleep(LOOK_SECONDS)
    return ended, memory


def _collect(cloud: RunningCloud, waiting: list[str], ended: dict[str, str]) -> None:
    """Move runs that have ended, the oldest first: asking after all of them again and again would be work, too."""
    while waiting and (outcome := cloud.runbook.outcome(waiting[0])):
        ended[waiting.pop(0)] = outcome.status
        if len(ended) % 100 == 0:
            progress(f"{len(ended)} runs have ended")


def resident_mib() -> float:
    """Return the resident memory of this process and all that it started, in MiB. What they share counts for each."""
    total = 0
    own = psutil.Process()
    for process in (own, *own.children(recursive=True)):
        try:
            total += process.memory_info().rss
        except psutil.NoSuchProcess:
            continue
    return total / MIB
