"""Faults that mostly wait, for a lease to run out for instance, and therefore happen to several runs at the same time.

    @scenario
    def killed(faulty: FaultyCloud) -> RunStory: …

    def test_a_killed_run_is_resumed(story_of: Stories) -> None:
        story = story_of(killed)

Each is bound to runs of its own. All that are known, which is those of the test modules that were collected, are
played when the first of them is asked for: a few at a time, because starting an environment takes a second of
processor time, and those that are at work have leases to keep.
"""

from collections.abc import Callable, Generator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from typing import Any, TypeAlias, TypeVar

from tests.support.faulty_cloud import FaultyCloud

T = TypeVar("T")
Scenario: TypeAlias = Callable[[FaultyCloud], T]
"""Returns what a test wants to know of its run, a `RunStory` mostly."""
# For all of them: one that waits for its turn is not late. Each has its own limits.
SECONDS = 300
# Of each cloud: `make test` plays two at the same time.
AT_THE_SAME_TIME = 4
_known: list[Scenario[Any]] = []


def scenario(function: Scenario[T]) -> Scenario[T]:
    """Have a function played when stories are asked for."""
    _known.append(function)
    return function


class Stories:
    """What became of scenarios. Called with one, it returns its story, or raises what it raised."""

    def __init__(self, playing: Mapping[Scenario[Any], Future[Any]]) -> None:
        self._playing = playing

    def __call__(self, played: Scenario[T]) -> T:
        return self._playing[played].result(SECONDS)

    def wait_for_all(self) -> None:
        """Return when all have ended: what comes next concerns the whole cloud."""
        wait(self._playing.values(), SECONDS)


@contextmanager
def played(faulty: FaultyCloud) -> Generator[Stories]:
    """Play all scenarios, and wait for their end when the block is left."""
    with ThreadPoolExecutor(AT_THE_SAME_TIME) as threads:
        yield Stories({function: threads.submit(function, faulty) for function in _known})
