"""Environments that die without a word: their runs go on, from the steps that are finished, and end once."""

import signal
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from runtime.journal.vocabulary import Status
from tests.support.faulty_cloud import FaultyCloud
from tests.support.killing import kills_at_random_moments
from tests.support.own_agent import OwnAgent, first_attempt_by
from tests.support.run_story import RunStory
from tests.support.scenarios import AT_THE_SAME_TIME, Stories, scenario

SEED = 20261122
AT_REPORTER = "# What the analyst wrote"
# For a look, and for a poll on a busy machine.
LOOK_SECONDS = 3
BUSY_SECONDS = 9
KILLED = [scenario(kill) for kill in kills_at_random_moments(10, SEED)]


@scenario
def killed_in_the_second_step(faulty: FaultyCloud) -> RunStory:
    return faulty.signalled_in_a_step(signal.SIGKILL, AT_REPORTER)


@scenario
def dead_before_it_begins(faulty: FaultyCloud) -> RunStory:
    """It acknowledges, and then its background task can't even be set up."""
    session_id = faulty.new_session_id()
    with (
        OwnAgent(faulty, AWS_PROFILE="missing") as broken,
        OwnAgent(faulty) as healthy,
        faulty.agentcore.rule(first_attempt_by(broken, healthy, session_id)),
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
        "TASK_ANALYST_TURN",
        "TASK_ANALYST_COMPLETED",
        "TASK_REPORTER_STARTED",
        "TASK_ANALYST_SKIPPED",
        "TASK_REPORTER_STARTED",
        "TASK_REPORTER_TURN",
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


def test_a_killed_environments_run_is_going_again_after_its_lease_and_a_poll(
    faulty: FaultyCloud, story_of: Stories
) -> None:
    story = story_of(killed_in_the_second_step)
    (lost,) = story.of(Status.AGENT_BACKGROUND_TASK_LOST)
    last_lease = max(
        event.lease_expires_at
        for event in story.events
        if event.created_at < lost.created_at and event.lease_expires_at
    )
    assert lost.created_at - last_lease < timedelta(seconds=faulty.poll_seconds + LOOK_SECONDS)
    # No pause after that: how long an environment takes to start is the machine's.
    after = [event for event in story.events if event.created_at > lost.created_at]
    assert (after[0].status, after[0].attempt) == (Status.AGENT_INVOCATION_STARTED, 2)
    assert after[0].created_at - lost.created_at < timedelta(seconds=LOOK_SECONDS)


def test_runs_whose_environments_are_killed_at_random_moments_complete_once(
    faulty: FaultyCloud, story_of: Stories
) -> None:
    _check_killed(faulty, [story_of(killed) for killed in KILLED])


@pytest.mark.soak
@pytest.mark.timeout(900)
def test_a_hundred_runs_whose_environments_are_killed_at_random_moments_complete_once(faulty: FaultyCloud) -> None:
    with ThreadPoolExecutor(AT_THE_SAME_TIME) as threads:
        _check_killed(
            faulty,
            [run.result() for run in [threads.submit(kill, faulty) for kill in kills_at_random_moments(100, SEED)]],
        )


def _check_killed(faulty: FaultyCloud, killed: list[tuple[int, RunStory]]) -> None:
    for kills, story in killed:
        story.check_completed()
        assert len(story.of(Status.AGENT_BACKGROUND_TASK_LOST)) <= kills, story
        for step in ("analyst", "reporter"):
            calls = faulty.model.steps_of(story.session_id).count(step)
            assert 1 <= calls <= len(story.of(f"TASK_{step.upper()}_STARTED")), story
    assert sum(kills for kills, _ in killed) >= len(killed) / 2
