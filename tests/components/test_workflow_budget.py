"""The poll budget: what fits into one execution, and what the refusal says."""

import itertools
import re
from dataclasses import replace
from typing import Any

import pytest

from components.settings import INTEGERS, Settings
from components.workflow_budget import (
    HISTORY_LIMIT,
    answer_turn_seconds,
    check_budget,
    history_events,
    machine_timeout_seconds,
    poll_intervals,
    polls,
    tries_for,
    undisturbed_events,
)
from runtime.contract.segment import MAX_WAITS

LENGTHS = {
    "answerSeconds": "answer_seconds",
    "invokeRetrySeconds": "invoke_retry_seconds",
    "leaseSeconds": "lease_seconds",
    "maxAttempts": "max_attempts",
    "maxRunSeconds": "max_run_seconds",
}


def test_the_default_polls_fit_into_one_execution_with_room() -> None:
    assert history_events(Settings.defaults(max_waits=0)) < HISTORY_LIMIT / 4
    assert history_events(Settings.defaults()) < HISTORY_LIMIT / 2


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
        max_waits=0,
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


def test_waits_are_paid_for_by_stacks_whose_runs_may_wait_and_by_no_others() -> None:
    # What an execution took before runs could wait.
    assert history_events(Settings.defaults(max_waits=0)) == 4566
    assert history_events(Settings.defaults(max_waits=0, completion="callback")) == 1621
    each = [history_events(Settings.defaults(max_waits=waits)) for waits in range(MAX_WAITS + 1)]
    assert len({more - less for less, more in itertools.pairwise(each)}) == 1
    assert each[MAX_WAITS] < HISTORY_LIMIT


def test_waits_that_do_not_fit_are_refused_with_a_cure_that_works() -> None:
    settings = Settings.defaults(max_waits=MAX_WAITS, invoke_retry_seconds=21_600)
    with pytest.raises(ValueError, match=r"maxWaits 10, .* allows 25000") as refusal:
        check_budget(settings)
    # Fewer polls would not help, and are not among the cures.
    cure = re.search(r"Set maxWaits to (\d+) or less, or invokeRetrySeconds to (\d+) or less\.$", str(refusal.value))
    assert cure
    most, longest = int(cure[1]), int(cure[2])
    for fitting, beyond in (
        (replace(settings, max_waits=most), replace(settings, max_waits=most + 1)),
        (replace(settings, invoke_retry_seconds=longest), replace(settings, invoke_retry_seconds=longest + 1)),
    ):
        check_budget(fitting)
        with pytest.raises(ValueError, match="history events"):
            check_budget(beyond)


@pytest.mark.slow
def test_settings_of_which_no_single_one_can_be_blamed_say_so() -> None:
    settings = Settings.defaults(max_waits=MAX_WAITS, max_run_seconds=28_800, invoke_retry_seconds=86_400)
    with pytest.raises(ValueError, match=r"It takes more than one of them to change that\.$"):
        check_budget(replace(settings, poll_interval_seconds=1, poll_max_interval_seconds=1))


def test_nothing_of_an_open_run_expires() -> None:
    settings = Settings.defaults(max_waits=MAX_WAITS, answer_seconds=30 * 86_400)
    with pytest.raises(ValueError, match=r"journalTtlDays is 90, maxWaits 10, .* may be open for \d+ days") as refusal:
        check_budget(settings)
    days = int(str(refusal.value).split("open for ")[1].split()[0])
    assert days * 86_400 >= machine_timeout_seconds(settings) > (days - 1) * 86_400
    check_budget(replace(settings, journal_ttl_days=days))
    with pytest.raises(ValueError, match="journalTtlDays"):
        check_budget(replace(settings, journal_ttl_days=days - 1))


def test_no_settings_let_an_execution_last_longer_than_step_functions_does() -> None:
    longest = Settings.defaults(
        max_waits=MAX_WAITS,
        **{field: INTEGERS[key].stop - 1 for key, field in LENGTHS.items()},
    )
    assert machine_timeout_seconds(longest) < 365 * 86_400


def test_the_machines_time_limit_has_room_for_every_wait_and_for_the_starts_after_it() -> None:
    settings, waits = Settings.defaults(max_waits=0), 3
    with_waits = machine_timeout_seconds(replace(settings, max_waits=waits))
    each = settings.answer_seconds + answer_turn_seconds(settings) + 2 * settings.invoke_retry_seconds
    assert with_waits > machine_timeout_seconds(settings) + waits * each
