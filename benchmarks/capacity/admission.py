"""A simulation of many runs that want to start at once: who is admitted when, and after how many tries.

The rules are the deployed machine's retrier (exponential, capped, full jitter, a number of tries) and AgentCore's two
quotas, new sessions a second and active sessions. Seeded, so that it gives the same every time.
"""

from __future__ import annotations

import heapq
import random
from dataclasses import dataclass

from components.workflow_budget import MAX_RETRY_DELAY_SECONDS, RETRY_DELAY_SECONDS


@dataclass(frozen=True, slots=True, kw_only=True)
class Crowd:
    """Runs that come in within a short time.

    :ivar runs: how many
    :ivar arrivals_per_second: how fast their executions start
    :ivar arrivals_burst: how many of them start at once before that rate holds
    :ivar sessions_per_second: how many new sessions AgentCore admits
    :ivar active_sessions: how many may be active at once
    :ivar session_seconds: from a session's start until it no longer counts
    :ivar tries: retries of a throttled start, after which the run fails
    """

    runs: int
    arrivals_per_second: float
    arrivals_burst: int
    sessions_per_second: float
    active_sessions: int
    session_seconds: float
    tries: int
    seed: int = 1


@dataclass(frozen=True, slots=True)
class Admission:
    """What became of a crowd.

    :ivar started_after: for each admitted run, seconds from the first arrival to its start, in order
    :ivar tries: for each admitted run, how often it tried, the last time included
    :ivar given_up: how many ran out of tries
    :ivar most_calls_in_a_second: at any second
    """

    started_after: tuple[float, ...]
    tries: tuple[int, ...]
    given_up: int
    most_calls_in_a_second: int

    @property
    def seconds_to_drain(self) -> float:
        """From the first arrival to the last start."""
        return self.started_after[-1] if self.started_after else 0.0


def simulate(crowd: Crowd) -> Admission:
    """Let a crowd in, try by try."""
    # No secret depends on it.
    chance = random.Random(crowd.seed)
    waiting = [(_arrival(crowd, number), number, 1) for number in range(crowd.runs)]
    heapq.heapify(waiting)
    gate = _Gate(crowd)
    calls: dict[int, int] = {}
    started: list[float] = []
    tries: list[int] = []
    given_up = 0
    while waiting:
        now, number, attempt = heapq.heappop(waiting)
        calls[int(now)] = calls.get(int(now), 0) + 1
        if gate.admits(now):
            started.append(now)
            tries.append(attempt)
        elif attempt > crowd.tries:
            given_up += 1
        else:
            heapq.heappush(waiting, (now + chance.uniform(0, longest_delay(attempt)), number, attempt + 1))
    return Admission(tuple(started), tuple(tries), given_up, max(calls.values(), default=0))


def longest_delay(attempt: int) -> float:
    """Return the upper end of the random delay after so many tries."""
    return min(float(MAX_RETRY_DELAY_SECONDS), RETRY_DELAY_SECONDS * 2.0 ** (attempt - 1))


def _arrival(crowd: Crowd, number: int) -> float:
    return max(0.0, (number + 1 - crowd.arrivals_burst) / crowd.arrivals_per_second)


class _Gate:
    """AgentCore's two quotas: a bucket that holds one second's worth of new sessions, and a number of places."""

    def __init__(self, crowd: Crowd) -> None:
        self._crowd = crowd
        self._tokens = crowd.sessions_per_second
        self._at = 0.0
        self._ends: list[float] = []

    def admits(self, now: float) -> bool:
        rate = self._crowd.sessions_per_second
        self._tokens = min(rate, self._tokens + (now - self._at) * rate)
        self._at = now
        while self._ends and self._ends[0] <= now:
            heapq.heappop(self._ends)
        if self._tokens < 1 or len(self._ends) >= self._crowd.active_sessions:
            return False
        self._tokens -= 1
        heapq.heappush(self._ends, now + self._crowd.session_seconds)
        return True
