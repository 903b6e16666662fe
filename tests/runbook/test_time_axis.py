"""Where moments are drawn."""

from __future__ import annotations

from itertools import pairwise

import pytest

from runbook.time_axis import TimeAxis

DAY = 86_400.0


@pytest.mark.parametrize("waits", [[], [(10, 30)]])
def test_a_run_that_waits_little_is_drawn_as_it_was(waits: list[tuple[float, float]]) -> None:
    axis = TimeAxis(40, waits)
    assert not axis.is_shortened
    assert [axis.at(moment) for moment in (0, 10, 25, 40)] == [0, 10, 25, 40]


def test_long_waits_are_drawn_short_and_what_lies_between_as_it_was() -> None:
    axis = TimeAxis(2 * DAY + 40, [(10, DAY + 10), (DAY + 30, 2 * DAY + 30)])
    assert axis.is_shortened
    assert [axis.at(moment) for moment in (10, DAY + 10, DAY + 30, 2 * DAY + 30)] == [10, 20, 40, 50]
    assert (axis.at(10 + DAY / 2), axis.length) == (15, 60)
    times = ["0", "10.0 s", "24 h 00 min", "24 h 00 min", "48 h 00 min", "48 h 00 min"]
    assert axis.ticks() == [*zip([0, 10, 20, 40, 50, 60], times, strict=True)]


def test_many_waits_take_no_more_room_than_what_the_run_does() -> None:
    waits = [(number * DAY, number * DAY + DAY - 10) for number in range(10)]
    axis = TimeAxis(10 * DAY, waits)
    assert axis.length == pytest.approx(200)
    places = [place for place, _ in axis.ticks()]
    assert all(later - place > 20 for place, later in pairwise(places))


def test_a_run_that_has_done_next_to_nothing_is_drawn_all_the_same() -> None:
    # Whoever answers may have a clock that is behind, and an open run's end may lie before now.
    axis = TimeAxis(5, [(5, DAY), (4, 4)])
    assert 0 < axis.at(5) <= axis.length < 10
