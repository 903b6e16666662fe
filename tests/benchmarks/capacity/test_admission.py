from dataclasses import replace

import pytest

from benchmarks.capacity.admission import Admission, Crowd, longest_delay, simulate
from components.workflow_budget import MAX_RETRY_DELAY_SECONDS, RETRY_DELAY_SECONDS

CROWD = Crowd(
    runs=500,
    arrivals_per_second=300,
    arrivals_burst=1300,
    sessions_per_second=25,
    active_sessions=5000,
    session_seconds=180,
    tries=120,
)


def peak_of(admitted: Admission, session_seconds: float) -> int:
    starts = admitted.started_after
    return max(sum(start - session_seconds < other <= start for other in starts) for start in starts)


def test_every_run_starts_or_gives_up() -> None:
    admitted = simulate(CROWD)
    assert len(admitted.started_after) == len(admitted.tries) == CROWD.runs
    assert admitted.given_up == 0


def test_the_same_seed_gives_the_same_and_another_one_does_not() -> None:
    assert simulate(CROWD) == simulate(CROWD)
    assert simulate(CROWD) != simulate(replace(CROWD, seed=2))


def test_no_more_start_in_a_second_than_the_quota_admits() -> None:
    starts = simulate(CROWD).started_after
    busiest = max(sum(start <= other < start + 1 for other in starts) for start in starts)
    # What the bucket held, and what it got within that second.
    assert busiest <= 2 * CROWD.sessions_per_second


def test_no_more_are_active_than_there_are_places() -> None:
    crowded = replace(CROWD, runs=200, active_sessions=40, session_seconds=20)
    assert peak_of(simulate(crowded), crowded.session_seconds) <= crowded.active_sessions


def test_places_that_free_are_used_again() -> None:
    crowded = replace(CROWD, runs=200, active_sessions=40, session_seconds=20)
    admitted = simulate(crowded)
    assert len(admitted.started_after) == crowded.runs
    assert admitted.seconds_to_drain >= crowded.runs / crowded.active_sessions * crowded.session_seconds * 0.8


def test_runs_that_run_out_of_tries_give_up() -> None:
    admitted = simulate(replace(CROWD, tries=1))
    assert admitted.given_up > 0
    assert admitted.given_up + len(admitted.started_after) == CROWD.runs


def test_a_lone_run_starts_at_once() -> None:
    admitted = simulate(replace(CROWD, runs=1))
    assert admitted.tries == (1,)
    assert admitted.seconds_to_drain == pytest.approx(0)


def test_delays_double_up_to_the_cap_of_the_deployed_retrier() -> None:
    assert longest_delay(1) == RETRY_DELAY_SECONDS
    assert longest_delay(2) == 2 * RETRY_DELAY_SECONDS
    assert longest_delay(50) == MAX_RETRY_DELAY_SECONDS
