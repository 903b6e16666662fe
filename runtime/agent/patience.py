"""How long to wait between tries of what may fail in passing: the journal's writes, the artifacts' reads and writes."""

import random
from collections.abc import Iterator


def pauses(lease_seconds: float) -> Iterator[float]:
    """Give the seconds before each next try, without end: with jitter, and growing to a tenth of the lease."""
    pause = lease_seconds / 100
    while True:
        yield random.uniform(pause / 2, pause)
        pause = min(pause * 2, lease_seconds / 10)
