"""`completion: callback`: whoever changes a run's fate wakes its execution; the poll is the safety net, and slow.

That an environment which has to go does so as well, `test_shutdown_signal.py` shows.
"""

from datetime import datetime, timedelta

import pytest

from runtime.journal.vocabulary import Status
from tests.support.fault_proxy import Call, failed
from tests.support.faulty_cloud import FaultyCloud, release_delay
from tests.support.http_server import Reply
from tests.support.scenarios import Stories
from tests.support.stopwatch import shortest

RELEASED = timedelta(seconds=1)
# Far from the next poll, and from what a busy machine adds to a second.
AT_ONCE = timedelta(seconds=4)
pytestmark = pytest.mark.parametrize("faulty", ["callback"], indirect=True)


@pytest.fixture(autouse=True)
def quiet(story_of: Stories) -> None:
    """Wait for what else happens in this cloud: what is measured here is not how busy it is."""
    story_of.wait_for_all()


def test_an_environment_is_gone_within_a_second_of_the_outcome(faulty: FaultyCloud) -> None:
    assert shortest(lambda: release_delay(faulty), RELEASED) < RELEASED


def test_a_run_that_ends_wakes_its_execution(faulty: FaultyCloud) -> None:
    story = faulty.story(faulty.start()).check_completed()
    assert _stopped_at(faulty, story.session_id) - story.ending.created_at < AT_ONCE


def test_an_end_that_comes_before_the_execution_waits_is_not_missed(faulty: FaultyCloud) -> None:
    session_id = faulty.new_session_id()

    def acknowledged_late(call: Call) -> Reply | None:
        if call.operation != "InvokeAgentRuntime" or not call.mentions(session_id):
            return None
        acknowledgement = faulty.agentcore.forward(call)
        faulty.wait_for(session_id, Status.AGENT_BACKGROUND_TASK_COMPLETED)
        return acknowledgement

    with faulty.agentcore.rule(acknowledged_late):
        faulty.start(session_id)
        story = faulty.story(session_id).check_completed()
    (acknowledged,) = story.of(Status.AGENT_INVOCATION_SUCCEEDED)
    assert acknowledged.created_at > story.ending.created_at
    assert _stopped_at(faulty, session_id) - acknowledged.created_at < AT_ONCE


def test_a_cancel_wakes_the_execution(faulty: FaultyCloud) -> None:
    session_id = faulty.new_session_id()
    with faulty.model.held(session_id) as hold:
        faulty.start(session_id)
        hold.wait_for_call()
        faulty.cloud.runbook.cancel(session_id, "no longer needed")
        story = faulty.story(session_id).check()
    assert story.ending.status == Status.SESSION_CANCELLED
    assert _stopped_at(faulty, session_id) - story.ending.created_at < AT_ONCE


@pytest.mark.soak
def test_a_wake_up_that_gets_lost_costs_the_time_until_the_next_poll(faulty: FaultyCloud) -> None:
    lost: list[Call] = []

    def not_sent(call: Call) -> Reply | None:
        if call.operation != "SendTaskSuccess":
            return None
        lost.append(call)
        return failed(call)

    with faulty.aws.rule(not_sent):
        session_id = faulty.start()
        story = faulty.story(session_id).check_completed()
    assert lost
    late = _stopped_at(faulty, session_id) - story.ending.created_at
    assert AT_ONCE < late < timedelta(seconds=faulty.poll_seconds + 5)


def _stopped_at(faulty: FaultyCloud, session_id: str) -> datetime:
    return faulty.execution(session_id)()["stopDate"]
