"""When a run's end is noticed: completed by poll, completed by callback, lost; and when its environment is gone.

The runs of one kind are at work at the same time, and end at moments spread evenly over a poll interval, so that the
median is the expected delay and doesn't depend on luck. Times are compared within one machine's clock.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

from benchmarks.machines import Machines, Run
from benchmarks.progress import progress
from benchmarks.rows import Row
from benchmarks.samples import Samples
from benchmarks.scripted_cloud import scripted_cloud
from benchmarks.transitions import transition_rows
from components.settings import Settings
from runtime.journal.vocabulary import Status
from tests.support.running_cloud import RunningCloud

RUNS = 30
POLL_SECONDS = 10
LEASE_SECONDS = 20
CALLBACK_POLL_SECONDS = 60
CALLBACK_SPREAD_SECONDS = 12
LOST_SPREAD_SECONDS = 8
SETTINGS = Settings.defaults(
    event_source="benchmarks",
    poll_interval_seconds=POLL_SECONDS,
    poll_max_interval_seconds=POLL_SECONDS,
    lease_seconds=LEASE_SECONDS,
    max_run_seconds=600,
    max_attempts=1,
    callback_poll_seconds=CALLBACK_POLL_SECONDS,
)


def rows(runs: int = RUNS) -> list[Row]:
    """Let runs end in every way, then count the transitions of long ones."""
    with scripted_cloud(
        environments=runs + 4,
        completion="callback",
        leaseSeconds=LEASE_SECONDS,
        maxRunSeconds=600,
        maxAttempts=1,
        pollIntervalSeconds=POLL_SECONDS,
        callbackPollSeconds=CALLBACK_POLL_SECONDS,
    ) as cloud:
        machines = Machines(cloud, SETTINGS)
        return [
            *_polled(cloud, machines, runs),
            *_lost(machines, runs),
            *_called_back(cloud, machines, runs),
            *transition_rows(machines),
        ]


def _polled(cloud: RunningCloud, machines: Machines, runs: int) -> list[Row]:
    progress(f"completion: {runs} runs end between two polls of {POLL_SECONDS} s")
    machine = machines.create()
    with _watched(cloud) as gone:
        ending = [
            machines.start(machine, f"work {1.5 * POLL_SECONDS + POLL_SECONDS * phase:.3f}") for phase in _phases(runs)
        ]
        machines.wait_for(ending)
        gone.wait_for(ending)
    delays = Samples.of(_noticed_seconds(machines, run) for run in ending)
    released = Samples.of(_seconds(machines.entered(run, "ReleaseSession"), gone.at(run)) for run in ending)
    return [
        Row(
            "completion noticed after the task ended, poll",
            delays.median / (POLL_SECONDS / 2),
            target=1.1,
            baseline=f"half the poll interval of {POLL_SECONDS} s",
            measured={"s": delays},
            reason="what the polls themselves take comes on top of the interval, and on a busy machine that is more",
        ),
        Row(
            "environment idle after the end was noticed, poll",
            released.median,
            "s",
            target=2.0,
            baseline="0",
            measured={"s": released},
        ),
    ]


def _lost(machines: Machines, runs: int) -> list[Row]:
    progress(f"completion: {runs} agents are killed")
    machine = machines.create()
    deaths = [2 + LOST_SPREAD_SECONDS * phase for phase in _phases(runs)]
    dying = [machines.start(machine, f"die {seconds:.3f}") for seconds in deaths]
    machines.wait_for(dying)
    lost = Samples.of(_lost_seconds(machines, run, seconds) for run, seconds in zip(dying, deaths, strict=True))
    return [
        Row(
            "lost agent noticed, worst",
            lost.largest / (LEASE_SECONDS + POLL_SECONDS),
            target=1.1,
            baseline=f"lease of {LEASE_SECONDS} s + one poll of {POLL_SECONDS} s",
            measured={"s": lost},
        )
    ]


def _phases(runs: int) -> list[float]:
    return [(number + 0.5) / runs for number in range(runs)]


def _called_back(cloud: RunningCloud, machines: Machines, runs: int) -> list[Row]:
    progress(f"completion: {runs} runs wake their execution")
    machine = machines.create(completion="callback")
    with _watched(cloud) as gone:
        ending = [
            machines.start(machine, f"work {6 + CALLBACK_SPREAD_SECONDS * number / runs:.3f}") for number in range(runs)
        ]
        machines.wait_for(ending)
        gone.wait_for(ending)
    delays = Samples.of(_noticed_seconds(machines, run) for run in ending)
    idle = Samples.of(_seconds(_ended_at(machines, run), gone.at(run)) for run in ending)
    return [
        Row(
            "completion noticed after the task ended, callback",
            delays.median,
            "s",
            target=0.3,
            baseline="half the poll interval",
            measured={"s": delays},
        ),
        Row(
            "environment idle after the end, callback", idle.median, "s", target=2.0, baseline="0", measured={"s": idle}
        ),
    ]


def _noticed_seconds(machines: Machines, run: Run) -> float:
    return _seconds(_ended_at(machines, run), machines.entered(run, "ReleaseSession"))


def _ended_at(machines: Machines, run: Run) -> datetime:
    return machines.event(run, Status.AGENT_BACKGROUND_TASK_COMPLETED).created_at


def _lost_seconds(machines: Machines, run: Run, seconds: float) -> float:
    began = machines.event(run, "TASK_ANALYST_STARTED").created_at
    return _seconds(began, machines.event(run, Status.AGENT_BACKGROUND_TASK_LOST).created_at) - seconds


def _seconds(earlier: datetime, later: datetime) -> float:
    return (later - earlier).total_seconds()


@dataclass
class _Gone:
    """When the environments of sessions were last seen."""

    last_seen: dict[str, datetime]
    present: set[str]

    def at(self, run: Run) -> datetime:
        return self.last_seen[run.session_id]

    def wait_for(self, runs: list[Run], seconds: float = 30.0) -> None:
        deadline = time.monotonic() + seconds
        while self.present & {run.session_id for run in runs} and time.monotonic() < deadline:
            time.sleep(0.05)


@contextmanager
def _watched(cloud: RunningCloud) -> Generator[_Gone]:
    """Note all the time which sessions have an environment."""
    gone, stopped = _Gone({}, set()), threading.Event()

    def watch() -> None:
        while not stopped.wait(0.02):
            records = cloud.parts.data_plane.environments()
            gone.present = {record.session_id for record in records if record.session_id}
            gone.last_seen |= dict.fromkeys(gone.present, datetime.now(UTC))

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield gone
    finally:
        stopped.set()
        thread.join(5)
