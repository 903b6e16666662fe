"""What waiting costs: polls, state transitions, history and dollars of a run, computed before anything runs.

For choosing the poll interval. The agent, its model and the function cost the same at any interval, and are left out.
`python -m benchmarks.capacity.waiting` prints the estimate for the default configuration.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass

from components.settings import Settings
from components.workflow_budget import HISTORY_LIMIT, history_events, polls, transitions
from runbook.pricing import Usage, bill, total

READ_UNITS_PER_POLL = 2
"""Twenty events of about 300 bytes each, read consistently, four kilobytes per unit."""


@dataclass(frozen=True)
class WaitingCost:
    """What it takes to wait for one run if nothing is lost or throttled.

    :ivar usd: for state transitions and reads of the journal
    """

    run_seconds: float
    polls: int
    state_transitions: int
    usd: float


def waiting_cost(settings: Settings, run_seconds: float) -> WaitingCost:
    """Estimate what it costs to wait for a run of that length."""
    count, taken = polls(settings, run_seconds), transitions(settings, run_seconds)
    usd = total(bill(Usage(transitions=taken, read_units=count * READ_UNITS_PER_POLL)))
    return WaitingCost(run_seconds, count, taken, usd)


def describe(settings: Settings, lengths_seconds: Sequence[float] = (30, 164, 900, 3600)) -> str:
    """A table of the costs of runs of several lengths, and how much of an execution's history the longest run takes."""
    rows = [f"{'run':>8} {'polls':>7} {'transitions':>12} {'USD per 1,000 runs':>20}"]
    for seconds in lengths_seconds:
        cost = waiting_cost(settings, seconds)
        rows.append(f"{seconds:>6g} s {cost.polls:>7,} {cost.state_transitions:>12,} {1000 * cost.usd:>20.2f}")
    longest = history_events(settings)
    share = longest / HISTORY_LIMIT
    rows.append(f"history of the longest run: {longest:,} of {HISTORY_LIMIT:,} events ({share:.0%})")
    return "\n".join(rows)


if __name__ == "__main__":
    sys.stdout.write(f"{describe(Settings.defaults())}\n")
