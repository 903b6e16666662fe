"""A process that was given up and goes on: it writes nothing once its successor has begun."""

import signal

from runtime.journal.vocabulary import Status
from tests.support.faulty_cloud import FaultyCloud
from tests.support.own_agent import OwnAgent, first_attempt_by, handled_by, outlived_by
from tests.support.run_story import RunStory
from tests.support.scenarios import Stories, scenario


@scenario
def frozen_past_its_lease(faulty: FaultyCloud) -> RunStory:
    """It goes on, with the model's answer in its hands, while its successor is at work."""
    session_id = faulty.new_session_id()
    with (
        OwnAgent(faulty) as zombie,
        OwnAgent(faulty) as successor,
        faulty.agentcore.rule(first_attempt_by(zombie, successor, session_id)),
        faulty.model.held(session_id) as hold,
    ):
        faulty.start(session_id)
        hold.wait_for_call()
        zombie.freeze()
        hold.wait_for_call(2)
        zombie.thaw()
        hold.release()
        return outlived_by(zombie, faulty, session_id)


@scenario
def superseded_without_knowing(faulty: FaultyCloud) -> RunStory:
    """Its own clock gives it ten minutes: only the table can tell it that another attempt has begun."""
    session_id = faulty.new_session_id()
    with (
        OwnAgent(faulty, LEASE_SECONDS="600") as unaware,
        OwnAgent(faulty) as successor,
        faulty.agentcore.rule(handled_by(session_id, lambda _, payload: unaware.invoke(session_id, payload))),
        faulty.model.held(session_id) as hold,
    ):
        faulty.start(session_id)
        hold.wait_for_call()
        successor.begin_second_attempt(session_id, {"prompt": session_id})
        hold.wait_for_call(2)
        hold.release()
        return outlived_by(unaware, faulty, session_id)


@scenario
def frozen_in_its_environment(faulty: FaultyCloud) -> RunStory:
    """The data plane takes it for alive, and would hand it its own successor's invocation."""
    return faulty.signalled_in_a_step(signal.SIGSTOP)


def test_a_frozen_environment_is_stopped_before_the_next_attempt_starts(story_of: Stories) -> None:
    story = story_of(frozen_in_its_environment).check_completed()
    first, second = story.of(Status.AGENT_BACKGROUND_TASK_STARTED)
    assert first.environment_id != second.environment_id


def test_a_process_that_wakes_up_after_its_lease_writes_nothing(story_of: Stories) -> None:
    story = story_of(frozen_past_its_lease).check_completed()
    first, second = story.of(Status.AGENT_BACKGROUND_TASK_STARTED)
    assert first.environment_id != second.environment_id
    assert (story.ending.attempt, story.ending.environment_id) == (2, second.environment_id)


def test_the_table_refuses_an_attempt_that_has_a_successor(story_of: Stories) -> None:
    story = story_of(superseded_without_knowing)
    begun = story.of(Status.AGENT_BACKGROUND_TASK_STARTED)
    assert [event.attempt for event in begun] == [1, 2]
    after = [event for event in story.events if event.created_at > begun[1].created_at and event.environment_id]
    assert {event.environment_id for event in after} == {begun[1].environment_id}
    assert story.ending.status == Status.AGENT_BACKGROUND_TASK_COMPLETED
