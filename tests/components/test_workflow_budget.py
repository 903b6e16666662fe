"""The poll budget: what fits into one execution, and what the refusal says."""

import re
from typing import Any

import pytest

from components.settings import Settings
from components.workflow_budget import (
    HISTORY_LIMIT,
    check_budget,
    history_events,
    poll_intervals,
    polls,
    tries_for,
    undisturbed_events,
)


def test_the_default_polls_fit_into_one_execution_with_room() -> None:
    assert history_events(Settings.defaults()) < HISTORY_LIMIT / 4


@pytest.mark.parametrize("completion", ["poll", "callback"])
def test_polls_that_do_not_fit_are_refused_with_a_cure_that_works(completion: str) -> None:
    settings: dict[str, Any] = {"max_run_seconds": 28_800, "completion": completion, "callback_poll_seconds": 10}
    key, field = (
        ("callbackPollSeconds", "callback_poll_seconds")
        if completion == "callback"
        else ("pollIntervalSeconds", "poll_interval_seconds")
    )
    with pytest.raises(ValueError, match=rf"{key} is 10 .*maxRunSeconds 28800.* allows 25000") as refusal:
        check_budget(Settings.defaults(**settings))
    cure = re.search(rf"Set {key} to (\d+) or more, or maxRunSeconds to (\d+) or less", str(refusal.value))
    assert cure
    check_budget(Settings.defaults(**settings | {field: int(cure[1])}))
    check_budget(Settings.defaults(**settings | {"max_run_seconds": int(cure[2])}))
    with pytest.raises(ValueError, match="history events"):
        check_budget(Settings.defaults(**settings | {field: int(cure[1]) - 1}))
    with pytest.raises(ValueError, match="history events"):
        check_budget(Settings.defaults(**settings | {"max_run_seconds": int(cure[2]) + 120}))


def test_growing_intervals_let_eight_hours_fit_and_notice_short_runs_early() -> None:
    settings = Settings.defaults(max_run_seconds=28_800, poll_max_interval_seconds=60)
    check_budget(settings)
    intervals = poll_intervals(settings)
    assert [next(intervals) for _ in range(5)] == [10, 11, 12, 13, 14]
    assert polls(settings, 28_800) < 550


def test_growing_callback_polls_keep_eight_hours_under_1500_events() -> None:
    settings = Settings.defaults(
        max_run_seconds=28_800,
        completion="callback",
        poll_max_interval_seconds=300,
    )
    intervals = poll_intervals(settings)
    assert [next(intervals) for _ in range(4)] == [120, 132, 145, 159]
    assert undisturbed_events(settings) < 1500


def test_a_poll_count_covers_the_whole_run() -> None:
    assert polls(Settings.defaults(), 164) == 17
    assert polls(Settings.defaults(completion="callback"), 164) == 2


def test_retries_with_full_jitter_last_the_time_asked_for_on_average() -> None:
    assert tries_for(1) == 1
    # 2, 4, 8, 16, 32, then 60 seconds at most, half of it on average: 31 and then 30 a try.
    assert tries_for(3600) == 5 + 119
