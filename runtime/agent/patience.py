"""How long to wait before retrying after a transient failure of the journal or of the artifacts' bucket."""

from collections.abc import Iterator
from random import SystemRandom

# The usual generator's state is part of a snapshot: environments that meet once would meet again and again.
_RANDOM = SystemRandom()


def pauses(lease_seconds: float) -> Iterator[float]:
    """Yield the seconds before each retry, without end: with jitter, growing to a tenth of the lease."""
    yield from _growing(lease_seconds / 100, lease_seconds / 10)


def conflict_pauses() -> Iterator[float]:
    """Yield the seconds before each retry of a write that met another one: milliseconds, a second at most."""
    yield from _growing(0.01, 1.0)


def _growing(pause: float, longest: float) -> Iterator[float]:
    while True:
        yield _RANDOM.uniform(pause / 2, pause)
        pause = min(pause * 2, longest)
