"""A token bucket that limits the rate of requests.

Owns the counting only; the caller decides what is refused, and how.
"""

from __future__ import annotations


class RateLimit:
    """At most so many requests per second, with a burst of one second's worth.

    :param per_second: None for no limit.
    :param now: seconds of any clock, the same as for `admits`.
    """

    def __init__(self, per_second: float | None, now: float) -> None:
        self._per_second = per_second
        self._burst = max(1.0, per_second or 0.0)
        self._tokens = self._burst
        self._seen_at = now

    def admits(self, now: float) -> bool:
        """Whether one more request may pass; if so, it is counted."""
        if self._per_second is None:
            return True
        self._tokens = min(self._burst, self._tokens + (now - self._seen_at) * self._per_second)
        self._seen_at = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True
