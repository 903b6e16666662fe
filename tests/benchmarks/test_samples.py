import gc

import pytest

from benchmarks.samples import Samples, interleaved, seconds_of


def test_a_percentile_is_a_value_that_was_measured() -> None:
    samples = Samples.of(range(1, 101))
    assert samples.percentile(95) == 95
    assert samples.percentile(100) == samples.largest == 100
    assert samples.percentile(0) == samples.smallest == 1


def test_a_single_value_is_every_percentile() -> None:
    assert {Samples.of([3.0]).percentile(percent) for percent in (1, 50, 95, 100)} == {3.0}


def test_no_samples_are_refused() -> None:
    with pytest.raises(ValueError, match="no samples"):
        Samples.of([])


def test_what_is_kept_has_median_least_and_greatest_and_how_many() -> None:
    assert Samples.of([3, 1, 2]).as_json() == {"n": 3, "median": 2, "min": 1, "max": 3, "p95": 3}


def test_two_actions_take_turns_and_each_goes_first_as_often() -> None:
    order: list[str] = []
    first, second = interleaved(lambda: order.append("a"), lambda: order.append("b"), 4, warmup=0)
    assert "".join(order) == "abbaabba"
    assert len(first.values) == len(second.values) == 4


def test_warming_up_does_not_count() -> None:
    calls: list[int] = []
    first, _ = interleaved(lambda: calls.append(1), lambda: None, 3, warmup=2)
    assert len(calls) == 5
    assert len(first.values) == 3


def test_garbage_is_not_collected_while_the_time_is_taken() -> None:
    seen: list[bool] = []
    assert seconds_of(lambda: seen.append(gc.isenabled())) >= 0
    assert seen == [False]
    assert gc.isenabled()


def test_an_action_that_fails_leaves_the_collector_on() -> None:
    with pytest.raises(ZeroDivisionError):
        seconds_of(lambda: divmod(1, 0))
    assert gc.isenabled()
