"""An environment that is told to go uses its last second: the next attempt need not wait for the lease."""

import signal
from datetime import timedelta
from typing import Any

from runtime.journal.vocabulary import Status
from tests.support.faulty_cloud import LEASE_SECONDS, FaultyCloud
from tests.support.http_server import Reply
from tests.support.own_agent import OwnAgent, handled_by
from tests.support.run_story import RunStory
from tests.support.scenarios import Stories, scenario

# Until the next poll, and what it takes to get through it on a busy machine.
NEXT_POLL = timedelta(seconds=4)


@scenario
def told_to_go(faulty: FaultyCloud) -> RunStory:
    return faulty.signalled_in_a_step(signal.SIGTERM)


@scenario
def told_to_go_while_the_next_attempt_comes(faulty: FaultyCloud) -> RunStory:
    """An environment that froze gets its own successor, and is told to go right after it has acknowledged."""
    session_id = faulty.new_session_id()
    with faulty.model.held(session_id) as hold, OwnAgent(faulty) as old, OwnAgent(faulty) as new:
        answered: list[int] = []

        def answer(job: dict[str, Any], payload: bytes) -> Reply:
            answered.append(job["attempt"])
            if len(answered) > 2:
                return new.invoke(session_id, payload)
            old.thaw()
            reply = old.invoke(session_id, payload)
            if len(answered) == 2:
                old.terminate()
            return reply

        with faulty.agentcore.rule(handled_by(session_id, answer)):
            faulty.start(session_id)
            hold.wait_for_call()
            old.freeze()
            hold.wait_for_call(2)
            hold.release()
            story = faulty.story(session_id)
    assert answered == [1, 2, 2], story
    return story


def test_an_attempt_that_is_given_back_before_its_claim_is_not_used_up(story_of: Stories) -> None:
    story = story_of(told_to_go_while_the_next_attempt_comes).check_completed()
    (release,) = [event for event in story.events if event.detail and "unclaimed" in event.detail]
    assert (release.status, release.attempt) == (Status.AGENT_BACKGROUND_TASK_HEARTBEAT, 2)
    started = story.of(Status.AGENT_BACKGROUND_TASK_STARTED)
    assert [event.attempt for event in started] == [1, 2]
    assert len({event.environment_id for event in started}) == 2


def test_a_terminated_environment_journals_what_it_was_doing_and_gives_its_lease_back(story_of: Stories) -> None:
    story = story_of(told_to_go).check_completed()
    (release,) = [event for event in story.events if event.detail and "released" in event.detail]
    assert release.status == Status.AGENT_BACKGROUND_TASK_HEARTBEAT
    assert (release.detail or {})["running"] == ["analyst"]
    assert release.lease_expires_at == release.created_at


def test_the_next_attempt_starts_at_the_next_poll_and_not_after_the_lease(story_of: Stories) -> None:
    story = story_of(told_to_go)
    (release,) = [event for event in story.events if event.detail and "released" in event.detail]
    (lost,) = story.of(Status.AGENT_BACKGROUND_TASK_LOST)
    assert lost.created_at - release.created_at < NEXT_POLL < timedelta(seconds=LEASE_SECONDS)
