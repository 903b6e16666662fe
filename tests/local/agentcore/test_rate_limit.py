from __future__ import annotations

from local.agentcore.rate_limit import RateLimit


def test_a_burst_of_one_seconds_worth_passes_and_then_one_at_a_time() -> None:
    limit = RateLimit(10, now=0)
    assert sum(limit.admits(0) for _ in range(30)) == 10
    assert not limit.admits(0.05)
    assert limit.admits(0.11)
    assert not limit.admits(0.12)


def test_unused_time_is_not_saved_up_for_more_than_a_second() -> None:
    limit = RateLimit(10, now=0)
    assert sum(limit.admits(3600) for _ in range(30)) == 10


def test_a_rate_below_one_a_second_lets_the_first_through() -> None:
    limit = RateLimit(0.5, now=0)
    assert [limit.admits(at) for at in (0, 1, 2, 3, 4)] == [True, False, True, False, True]


def test_without_a_rate_everything_passes() -> None:
    limit = RateLimit(None, now=0)
    assert all(limit.admits(0) for _ in range(1000))
