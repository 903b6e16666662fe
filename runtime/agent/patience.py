"""How long to wait before retrying after a transient failure of the journal or of the artifacts' bucket."""

import random
from collections.abc import Iterator


def pauses(lease_seconds: float) -> Iterator[float]:
    """Yield the seconds before each retry, without end: with jitter, growing to a tenth of the lease."""
    pause = lease_seconds / 100
    while True:
        yield random.uniform(pause / 2, pause)
        pause = min(pause * 2, lease_seconds / 10)
