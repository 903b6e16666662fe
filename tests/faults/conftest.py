"""The embedded cloud that the fault tests share, and the scenarios that are played in it."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.faulty_cloud import CALLBACK, FaultyCloud, faulty_cloud
from tests.support.scenarios import SECONDS, Stories, played

COMPLETIONS: dict[str, dict[str, Any]] = {"poll": {}, "callback": CALLBACK}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let who asks for a story wait until all have been played."""
    for item in items:
        if "story_of" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.timeout(2 * SECONDS), append=False)


@pytest.fixture(scope="session", params=COMPLETIONS)
def faulty(request: pytest.FixtureRequest) -> Iterator[FaultyCloud]:
    """A cloud to break things in, one for each way in which the end of a run is noticed."""
    with faulty_cloud(config=COMPLETIONS[request.param]) as cloud:
        yield cloud


@pytest.fixture(scope="session")
def story_of(faulty: FaultyCloud) -> Iterator[Stories]:
    """What gives the story of a scenario. All scenarios are played at the same time."""
    with played(faulty) as stories:
        yield stories
