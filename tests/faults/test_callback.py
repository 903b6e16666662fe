"""`completion: callback`: whoever changes a run's fate wakes its execution; the poll is the safety net, and slow."""

import signal
from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest

from runtime.journal.vocabulary import Status
from tests.support.fault_proxy import Call, failed
from tests.support.faulty_cloud import CALLBACK, FaultyCloud, faulty_cloud, release_delay
from tests.support.http_server import Reply
from tests.support.killing import kill_at_random_moments
from tests.support.stopwatch import shortest

RELEASED = timedelta(seconds=1)
# Far from the next poll, and from what a busy machine adds to a second.
AT_ONCE = timedelta(seconds=4)
SEED = 20261122


@pytest.fixture(scope="module")
def woken() -> Iterator[FaultyCloud]:
    """A cloud whose executions wait to be woken, and otherwise look every ten seconds."""
    with faulty_cloud(config=CALLBACK) as cloud:
        yield cloud


def test_an_environment_is_gone_within_a_second_of_the_outcome(woken: FaultyCloud) -> None:
    assert shortest(lambda: release_delay(woken), RELEASED) < RELEASED


def test_a_run_that_ends_wakes_its_execution(woken: FaultyCloud) -> None:
    story = woken.story(woken.start()).check_completed()
    assert _stopped_at(woken, story.session_id) - story.ending.created_at < AT_ONCE


def test_an_end_that_comes_before_the_execution_waits_is_not_missed(woken: FaultyCloud) -> None:
    session_id = woken.new_session_id()

    def acknowledged_late(call: Call) -> Reply | None:
        if call.operation != "InvokeAgentRuntime" or not call.mentions(session_id):
            return None
        acknowledgement = woken.agentcore.forward(call)
        woken.wait_for(session_id, Status.AGENT_BACKGROUND_TASK_COMPLETED)
        return acknowledgement

    with woken.agentcore.rule(acknowledged_late):
        woken.start(session_id)
        story = woken.story(session_id).check_completed()
    (acknowledged,) = story.of(Status.AGENT_INVOCATION_SUCCEEDED)
    assert acknowledged.created_at > story.ending.created_at
    assert _stopped_at(woken, session_id) - acknowledged.created_at < AT_ONCE


def test_an_environment_that_has_to_go_wakes_its_execution(woken: FaultyCloud) -> None:
    session_id = woken.new_session_id()
    with woken.model.held(session_id) as hold:
        woken.start(session_id)
        hold.wait_for_call()
        woken.wait_until_wakeable(session_id)
        woken.signal(session_id, signal.SIGTERM)
        lost = woken.wait_for(session_id, Status.AGENT_BACKGROUND_TASK_LOST)
    story = woken.story(session_id).check_completed()
    (release,) = [event for event in story.events if event.detail and "released" in event.detail]
    assert lost.created_at - release.created_at < AT_ONCE


def test_a_cancel_wakes_the_execution(woken: FaultyCloud) -> None:
    session_id = woken.new_session_id()
    with woken.model.held(session_id) as hold:
        woken.start(session_id)
        hold.wait_for_call()
        woken.cloud.runbook.cancel(session_id, "no longer needed")
        story = woken.story(session_id).check()
    assert story.ending.status == Status.SESSION_CANCELLED
    assert _stopped_at(woken, session_id) - story.ending.created_at < AT_ONCE


@pytest.mark.soak
def test_a_wake_up_that_gets_lost_costs_the_time_until_the_next_poll(woken: FaultyCloud) -> None:
    lost: list[Call] = []

    def not_sent(call: Call) -> Reply | None:
        if call.operation != "SendTaskSuccess":
            return None
        lost.append(call)
        return failed(call)

    with woken.aws.rule(not_sent):
        session_id = woken.start()
        story = woken.story(session_id).check_completed()
    assert lost
    late = _stopped_at(woken, session_id) - story.ending.created_at
    assert AT_ONCE < late < timedelta(seconds=woken.poll_seconds + 5)


@pytest.mark.soak
@pytest.mark.timeout(600)
def test_runs_that_wait_to_be_woken_survive_random_kills(woken: FaultyCloud) -> None:
    killed = kill_at_random_moments(woken, 20, SEED)
    for kills, story in killed:
        story.check_completed()
        assert len(story.of(Status.AGENT_BACKGROUND_TASK_LOST)) <= kills, story


def _stopped_at(woken: FaultyCloud, session_id: str) -> datetime:
    return woken.execution(session_id)()["stopDate"]
