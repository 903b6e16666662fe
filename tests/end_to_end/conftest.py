"""The embedded cloud of the end-to-end tests, once for each way in which the end of a run is noticed."""

from collections.abc import Iterator

import pytest

from tests.support.fake_model import FakeModel
from tests.support.running_cloud import RunningCloud, running_cloud


@pytest.fixture(scope="session", params=["poll", "callback"])
def cloud(request: pytest.FixtureRequest, model: FakeModel) -> Iterator[RunningCloud]:
    """A running embedded cloud with short intervals: the one that all tests share, or one whose runs are woken."""
    if request.param == "poll":
        yield request.getfixturevalue("polling_cloud")
        return
    with running_cloud(model_url=model.url, config={"completion": "callback", "callbackPollSeconds": 10}) as running:
        yield running
