"""`maxRunSeconds`: the task ends a run that takes too long, and where it can't, the state machine does."""

import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any

import pytest

from runtime.journal.timestamps import from_timestamp
from runtime.journal.vocabulary import Status
from tests.support.faulty_cloud import LEASE_SECONDS, FaultyCloud
from tests.support.http_server import Reply
from tests.support.own_agent import OwnAgent, handled_by
from tests.support.run_story import RunStory
from tests.support.scenarios import Stories, scenario

RUN_SECONDS = 1
# What it takes to get through a poll on a busy machine.
BUSY_SECONDS = 9


@scenario
def hangs_in_its_model(faulty: FaultyCloud) -> RunStory:
    session_id = faulty.new_session_id()
    with (
        OwnAgent(faulty) as agent,
        faulty.agentcore.rule(handled_by(session_id, _told(agent, session_id, seconds=12))),
        faulty.model.held(session_id),
    ):
        faulty.start(session_id)
        return faulty.story(session_id)


def _is_frozen_with_a_long_lease(faulty: FaultyCloud) -> RunStory:
    session_id = faulty.new_session_id()
    with (
        OwnAgent(faulty, LEASE_SECONDS="600") as agent,
        faulty.agentcore.rule(handled_by(session_id, _told(agent, session_id, seconds=600))),
        faulty.model.held(session_id),
    ):
        faulty.start(session_id)
        faulty.wait_for(session_id, Status.AGENT_BACKGROUND_TASK_STARTED)
        agent.freeze()
        story = faulty.story(session_id)
        faulty.agentcore.wait_for_call("StopRuntimeSession", session_id)
        return story


def _is_lost_past_its_deadline(faulty: FaultyCloud) -> RunStory:
    session_id = faulty.new_session_id()
    with (
        OwnAgent(faulty) as agent,
        faulty.agentcore.rule(handled_by(session_id, _told(agent, session_id, seconds=600))),
        faulty.model.held(session_id) as hold,
    ):
        faulty.start(session_id)
        hold.wait_for_call()
        # Past the deadline, and not yet so far past it that the machine ends the run for that alone.
        threading.Event().wait(RUN_SECONDS)
        agent.terminate()
        return faulty.story(session_id)


def _told(agent: OwnAgent, session_id: str, seconds: float) -> Callable[[dict[str, Any], bytes], Reply]:
    """What lets an agent work, with a deadline that only it is told."""

    def invoke(job: dict[str, Any], _payload: bytes) -> Reply:
        return agent.invoke(session_id, json.dumps(job | {"secondsLeft": seconds}).encode())

    return invoke


@pytest.fixture(scope="module")
def stories(faulty: FaultyCloud, story_of: Stories) -> Iterator[list[RunStory]]:
    """What became of runs that may take no longer than a second, in the order of the two functions above."""
    story_of.wait_for_all()
    runs = (_is_frozen_with_a_long_lease, _is_lost_past_its_deadline)
    with faulty.cloud.function_variables(MAX_RUN_SECONDS=str(RUN_SECONDS)), ThreadPoolExecutor(len(runs)) as threads:
        playing = [threads.submit(run, faulty) for run in runs]
        yield [story.result() for story in playing]


def test_a_hung_model_call_is_cut_at_the_deadline_by_the_task(story_of: Stories) -> None:
    story = story_of(hangs_in_its_model).check()
    assert story.statuses[-2:] == ["TASK_ANALYST_FAILED", "AGENT_BACKGROUND_TASK_FAILED"]
    assert story.statuses.count("TASK_ANALYST_FAILED") == 1
    assert story.ending.error_type == "RunTimedOut"
    assert "step analyst was running" in str(story.ending.error_message)
    assert story.execution == "FAILED"


def test_a_frozen_task_is_ended_by_the_state_machine_a_lease_later(
    faulty: FaultyCloud, stories: list[RunStory]
) -> None:
    story = stories[0].check()
    assert (story.ending.status, story.ending.error_type) == (Status.SESSION_TIMED_OUT, "RunTimedOut")
    late = story.ending.created_at - _deadline(story) - timedelta(seconds=LEASE_SECONDS)
    assert timedelta() < late < timedelta(seconds=faulty.poll_seconds + BUSY_SECONDS)
    assert story.of(Status.AGENT_BACKGROUND_TASK_LOST) == []


def test_a_run_that_is_lost_past_its_deadline_gets_no_other_attempt(stories: list[RunStory]) -> None:
    story = stories[1].check()
    assert (story.ending.status, story.ending.error_type) == (Status.SESSION_TIMED_OUT, "RunTimedOut")
    assert len(story.of(Status.AGENT_BACKGROUND_TASK_STARTED)) == 1


def test_an_execution_of_a_run_that_took_too_long_fails(stories: list[RunStory]) -> None:
    assert [story.execution for story in stories] == ["FAILED"] * 2


def _deadline(story: RunStory) -> datetime:
    detail = story.of(Status.AGENT_INVOCATION_SUCCEEDED)[0].detail or {}
    return from_timestamp(detail["deadline"])
