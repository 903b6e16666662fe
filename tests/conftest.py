"""The embedded cloud that all tests share, started when the first test asks for it, and how tests share processes."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

from tests.support.fake_model import FakeModel
from tests.support.running_cloud import RunningCloud, running_cloud


@pytest.fixture(scope="session")
def model() -> Iterator[FakeModel]:
    """The model that answers the shared cloud's agents; without scripted replies it says a few words."""
    with FakeModel(default_text="A few words.") as server:
        yield server


@pytest.fixture(scope="session")
def cloud(model: FakeModel) -> Iterator[RunningCloud]:
    """A running embedded cloud with short intervals. Runs are apart by their session ids; change nothing else."""
    with running_cloud(model_url=model.url) as running:
        yield running


FAULTS = Path("tests/faults")


class Scheduling(LoadScopeScheduling):
    """Gives files to processes, and all fault tests to one: most of them share a cloud."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return str(FAULTS) if _is_fault(file) else file


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Scheduling:
    """Have `make test`, which has two processes, schedule like that."""
    return Scheduling(config, log)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Give way to the fault tests, which another process runs at the same time: they have leases of seconds to keep."""
    if "PYTEST_XDIST_WORKER" in os.environ and not _is_fault(item.nodeid) and os.nice(0) == 0:
        os.nice(10)


CLOUDS = {"cloud", "emulator"}


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave what asks for an emulator or a whole cloud out of `make unit`, without a mark on each."""
    for item in items:
        if isinstance(item, pytest.Function) and CLOUDS & {*item.fixturenames}:
            item.add_marker(pytest.mark.slow)


def _is_fault(nodeid: str) -> bool:
    return Path(nodeid).is_relative_to(FAULTS)
