"""Killing environments at random moments, which are those of their work and not of a clock.

A moment is chosen as an event of the run and a fraction of a second after it, so that the same seed hits the same
phases of the work on a fast machine and on a slow one.
"""

import random
import signal
import threading
from functools import partial
from typing import TypeAlias

from runtime.journal.vocabulary import TERMINAL, Status
from tests.support.faulty_cloud import FaultyCloud
from tests.support.run_story import RunStory
from tests.support.scenarios import Scenario
from tests.support.waiting import wait_until

PHASES: list[tuple[str, ...]] = [
    (),
    ("AGENT_BACKGROUND_TASK_STARTED",),
    ("TASK_ANALYST_STARTED", "TASK_ANALYST_SKIPPED"),
    ("TASK_ANALYST_COMPLETED", "TASK_ANALYST_SKIPPED"),
    ("TASK_REPORTER_STARTED", "TASK_REPORTER_SKIPPED"),
    ("TASK_REPORTER_COMPLETED", "TASK_REPORTER_SKIPPED"),
]
LONGEST_PHASE_SECONDS = 0.5
LOOK_SECONDS = 0.1

Moment: TypeAlias = tuple[tuple[str, ...], float]
"""One of these events, and seconds after it; without any, after the environment was there."""


def kills_at_random_moments(runs: int, seed: int) -> list[Scenario[tuple[int, RunStory]]]:
    """Return scenarios that kill one or two environments of a run, and return how many it really were."""
    dice = random.Random(seed)
    plans = [[_moment(dice) for _ in range(dice.choice([1, 1, 2]))] for _ in range(runs)]
    return [partial(_killed, plan=plan) for plan in plans]


def _moment(dice: random.Random) -> Moment:
    return dice.choice(PHASES), dice.uniform(0, LONGEST_PHASE_SECONDS)


def _killed(faulty: FaultyCloud, plan: list[Moment]) -> tuple[int, RunStory]:
    """Start a run, kill one environment of it after the other, and see it end."""
    session_id, killed = faulty.start(), set[str | None]()
    for statuses, seconds in plan:
        wait_until(
            lambda statuses=statuses: _has_come(faulty, session_id, statuses, killed), str(statuses), 60, LOOK_SECONDS
        )
        threading.Event().wait(seconds)
        killed.add(faulty.signal(session_id, signal.SIGKILL))
    return len(killed - {None}), faulty.story(session_id)


def _has_come(faulty: FaultyCloud, session_id: str, statuses: tuple[str, ...], killed: set[str | None]) -> bool:
    """Whether the newest environment has come that far, or there will be none."""
    if faulty.events(session_id, *TERMINAL):
        return True
    environment = faulty.environment_of(session_id)
    if environment is None or environment.environment_id in killed:
        return False
    attempts = len(faulty.events(session_id, Status.AGENT_BACKGROUND_TASK_LOST)) + 1
    return not statuses or attempts in {event.attempt for event in faulty.events(session_id, *statuses)}
