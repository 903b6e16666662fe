from datetime import UTC, datetime, timedelta

import pytest

from runtime.agent.run_clock import RunClock, beginning

NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


def test_a_clock_goes_on_from_its_first_moment_whatever_happens_to_the_machines() -> None:
    seconds = iter([100.0, 100.0, 130.5])
    clock = RunClock(NOON, lambda: next(seconds))
    assert clock.now() == NOON
    assert clock.now() == NOON + timedelta(seconds=30.5)


@pytest.mark.parametrize(
    ("own_seconds", "trusted"),
    [(0, True), (0.4, True), (8, True), (60, True), (60.1, False), (300, False), (-0.001, False), (-300, False)],
)
def test_an_agent_trusts_its_machines_clock_while_that_can_be_right(own_seconds: float, trusted: bool) -> None:
    own = NOON + timedelta(seconds=own_seconds)
    assert beginning(own, NOON) == (own if trusted else NOON)
