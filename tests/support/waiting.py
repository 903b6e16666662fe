"""Waiting for a condition, with a deadline."""

import time
from collections.abc import Callable


def wait_until(condition: Callable[[], object], what: str, seconds: float = 10, every_seconds: float = 0.02) -> None:
    """Look again and again until the condition holds.

    :param every_seconds: more where a look is work for others, and many are waiting
    :raises AssertionError: if it doesn't in time
    """
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {what}"
        time.sleep(every_seconds)
