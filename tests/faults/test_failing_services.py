"""A fifth of all calls fails, is throttled, or is done and loses its answer: every run ends, and ends once."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest

from runtime.journal.vocabulary import Status
from tests.support.fault_proxy import sometimes
from tests.support.faulty_cloud import FaultyCloud
from tests.support.run_story import RunStory
from tests.support.scenarios import Stories

SHARE = 0.2
SEED = 20261122
AT_THE_SAME_TIME = 4
MAX_SECONDS = 120


@pytest.mark.timeout(900)
@pytest.mark.parametrize("runs", [8, pytest.param(50, marks=pytest.mark.soak)])
def test_runs_of_which_every_fifth_call_fails_all_end_once(faulty: FaultyCloud, story_of: Stories, runs: int) -> None:
    story_of.wait_for_all()
    with ExitStack() as faults, ThreadPoolExecutor(AT_THE_SAME_TIME) as threads:
        for number, proxy in enumerate((faulty.aws, faulty.agentcore)):
            faults.enter_context(proxy.rule(sometimes(proxy, SHARE, SEED + number)))
        stories = [run.result() for run in [threads.submit(_one_run, faulty) for _ in range(runs)]]
    for story in stories:
        story.check()
    completed = [story for story in stories if story.ending.status == Status.AGENT_BACKGROUND_TASK_COMPLETED]
    assert len(completed) > runs / 2


def _one_run(faulty: FaultyCloud) -> RunStory:
    return faulty.story(faulty.start(), MAX_SECONDS)
