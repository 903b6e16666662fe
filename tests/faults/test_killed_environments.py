"""Environments that die without a word: their runs go on, from the steps that are finished, and end once."""

import random
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial

import pytest

from runtime.journal.timestamps import utc_now
from runtime.journal.vocabulary import TERMINAL, Status
from tests.support.faulty_cloud import LEASE_SECONDS, LOOK_SECONDS, FaultyCloud
from tests.support.own_agent import OwnAgent, handled_by
from tests.support.run_story import RunStory
from tests.support.scenarios import Stories, scenario
from tests.support.waiting import wait_until

SEED = 20261122
AT_THE_SAME_TIME = 10
AT_REPORTER = "# What the analyst wrote"
BACK_SECONDS = 10
PHASES: list[tuple[str, ...]] = [
    (),
    ("AGENT_BACKGROUND_TASK_STARTED",),
    ("TASK_ANALYST_STARTED", "TASK_ANALYST_SKIPPED"),
    ("TASK_ANALYST_COMPLETED", "TASK_ANALYST_SKIPPED"),
    ("TASK_REPORTER_STARTED", "TASK_REPORTER_SKIPPED"),
    ("TASK_REPORTER_COMPLETED", "TASK_REPORTER_SKIPPED"),
]
LONGEST_PHASE_SECONDS = 0.5


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


def test_an_acknowledged_run_whose_task_never_began_is_started_again(story_of: Stories) -> None:
    story = story_of(dead_before_it_begins).check_completed()
    assert [event.attempt for event in story.of(Status.AGENT_BACKGROUND_TASK_STARTED)] == [2]
    (lost,) = story.of(Status.AGENT_BACKGROUND_TASK_LOST)
    # The only lease was the one that came with the invoker's success.
    first = story.of(Status.AGENT_INVOCATION_SUCCEEDED)[0].lease_expires_at
    assert first
    assert timedelta() < lost.created_at - first < timedelta(seconds=5)


def test_a_killed_environments_run_is_going_again_within_ten_seconds(faulty: FaultyCloud) -> None:
    session_id = faulty.new_session_id()
    with faulty.model.held(session_id) as hold:
        faulty.start(session_id)
        hold.wait_for_call()
        killed_at = utc_now()
        assert faulty.signal(session_id, signal.SIGKILL)
        again = faulty.wait_for(session_id, Status.AGENT_BACKGROUND_TASK_STARTED, count=2)
        assert LEASE_SECONDS == 6
        assert again.created_at - killed_at < timedelta(seconds=BACK_SECONDS)
    faulty.story(session_id).check_completed()


@pytest.mark.timeout(900)
@pytest.mark.parametrize("runs", [10, pytest.param(100, marks=pytest.mark.soak)])
def test_runs_whose_environments_are_killed_at_random_moments_complete_once(faulty: FaultyCloud, runs: int) -> None:
    dice = random.Random(SEED)
    plans = [[_moment(dice) for _ in range(dice.choice([1, 1, 2]))] for _ in range(runs)]
    with ThreadPoolExecutor(AT_THE_SAME_TIME) as threads:
        killed = list(threads.map(partial(_killed, faulty), plans))
    for kills, story in killed:
        story.check_completed()
        assert len(story.of(Status.AGENT_BACKGROUND_TASK_LOST)) <= kills, story
        for step in ("analyst", "reporter"):
            calls = faulty.model.steps_of(story.session_id).count(step)
            assert 1 <= calls <= len(story.of(f"TASK_{step.upper()}_STARTED")), story
    assert sum(kills for kills, _ in killed) >= runs / 2


Moment = tuple[tuple[str, ...], float]
"""One of these events, and seconds after it; without any, after the environment was there."""


def _moment(dice: random.Random) -> Moment:
    return dice.choice(PHASES), dice.uniform(0, LONGEST_PHASE_SECONDS)


def _killed(faulty: FaultyCloud, plan: list[Moment]) -> tuple[int, RunStory]:
    """Start a run, kill one environment of it after the other, and see it end."""
    session_id, killed = faulty.start(), set[str | None]()
    for statuses, seconds in plan:
        wait_until(
            lambda statuses=statuses: _has_come(faulty, session_id, statuses, killed), str(statuses), 60, LOOK_SECONDS
        )
        threading.Event().wait(seconds)
        killed.add(faulty.signal(session_id, signal.SIGKILL))
    return len(killed - {None}), faulty.story(session_id)


def _has_come(faulty: FaultyCloud, session_id: str, statuses: tuple[str, ...], killed: set[str | None]) -> bool:
    """Whether the newest environment has come that far, or there will be none."""
    if faulty.events(session_id, *TERMINAL):
        return True
    environment = faulty.environment_of(session_id)
    if environment is None or environment.environment_id in killed:
        return False
    attempts = len(faulty.events(session_id, Status.AGENT_BACKGROUND_TASK_LOST)) + 1
    return not statuses or attempts in {event.attempt for event in faulty.events(session_id, *statuses)}
