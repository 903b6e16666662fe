"""Ten turns with tools, in processes that are killed at random moments: what was stored is never done again."""

import json
import random
import threading
from functools import partial
from typing import Any

import pytest

from runtime.journal.vocabulary import Status
from tests.support.clerk_office import check_taken_up, claimed, office, said, turns_of
from tests.support.faulty_cloud import FaultyCloud
from tests.support.paced_model import Answer
from tests.support.run_story import RunStory
from tests.support.scenarios import Stories, scenario
from tests.support.waiting import wait_until

SEED = 20261124
RUNS = 10
"""Of one process, which is at another moment of each when it is killed."""
KILLS = 2
LONGEST_SECONDS = 0.5
LOOK_SECONDS = 0.1
TURNS: tuple[Answer, ...] = (
    [("look_up", {"what": "a"})],
    [("look_up", {"what": "b"}), ("look_up", {"what": "c"})],
    [("send_mail", {"to": "ann"})],
    [("picture", {})],
    [("look_up", {"what": "d"})],
    [("send_mail", {"to": "bob"}), ("look_up", {"what": "e"})],
    [("progress", {"text": "half of it"})],
    [("look_up", {"what": "f" * 4096})],
    [("send_mail", {"to": "eve"})],
    "All done.",
)
MAILS = ("ann", "bob", "eve")
Killed = list[tuple[RunStory, list[str]]]
"""Runs, and to whom each has sent mails."""


def killed_at_random_moments(faulty: FaultyCloud, seed: int, kills: int) -> Killed:
    """Start runs in one process, kill it, and the one that takes them up, and see them end."""
    dice = random.Random(seed)
    runs = [faulty.new_session_id() for _ in range(RUNS)]
    with office(faulty) as clerks:
        for session_id in runs:
            faulty.model.play(*TURNS, to=session_id)
            clerks.serve(session_id)
            faulty.start(session_id)
        for kill in range(1, kills + 1):
            successor = clerks.hired()
            watched, turns = dice.choice(runs), dice.randint(1, 2 * len(TURNS) - 3)
            wait_until(partial(_has_come, faulty, watched, kill, turns), f"turn {turns} of {watched}", 60, LOOK_SECONDS)
            threading.Event().wait(dice.uniform(0, LONGEST_SECONDS))
            clerks.replace(successor)
        return [(story, clerks.mails(story.session_id)) for story in faulty.stories(runs, 120)]


@scenario
def killed_at_a_few_moments(faulty: FaultyCloud) -> Killed:
    return killed_at_random_moments(faulty, SEED, KILLS)


@scenario
def undisturbed(faulty: FaultyCloud) -> RunStory:
    session_id = faulty.new_session_id()
    faulty.model.play(*TURNS, to=session_id)
    with office(faulty) as clerks:
        clerks.serve(session_id)
        faulty.start(session_id)
        return faulty.story(session_id)


def test_steps_that_are_killed_at_random_moments_lose_nothing_that_was_stored(
    faulty: FaultyCloud, story_of: Stories
) -> None:
    check_nothing_is_lost(faulty, story_of(undisturbed), story_of(killed_at_a_few_moments))


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_a_hundred_steps_that_are_killed_at_random_moments_lose_nothing_that_was_stored(
    faulty: FaultyCloud, story_of: Stories
) -> None:
    story_of.wait_for_all()
    for batch in range(10):
        check_nothing_is_lost(faulty, story_of(undisturbed), killed_at_random_moments(faulty, SEED + batch, KILLS))


def check_nothing_is_lost(faulty: FaultyCloud, whole: RunStory, killed: Killed) -> None:
    """Check runs that were killed against one that was not."""
    expected = in_words(faulty, whole.check_completed())
    losses = 0
    for story, mails in killed:
        check_taken_up(faulty, story.check_completed(), answers=len(TURNS))
        losses += len(story.of(Status.AGENT_BACKGROUND_TASK_LOST))
        # What a process was killed in the middle of was not begun again; the model was told, and all else is as ever.
        unknown = claimed(story).count("unknown")
        assert sorted({*mails}) == sorted(mails), (mails, story)
        assert len(mails) >= len(MAILS) - unknown, (mails, story)
        found = in_words(faulty, story)
        differing = [at for at, (ours, theirs) in enumerate(zip(found, expected, strict=True)) if ours != theirs]
        assert len(differing) <= unknown, (found, story)
        assert len(turns_of(story, "tools")) <= len(TURNS) - 1, story
    assert losses >= len(killed) / 2


def in_words(faulty: FaultyCloud, story: RunStory) -> list[str]:
    """Return each message of a run's step, without the run's own id."""
    messages: list[Any] = said(faulty, story.session_id)
    return [json.dumps(message).replace(story.session_id, "") for message in messages]


def _has_come(faulty: FaultyCloud, session_id: str, attempt: int, turns: int) -> bool:
    """Whether an attempt, or those after it, have journalled so many turns, or the step has none left."""
    found = faulty.events(session_id, "TASK_ANALYST_TURN", "TASK_ANALYST_COMPLETED", "TASK_ANALYST_SKIPPED")
    return len([event for event in found if (event.attempt or 0) >= attempt]) >= turns or any(
        not event.status.endswith("TURN") for event in found
    )
