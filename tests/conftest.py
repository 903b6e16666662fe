"""The embedded cloud that all tests share: started once, when the first test asks for it."""

from collections.abc import Iterator

import pytest

from tests.support.fake_model import FakeModel
from tests.support.running_cloud import RunningCloud, running_cloud


@pytest.fixture(scope="session")
def model() -> Iterator[FakeModel]:
    """The model that answers the shared cloud's agents; without scripted replies it answers like the emulator."""
    with FakeModel() as server:
        yield server


@pytest.fixture(scope="session")
def cloud(model: FakeModel) -> Iterator[RunningCloud]:
    """A running embedded cloud with short intervals. Runs are apart by their session ids; change nothing else."""
    with running_cloud(model_url=model.url) as running:
        yield running
