"""Clocks that are wrong by minutes: a run takes the same way, and its end is found whatever times its events carry."""

import json
from collections.abc import Callable
from datetime import timedelta

import pytest

from runtime.journal.timestamps import from_timestamp, to_timestamp, utc_now
from runtime.journal.vocabulary import Status
from runtime.journal.writer import JournalWriter
from tests.support.faulty_cloud import LEASE_SECONDS, FaultyCloud
from tests.support.own_agent import OwnAgent, handled_by
from tests.support.run_story import RunStory
from tests.support.scenarios import Scenario, Stories, scenario

MINUTES = timedelta(minutes=5)
# More than the state machine looks at.
MANY_EVENTS = 31


def _works_with_a_clock_that_is_off_by(off: timedelta) -> Callable[[FaultyCloud], RunStory]:
    """A run of an agent whose clock is that far from the invoker's, and which works for more than a lease."""

    def play(faulty: FaultyCloud) -> RunStory:
        session_id = faulty.new_session_id()

        def answer(job: dict[str, str], _: bytes) -> object:
            # For the agent it is the same whose clock is off.
            told = job | {"now": to_timestamp(from_timestamp(job["now"]) - off)}
            return agent.invoke(session_id, json.dumps(told).encode())

        with (
            OwnAgent(faulty) as agent,
            faulty.agentcore.rule(handled_by(session_id, answer)),  # pyrefly: ignore[bad-argument-type]
            faulty.model.held(session_id) as hold,
        ):
            faulty.start(session_id)
            hold.wait_for_call()
            faulty.wait_for(session_id, Status.AGENT_BACKGROUND_TASK_HEARTBEAT, count=2 * 4)
            hold.release()
            return faulty.story(session_id)

    return play


ahead: Scenario[RunStory] = scenario(_works_with_a_clock_that_is_off_by(MINUTES))
behind: Scenario[RunStory] = scenario(_works_with_a_clock_that_is_off_by(-MINUTES))


@pytest.mark.parametrize("play", [ahead, behind], ids=["ahead", "behind"])
def test_a_healthy_agent_is_never_taken_for_lost_whatever_its_clock_says(
    play: Scenario[RunStory], story_of: Stories
) -> None:
    # Not `check_completed`, which takes the journal's order for what happened.
    story = story_of(play)
    assert (story.ending.status, story.execution) == (Status.AGENT_BACKGROUND_TASK_COMPLETED, "SUCCEEDED")
    assert story.of(Status.AGENT_BACKGROUND_TASK_LOST) == []
    assert len(story.of(Status.AGENT_BACKGROUND_TASK_STARTED)) == 1
    assert story.ending.created_at - story.of(Status.AGENT_BACKGROUND_TASK_STARTED)[0].created_at > timedelta(
        seconds=LEASE_SECONDS
    )


@scenario
def cancelled_by_a_slow_clock(faulty: FaultyCloud) -> RunStory:
    session_id = faulty.new_session_id()
    table = faulty.cloud.output("journalTableName")
    with faulty.model.held(session_id) as hold:
        faulty.start(session_id)
        hold.wait_for_call()
        writer = JournalWriter(faulty.cloud.client("dynamodb"), table, ttl_days=1)
        for _ in range(MANY_EVENTS):
            writer.append(writer.stamp(session_id, Status.AGENT_INVOCATION_FAILED))
        slow = JournalWriter(writer._client, table, ttl_days=1, now=lambda: utc_now() - timedelta(seconds=60))
        slow.close(slow.stamp(session_id, Status.SESSION_CANCELLED))
        return faulty.story(session_id)


def test_a_cancel_by_a_machine_whose_clock_is_slow_ends_the_execution(faulty: FaultyCloud, story_of: Stories) -> None:
    story = story_of(cancelled_by_a_slow_clock)
    assert story.ending.status == Status.SESSION_CANCELLED
    assert story.execution == "FAILED"
    assert len(story.events) > MANY_EVENTS
    assert story.statuses.index(Status.SESSION_CANCELLED) < len(story.events) - MANY_EVENTS
    assert faulty.cloud.runbook.execution(story.session_id).state_transitions < 100
