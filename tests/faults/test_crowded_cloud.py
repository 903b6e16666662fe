"""More runs than environments: each waits for its place, says so in the journal, and leaves no more than it must."""

import os
import time
from collections.abc import Generator, Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import timedelta

import psutil
import pytest

from components.workflow_budget import tries_for
from local.agentcore.environments.settings import DataPlaneSettings
from local.cloud import EmbeddedCloud
from runbook import connect_embedded
from runtime.journal.vocabulary import Status
from tests.support.fault_proxy import Call, throttled
from tests.support.faulty_cloud import FaultyCloud, emulator_process, faulty_cloud, release_delay
from tests.support.http_server import Reply
from tests.support.run_story import RunStory
from tests.support.running_cloud import RunningCloud
from tests.support.stopwatch import shortest

PLACES = 4
CROWD = 2 * PLACES
RELEASED = timedelta(seconds=1)
# Nobody is lost here: what a busy machine is short of is time.
UNHURRIED = {"leaseSeconds": 60, "maxRunSeconds": 1800}
INVOKE_RETRY_SECONDS = 600
# Of what Step Functions would wait between tries and polls: without it, most of a test's time is waiting.
WAIT_SCALE = 0.1
NO_WAIT = 0.001
# The emulator keeps all of every execution's history; the rest is what a process grows by once.
MAX_GROWTH_BYTES_PER_RUN = 1_000_000
MAX_GROWTH_BYTES_ONCE = 30_000_000
# Sixteen functions, eight agents and a spare, the emulator, and this process.
MAX_BYTES_OF_A_BURST = 3_000_000_000


@pytest.fixture(scope="module")
def crowded() -> Iterator[FaultyCloud]:
    """A cloud with few places. Its state machine waits a tenth of what it would."""
    with _crowded_cloud(INVOKE_RETRY_SECONDS) as cloud:
        yield cloud


@contextmanager
def _crowded_cloud(invoke_retry_seconds: int) -> Generator[FaultyCloud]:
    data_plane = DataPlaneSettings(max_environments=PLACES, queue_seconds=0, stop_grace_seconds=1.5)
    with faulty_cloud(config=UNHURRIED | {"invokeRetrySeconds": invoke_retry_seconds}, data_plane=data_plane) as cloud:
        cloud.cloud.scale_waits(WAIT_SCALE)
        yield cloud


def test_a_run_without_a_place_tries_until_one_is_free_or_it_is_cancelled(crowded: FaultyCloud) -> None:
    with ExitStack() as holds:
        sitting = [crowded.new_session_id() for _ in range(PLACES)]
        held = [holds.enter_context(crowded.model.held(session_id)) for session_id in sitting]
        for session_id in sitting:
            crowded.start(session_id)
        for hold in held:
            hold.wait_for_call()
        waiting = crowded.start()
        crowded.wait_for(waiting, Status.AGENT_INVOCATION_FAILED, count=3)
        cancelled = _cancelled_while_it_waits(crowded)
        held[0].release()
        story = crowded.story(waiting).check_completed()
    crowded.stories(sitting, 60)
    failures = story.of(Status.AGENT_INVOCATION_FAILED)
    assert {event.error_type for event in failures} == {"AgentThrottled"}
    assert "Maximum number of active sessions reached" in str(failures[0].error_message)
    assert len(story.of(Status.AGENT_INVOCATION_STARTED)) == len(failures) + 1
    assert {event.attempt for event in story.events} == {None, 1}
    assert cancelled.ending.status == Status.SESSION_CANCELLED
    assert cancelled.execution == "FAILED"
    assert not cancelled.of(Status.AGENT_INVOCATION_SUCCEEDED)


def test_a_run_that_never_gets_a_place_journals_every_try_and_is_closed_as_failed(crowded: FaultyCloud) -> None:
    session_id, calls = crowded.new_session_id(), list[Call]()

    def no_place(call: Call) -> Reply | None:
        if call.operation != "InvokeAgentRuntime" or not call.mentions(session_id):
            return None
        calls.append(call)
        return throttled(call)

    crowded.cloud.scale_waits(NO_WAIT)
    try:
        with crowded.agentcore.rule(no_place):
            crowded.start(session_id)
            story = crowded.story(session_id).check()
    finally:
        crowded.cloud.scale_waits(WAIT_SCALE)
    assert (story.ending.status, story.ending.error_type) == (Status.SESSION_FAILED, "AgentThrottled")
    assert "ThrottlingException" in str(story.ending.error_message)
    assert story.execution == "FAILED"
    tries = tries_for(INVOKE_RETRY_SECONDS) + 1
    assert len(story.of(Status.AGENT_INVOCATION_STARTED)) == len(calls) == tries
    assert len(story.of(Status.AGENT_INVOCATION_FAILED)) == tries


def test_an_environment_is_gone_and_its_place_free_within_a_second_of_the_outcome(crowded: FaultyCloud) -> None:
    # The poll comes a tenth of a second after the one before: what is measured is release, not patience.
    assert shortest(lambda: release_delay(crowded), RELEASED) < RELEASED


def test_runs_that_come_all_at_once_all_complete_in_bounded_memory(crowded: FaultyCloud) -> None:
    _check_many_runs(crowded, CROWD, seconds=100)


@pytest.mark.soak
@pytest.mark.timeout(900)
def test_two_hundred_runs_that_come_all_at_once_all_complete_in_bounded_memory() -> None:
    with _crowded_cloud(invoke_retry_seconds=3600) as cloud:
        _check_many_runs(cloud, 200, seconds=800)


def test_where_sessions_queue_a_crowd_is_not_turned_away() -> None:
    places = DataPlaneSettings(max_environments=PLACES, stop_grace_seconds=1.5)
    with faulty_cloud(config=UNHURRIED, data_plane=places) as cloud:
        for story in cloud.stories(_triggered(cloud.cloud, CROWD), seconds=100):
            assert not story.check_completed().of(Status.AGENT_INVOCATION_FAILED)


@pytest.mark.soak
@pytest.mark.timeout(1200)
def test_a_burst_of_three_hundred_completes_on_a_laptop_in_bounded_memory() -> None:
    with EmbeddedCloud() as parts:
        cloud, most, limit = RunningCloud(parts, connect_embedded(parts.stack)), 0, time.monotonic() + 1100
        waiting = _triggered(cloud, 300)
        while waiting and time.monotonic() < limit:
            session_id = waiting[0]
            if cloud.runbook.outcome(session_id) and cloud.runbook.execution(session_id).status != "RUNNING":
                waiting.pop(0)
                statuses = cloud.statuses(session_id)
                assert statuses[-1] == Status.AGENT_BACKGROUND_TASK_COMPLETED
                # A place that takes longer than the queue allows, on a slow machine, is no back-off upon back-off yet.
                assert statuses.count(Status.AGENT_INVOCATION_FAILED) <= 2
            else:
                most = max(most, _bytes_of_all_processes())
                time.sleep(1)
        assert waiting == []
    assert most < MAX_BYTES_OF_A_BURST


def _triggered(cloud: RunningCloud, runs: int) -> list[str]:
    return list(cloud.runbook.trigger_many(f"crowd {number}" for number in range(runs)))


def _bytes_of_all_processes() -> int:
    total, me = 0, psutil.Process()
    for process in (me, *me.children(recursive=True)):
        with suppress(psutil.Error):
            total += process.memory_info().rss
    return total


def _check_many_runs(crowded: FaultyCloud, runs: int, seconds: float) -> None:
    before = _memory_bytes(crowded)
    began = time.monotonic()
    session_ids = crowded.cloud.runbook.trigger_many(f"crowd {number}" for number in range(runs))
    most = 0
    stories = list[RunStory]()
    for session_id in session_ids:
        stories.append(crowded.story(session_id, seconds - (time.monotonic() - began)).check_completed())
        most = max(most, len(_places(crowded)))
    assert most <= PLACES
    grown = {who: after - before[who] for who, after in _memory_bytes(crowded).items()}
    assert max(grown.values()) < MAX_GROWTH_BYTES_ONCE + runs * MAX_GROWTH_BYTES_PER_RUN, grown


def _cancelled_while_it_waits(crowded: FaultyCloud) -> RunStory:
    session_id = crowded.start()
    crowded.wait_for(session_id, Status.AGENT_INVOCATION_FAILED)
    crowded.cloud.runbook.cancel(session_id, "no longer needed")
    return crowded.story(session_id).check()


def _places(crowded: FaultyCloud) -> list[str]:
    """The sessions that have an environment."""
    records = crowded.cloud.parts.data_plane.environments()
    return [found.session_id for found in records if found.session_id]


def _memory_bytes(crowded: FaultyCloud) -> dict[str, int]:
    """What the emulator and this process, in which data plane and proxies run, have in memory."""
    processes = {"emulator": emulator_process(crowded.cloud), "data plane": psutil.Process(os.getpid())}
    return {name: process.memory_info().rss for name, process in processes.items()}
