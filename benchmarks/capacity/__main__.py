"""`python -m benchmarks.capacity`: counts a run in an embedded cloud and prints the tables of docs/scale.md."""

from __future__ import annotations

import statistics
import sys
from collections.abc import Iterable, Mapping
from typing import Any

from benchmarks.capacity.admission import simulate
from benchmarks.capacity.model import (
    DAY_SECONDS,
    RUN_SECONDS,
    RUNS_A_DAY,
    SETTINGS,
    Limit,
    crowd,
    dollars,
    limits,
)
from benchmarks.capacity.run_counts import (
    ANSWER_LOOK_READ_UNITS,
    TURN_WRITE_UNITS,
    RunCounts,
    items_write_units,
    measured_counts,
    stretched,
)
from components.workflow_budget import answer_looks, wait_transitions
from runbook.pricing import prices
from runtime.agent.plan import MAX_ITEMS
from runtime.journal.writer import MAX_EVENTS

MAX_RUNS_A_SECOND = RUNS_A_DAY[-1] / DAY_SECONDS


def report(counts: RunCounts, data: Mapping[str, Any]) -> str:
    """Return dollars, quotas and the crowd as Markdown."""
    parts = [
        [f"Prices and quotas of {data['asOf']}, {data['region']}. Counted: {counts}"],
        _cost_lines(dollars(counts)),
        _quota_lines(limits(counts, data)),
        [_items_line()],
        [_wait_line(data["perUnit"])],
        [_crowd_line(data)],
    ]
    return "\n\n".join("\n".join(part) for part in parts)


def _cost_lines(costs: Mapping[str, float]) -> list[str]:
    head = ["| part | $ a run | $ for 1,000 | $ for 1,000,000 |", "|---|---|---|---|"]
    every = {**costs, "all": sum(costs.values())}
    return head + [f"| {part} | {usd:.6f} | {usd * 1e3:,.3f} | {usd * 1e6:,.0f} |" for part, usd in every.items()]


def _quota_lines(found: Iterable[Limit]) -> list[str]:
    head = [
        "| quota | a run takes | hit at runs/s | which is a day | share at 1,000,000 a day | adjustable |",
        "|---|---|---|---|---|---|",
    ]
    return head + [
        f"| {limit.name} | {limit.units_a_run:,.4g} | {limit.runs_per_second:,.4g} "
        f"| {limit.runs_per_second * DAY_SECONDS:,.0f} | {limit.share(MAX_RUNS_A_SECOND):.1%} "
        f"| {'yes' if limit.adjustable else 'no'} |"
        for limit in found
    ]


def _items_line() -> str:
    alone, shared = items_write_units(MAX_ITEMS, 1), items_write_units(MAX_ITEMS, MAX_EVENTS)
    return (
        f"A step of {MAX_ITEMS} items takes {alone:,} write units where each event has a transaction of its own, and "
        f"{shared} where {MAX_EVENTS} share one."
    )


def _wait_line(usd: Mapping[str, float]) -> str:
    looks = answer_looks(SETTINGS)
    turns = looks - 1
    moved, written, read = wait_transitions(SETTINGS), turns * TURN_WRITE_UNITS, looks * ANSWER_LOOK_READ_UNITS
    cost = (
        moved * usd["stateTransition"]
        + written * usd["journalWriteUnit"]
        + read * usd["journalReadUnit"]
        + turns * usd["event"]
    )
    return (
        f"A wait of {SETTINGS.answer_seconds / 3600:g} h that nobody answers takes {looks} looks: {moved} state "
        f"transitions, {written} write units, {read} read units, {turns} events, ${cost:.4f}."
    )


def _crowd_line(data: Mapping[str, Any]) -> str:
    coming = crowd(data)
    admitted = simulate(coming)
    return (
        f"Of {coming.runs:,} runs at once {len(admitted.started_after):,} started within "
        f"{admitted.seconds_to_drain:,.0f} s and {admitted.given_up:,} gave up; tries a run: median "
        f"{statistics.median(admitted.tries):g}, most {max(admitted.tries)}; at most "
        f"{admitted.most_calls_in_a_second:,} calls in a second."
    )


if __name__ == "__main__":
    sys.stdout.write(report(stretched(measured_counts(), SETTINGS, RUN_SECONDS), prices()) + "\n")
