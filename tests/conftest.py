"""The embedded cloud that all tests share, started when the first test asks for it, and how tests share processes."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling
from xdist.workermanage import WorkerController

from tests.support.fake_model import FakeModel
from tests.support.running_cloud import RunningCloud, running_cloud


@pytest.fixture(scope="session")
def model() -> Iterator[FakeModel]:
    """The model that answers the shared cloud's agents; without scripted replies it says a few words."""
    with FakeModel(default_text="A few words.") as server:
        yield server


@pytest.fixture(scope="session")
def polling_cloud(model: FakeModel) -> Iterator[RunningCloud]:
    """The cloud, under a name that no folder gives parameters to: pytest would start it for each value."""
    with running_cloud(model_url=model.url) as running:
        yield running


@pytest.fixture(scope="session")
def cloud(polling_cloud: RunningCloud) -> RunningCloud:
    """A running embedded cloud with short intervals. Runs are apart by their session ids; change nothing else."""
    return polling_cloud


FAULTS = Path("tests/faults")
# What shares a cloud, the longest first.
TOGETHER = ("faults by callback", "faults by poll", "the shared cloud", "tests/notebooks", "end to end by callback")


class Scheduling(LoadScopeScheduling):
    """Gives files to processes, and all tests that share a cloud to one, as long as there are any such first."""

    def _split_scope(self, nodeid: str) -> str:
        file, by_callback = Path(nodeid.partition("::")[0]), "[callback" in nodeid
        if _is_fault(nodeid):
            return "faults by callback" if by_callback else "faults by poll"
        if file.is_relative_to("tests/end_to_end"):
            return "end to end by callback" if by_callback else "the shared cloud"
        if file.is_relative_to("tests/notebooks"):
            return "tests/notebooks"
        return "the shared cloud" if file.stem.endswith("_on_the_cloud") else str(file)

    def _assign_work_unit(self, node: WorkerController) -> None:
        if longest := next((scope for scope in TOGETHER if scope in self.workqueue), None):
            self.workqueue.move_to_end(longest, last=False)
        super()._assign_work_unit(node)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Scheduling:
    """Have `make test`, which has three processes, schedule like that."""
    return Scheduling(config, log)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Give way to the fault tests, which other processes run at the same time: they have leases of seconds to keep."""
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
