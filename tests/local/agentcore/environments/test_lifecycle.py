from __future__ import annotations

import pytest

from local.agentcore.environments.agent_client import PingStatus
from local.agentcore.environments.lifecycle import Lifecycle, LifecycleLimits

LIMITS = LifecycleLimits(idle=900, max_lifetime=28_800, unhealthy=60)


def observed(until: float, status: PingStatus | None, *, request_at: float = 0) -> Lifecycle:
    """An environment that began at 0 and was pinged every second."""
    lifecycle = Lifecycle(LIMITS, 0)
    lifecycle.saw_request(request_at)
    for second in range(int(until) + 1):
        lifecycle.saw_ping(status, second)
    return lifecycle


@pytest.mark.parametrize(("at", "ends"), [(900, False), (901, True)])
def test_an_idle_environment_ends_after_its_time_out(at: float, ends: bool) -> None:
    assert (observed(at, PingStatus.HEALTHY).reason_to_end(at) is not None) == ends


def test_a_request_starts_the_idle_time_anew() -> None:
    assert observed(1400, PingStatus.HEALTHY, request_at=500).reason_to_end(1400) is None
    assert observed(1401, PingStatus.HEALTHY, request_at=500).reason_to_end(1401) == "idle for 900 seconds"


def test_a_busy_environment_is_not_idle_but_not_immortal() -> None:
    assert observed(28_800, PingStatus.HEALTHY_BUSY).reason_to_end(28_800) is None
    reason = observed(28_801, PingStatus.HEALTHY_BUSY).reason_to_end(28_801)
    assert reason == "its maximum lifetime of 28800 seconds is over"


@pytest.mark.parametrize(("at", "ends"), [(60, False), (61, True)])
def test_silence_for_too_long_ends_it(at: float, ends: bool) -> None:
    reason = "no healthy answer to GET /ping for 60 seconds"
    assert observed(at, None).reason_to_end(at) == (reason if ends else None)
