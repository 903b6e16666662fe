"""Environments that die without a word: their runs go on, from the steps that are finished, and end once."""

import signal
from datetime import timedelta

import pytest

from runtime.journal.timestamps import utc_now
from runtime.journal.vocabulary import Status
from tests.support.faulty_cloud import LEASE_SECONDS, FaultyCloud
from tests.support.killing import kill_at_random_moments
from tests.support.own_agent import OwnAgent, handled_by
from tests.support.run_story import RunStory
from tests.support.scenarios import Stories, scenario
from tests.support.stopwatch import shortest

SEED = 20261122
AT_REPORTER = "# What the analyst wrote"
# To start an environment, and for a poll on a busy machine.
START_SECONDS = 3
BUSY_SECONDS = 9


@scenario
def killed_in_the_second_step(faulty: FaultyCloud) -> RunStory:
    session_id = faulty.new_session_id()
    with faulty.model.held(session_id, AT_REPORTER) as hold:
        faulty.start(session_id)
        hold.wait_for_call()
        faulty.signal(session_id, signal.SIGKILL)
        hold.wait_for_call(2)
    return faulty.story(session_id)


@scenario
def dead_before_it_begins(faulty: FaultyCloud) -> RunStory:
    """It acknowledges, and then its background task can't even be set up."""
    session_id = faulty.new_session_id()
    with (
        OwnAgent(faulty, AWS_PROFILE="missing") as broken,
        OwnAgent(faulty) as healthy,
        faulty.agentcore.rule(
            handled_by(
                session_id,
                lambda job, payload: (broken if job["attempt"] == 1 else healthy).invoke(session_id, payload),
            )
        ),
    ):
        faulty.start(session_id)
        return faulty.story(session_id)


def test_a_lost_agent_is_in_the_timeline_with_its_lease(story_of: Stories) -> None:
    story = story_of(killed_in_the_second_step).check_completed()
    (lost,) = story.of(Status.AGENT_BACKGROUND_TASK_LOST)
    assert (lost.attempt, lost.error_type) == (1, "AgentLost")
    assert str(lost.error_message).startswith("no sign of life: the lease ran out at 20")


def test_finished_steps_are_skipped_and_their_output_handed_on(faulty: FaultyCloud, story_of: Stories) -> None:
    story = story_of(killed_in_the_second_step)
    assert [status for status in story.statuses if status.startswith("TASK_")] == [
        "TASK_ANALYST_STARTED",
        "TASK_ANALYST_COMPLETED",
        "TASK_REPORTER_STARTED",
        "TASK_ANALYST_SKIPPED",
        "TASK_REPORTER_STARTED",
        "TASK_REPORTER_COMPLETED",
    ]
    assert faulty.model.steps_of(story.session_id) == ["analyst", "reporter", "reporter"]
    assert story.ending.detail
    assert story.ending.detail["tokens"] == {"inputTokens": 22, "outputTokens": 14}


def test_an_acknowledged_run_whose_task_never_began_is_started_again(faulty: FaultyCloud, story_of: Stories) -> None:
    story = story_of(dead_before_it_begins).check_completed()
    assert [event.attempt for event in story.of(Status.AGENT_BACKGROUND_TASK_STARTED)] == [2]
    (lost,) = story.of(Status.AGENT_BACKGROUND_TASK_LOST)
    # The only lease was the one that came with the invoker's success.
    first = story.of(Status.AGENT_INVOCATION_SUCCEEDED)[0].lease_expires_at
    assert first
    assert timedelta() < lost.created_at - first < timedelta(seconds=faulty.poll_seconds + BUSY_SECONDS)


def test_a_killed_environments_run_is_going_again_after_its_lease_and_a_poll(faulty: FaultyCloud) -> None:
    back = timedelta(seconds=LEASE_SECONDS + faulty.poll_seconds + START_SECONDS)
    # With polls every second that is ten seconds.
    assert shortest(lambda: _time_to_go_again(faulty), back) < back


def _time_to_go_again(faulty: FaultyCloud) -> timedelta:
    session_id = faulty.new_session_id()
    with faulty.model.held(session_id) as hold:
        faulty.start(session_id)
        hold.wait_for_call()
        killed_at = utc_now()
        assert faulty.signal(session_id, signal.SIGKILL)
        again = faulty.wait_for(session_id, Status.AGENT_BACKGROUND_TASK_STARTED, count=2)
    faulty.story(session_id).check_completed()
    return again.created_at - killed_at


@pytest.mark.timeout(900)
@pytest.mark.parametrize("runs", [10, pytest.param(100, marks=pytest.mark.soak)])
def test_runs_whose_environments_are_killed_at_random_moments_complete_once(faulty: FaultyCloud, runs: int) -> None:
    killed = kill_at_random_moments(faulty, runs, SEED)
    for kills, story in killed:
        story.check_completed()
        assert len(story.of(Status.AGENT_BACKGROUND_TASK_LOST)) <= kills, story
        for step in ("analyst", "reporter"):
            calls = faulty.model.steps_of(story.session_id).count(step)
            assert 1 <= calls <= len(story.of(f"TASK_{step.upper()}_STARTED")), story
    assert sum(kills for kills, _ in killed) >= runs / 2
