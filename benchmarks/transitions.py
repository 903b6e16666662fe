"""State transitions of a run of 164 seconds, and what Step Functions bills for them.

Time is scaled down to a tenth: the emulator's waits all alike, and the callback's time limit by its setting. Counts
don't change with it.
"""

from __future__ import annotations

from typing import Any

from benchmarks.machines import Machines
from benchmarks.progress import progress
from benchmarks.rows import Row
from components.settings import Settings
from components.workflow_budget import history_events, undisturbed_events
from runbook.pricing import Usage, bill, total

RUN_SECONDS = 164
SCALE = 0.1
CALLBACK_POLL_SECONDS = 120
LONGEST_RUN_SECONDS = 8 * 3600
FIXED, GROWING = "poll every 10 s", "polls growing from 10 to 60 s"
CALLBACK, GROWING_CALLBACK = "callback, polls every 120 s", "callback, polls growing from 120 to 300 s"
MODES: dict[str, dict[str, Any]] = {
    FIXED: {"poll_interval_seconds": 10, "poll_max_interval_seconds": 10},
    GROWING: {"poll_interval_seconds": 10, "poll_max_interval_seconds": 60, "poll_growth_percent": 10},
    CALLBACK: {"completion": "callback", "callback_poll_seconds": CALLBACK_POLL_SECONDS},
}
# Not run in the embedded cloud, whose tasks take no computed time limit; a run of 164 s is the same in both.
LONG_MODES: dict[str, dict[str, Any]] = MODES | {GROWING_CALLBACK: MODES[CALLBACK] | {"poll_max_interval_seconds": 300}}
TRANSITIONS = {CALLBACK: 12}
HISTORY_EVENTS = {GROWING: 25_000, CALLBACK: 25_000, GROWING_CALLBACK: 1_500}
WHY = {
    FIXED: "more than Step Functions' 25,000: such a stack is refused at preview",
}


def transition_rows(machines: Machines) -> list[Row]:
    """Count the transitions of one run of each mode, all at the same time, and compute the longest run's history."""
    progress(f"transitions: a run of {RUN_SECONDS} s in every mode, at a tenth of its time")
    machines.scale_waits(SCALE)
    scaled = {"callback_poll_seconds": round(CALLBACK_POLL_SECONDS * SCALE)}
    try:
        started = {
            mode: machines.start(machines.create(**changes | scaled), f"work {RUN_SECONDS * SCALE}")
            for mode, changes in MODES.items()
        }
        machines.wait_for(started.values())
    finally:
        machines.scale_waits(1.0)
    counted = [_transitions_row(mode, machines.transitions(run)) for mode, run in started.items()]
    return [*counted, *(history_row(mode) for mode in LONG_MODES)]


def history_row(mode: str) -> Row:
    """Return the row of an 8-hour run's history: undisturbed, and with every attempt and every throttled start."""
    # Of one that asks nobody: what waits add is the same in all modes.
    worst = Settings.defaults(max_run_seconds=LONGEST_RUN_SECONDS, max_waits=0, **LONG_MODES[mode])
    figure = undisturbed_events(worst)
    return Row(
        f"history events of an 8-hour run, {mode}",
        figure,
        "",
        HISTORY_EVENTS.get(mode),
        baseline="25,000 allowed",
        measured={"with every attempt and throttled start": history_events(worst)},
        reason=WHY.get(mode, ""),
    )


def _transitions_row(mode: str, count: int) -> Row:
    usd = total(bill(Usage(transitions=count)))
    return Row(
        f"state transitions of a {RUN_SECONDS}-s run, {mode}",
        count,
        "",
        TRANSITIONS.get(mode),
        measured={"$": usd},
        reason=f"${usd:.5f} a run",
    )
