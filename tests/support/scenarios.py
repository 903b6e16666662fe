"""Faults that mostly wait, for a lease to run out for instance, and therefore happen to several runs at the same time.

    @scenario
    def killed(faulty: FaultyCloud) -> RunStory: …

    def test_a_killed_run_is_resumed(story_of: Stories) -> None:
        story = story_of(killed)

Each is bound to a run of its own. All that are known, which is those of the test modules that were collected, begin
when the first of them is asked for.
"""

from collections.abc import Callable, Generator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from typing import TypeAlias

from tests.support.faulty_cloud import FaultyCloud
from tests.support.run_story import RunStory

Scenario: TypeAlias = Callable[[FaultyCloud], RunStory]
SECONDS = 100
_known: list[Scenario] = []


def scenario(function: Scenario) -> Scenario:
    """Have a function played when stories are asked for."""
    _known.append(function)
    return function


class Stories:
    """What became of scenarios. Called with one, it returns its story, or raises what it raised."""

    def __init__(self, playing: Mapping[Scenario, Future[RunStory]]) -> None:
        self._playing = playing

    def __call__(self, played: Scenario) -> RunStory:
        return self._playing[played].result(SECONDS)

    def wait_for_all(self) -> None:
        """Return when all have ended: what comes next concerns the whole cloud."""
        wait(self._playing.values(), SECONDS)


@contextmanager
def played(faulty: FaultyCloud) -> Generator[Stories]:
    """Play all scenarios."""
    with ThreadPoolExecutor(max(1, len(_known))) as threads:
        yield Stories({function: threads.submit(function, faulty) for function in _known})
