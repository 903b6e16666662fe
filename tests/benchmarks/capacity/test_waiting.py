"""What waiting for a run costs."""

from __future__ import annotations

import pytest

from benchmarks.capacity.waiting import describe, waiting_cost
from components.settings import Settings
from components.workflow_budget import TRANSITIONS_ONCE, TRANSITIONS_PER_POLL, history_events


def test_a_run_of_reference_length_is_polled_seventeen_times() -> None:
    cost = waiting_cost(Settings.defaults(), 164)
    assert cost.polls == 17
    assert cost.state_transitions == TRANSITIONS_ONCE + 17 * TRANSITIONS_PER_POLL
    assert cost.usd == pytest.approx(57 * 0.000025, rel=0.01)


def test_a_longer_interval_costs_less() -> None:
    every_10, every_60 = (waiting_cost(Settings.defaults(poll_interval_seconds=s), 3600).usd for s in (10, 60))
    assert every_60 < every_10 / 4


def test_the_table_says_what_a_run_costs_and_how_much_history_it_takes() -> None:
    told = describe(Settings.defaults(), (164,))
    assert "17" in told
    assert "1.43" in told
    assert f"{history_events(Settings.defaults()):,} of 25,000" in told
