"""Environments that die within a step: it goes on at its newest turn, and no tool runs twice that must not."""

import threading
from typing import Any

from runtime.agent.turns import TurnKind, turn_key
from runtime.journal.vocabulary import Status
from tests.support.clerk_office import (
    STEP,
    check_taken_up,
    claimed,
    office,
    resumed,
    said,
    store_of,
    tokens,
    turns_of,
)
from tests.support.fault_proxy import Call, failed, first, share_of, throttled
from tests.support.faulty_cloud import FaultyCloud
from tests.support.http_server import Reply
from tests.support.run_story import RunStory
from tests.support.scenarios import Stories, scenario
from tests.support.waiting import wait_until

SHARE = 0.2
SEED = 20261124
BUDGET = 50
"""Tokens: two answers fit, a third is beyond it."""


@scenario
def killed_together(faulty: FaultyCloud) -> tuple[dict[str, RunStory], dict[str, list[str]]]:
    """One process works on three runs and is killed; the next one has another prompt."""
    runs = {name: faulty.new_session_id() for name in ("between", "inside", "budget")}
    between, inside, budget = runs.values()
    faulty.model.play(*mailing(between), to=between)
    faulty.model.play([("send_mail", {"to": "ann"})], [("send_mail", {"to": "ann"})], "Unknown.", to=inside)
    faulty.model.play(*[[looked_up(budget, number)] for number in range(9)], to=budget)
    with (
        office(faulty) as clerks,
        faulty.model.held(f"sent to {between}") as third,
        faulty.model.held(f"{budget}-1 is") as another,
    ):
        for session_id in runs.values():
            clerks.serve(session_id)
        with clerks.held_after_a_mail(inside):
            for session_id in runs.values():
                faulty.start(session_id, limits={"tokens": BUDGET} if session_id == budget else None)
            successor = clerks.hired(PROMPT_FILE="reporter.md")
            third.wait_for_call()
            another.wait_for_call()
            clerks.wait_for_mail(inside)
            clerks.replace(successor)
        third.release()
        another.release()
        stories = {name: faulty.story(session_id) for name, session_id in runs.items()}
        return stories, {name: clerks.mails(session_id) for name, session_id in runs.items()}


@scenario
def frozen_while_its_turn_is_on_its_way(faulty: FaultyCloud) -> RunStory:
    """The turn arrives in the bucket when its successor is two turns ahead, which is killed then."""
    session_id, leaves, arrives = faulty.new_session_id(), threading.Event(), threading.Event()
    key = turn_key(session_id, STEP, None, 1, 2, TurnKind.TOOLS)
    faulty.model.play(*[[looked_up(session_id, number)] for number in range(1, 5)], "Done.", to=session_id)

    def late(call: Call) -> Reply | None:
        if call.operation == "PutObject" and call.mentions(key):
            leaves.set()
            arrives.wait(60)
        return None

    with (
        office(faulty) as clerks,
        faulty.aws.rule(late),
        faulty.model.held(f"{session_id}-4 is") as fifth,
    ):
        clerks.serve(session_id)
        faulty.start(session_id)
        zombie, successor = clerks.agent, clerks.hired()
        assert leaves.wait(40)
        zombie.freeze()
        clerks.agent = successor
        fifth.wait_for_call()
        arrives.set()
        wait_until(lambda: key in store_of(faulty).keys(session_id), "the late turn")
        zombie.thaw()
        wait_until(lambda: zombie.ping() == "Healthy", "the end of the attempt that was given up", 20)
        clerks.replace(clerks.hired())
        fifth.release()
        return faulty.story(session_id)


@scenario
def with_a_bucket_that_fails(faulty: FaultyCloud) -> tuple[RunStory, list[str], int]:
    """One turn's put fails more often than its client tries, and the answer to the claim gets lost."""
    session_id, wrong = faulty.new_session_id(), list[Call]()
    faulty.model.play(*mailing(session_id), to=session_id)

    def fault(call: Call) -> Reply:
        wrong.append(call)
        return (throttled, failed, faulty.aws.lost)[len(wrong) % 3](call)

    def is_turn(call: Call) -> bool:
        return call.service == "s3" and call.mentions(session_id)

    def is_result(call: Call) -> bool:
        return call.operation == "PutObject" and call.mentions(turn_key(session_id, STEP, None, 1, 2, TurnKind.TOOLS))

    def is_claim(call: Call) -> bool:
        return call.operation == "TransactWriteItems" and call.mentions(session_id) and call.mentions("TOOL#")

    with (
        office(faulty) as clerks,
        faulty.aws.rule(share_of(SHARE, SEED, fault, is_turn)),
        faulty.aws.rule(first(4, fault, is_result)),
        faulty.aws.rule(first(1, faulty.aws.lost, is_claim)),
    ):
        clerks.serve(session_id)
        faulty.start(session_id)
        return faulty.story(session_id), clerks.mails(session_id), len(wrong)


def test_a_step_that_is_killed_between_two_turns_goes_on_at_the_turn_that_was_stored_last(
    faulty: FaultyCloud, story_of: Stories
) -> None:
    stories, mails = story_of(killed_together)
    story = stories["between"].check_completed()
    check_taken_up(faulty, story, answers=4)
    assert faulty.model.asked(story.session_id) == [1, 2, 3, 3, 4]
    assert claimed(story) == ["claimed"]
    assert mails["between"] == [story.session_id]


def test_a_step_whose_prompt_has_changed_says_so_and_goes_on(story_of: Stories) -> None:
    stories, _ = story_of(killed_together)
    assert resumed(stories["between"]) == [(2, 1, True)]


def test_a_call_whose_process_was_killed_is_not_made_again_under_any_number_and_the_model_is_told(
    faulty: FaultyCloud, story_of: Stories
) -> None:
    stories, mails = story_of(killed_together)
    story = stories["inside"].check_completed()
    check_taken_up(faulty, story, answers=3)
    assert mails["inside"] == ["ann"]
    assert claimed(story) == ["claimed", "unknown", "refused"]
    told = [str(content) for role, content in said(faulty, story.session_id) if role == "user"][1:]
    assert "nobody knows whether it took effect" in told[0]
    assert "send_mail was called like this before" in told[1]


def test_a_budget_counts_what_a_killed_attempt_has_spent(faulty: FaultyCloud, story_of: Stories) -> None:
    stories, _ = story_of(killed_together)
    story = stories["budget"].check()
    assert (story.ending.status, story.ending.error_type) == (
        Status.AGENT_BACKGROUND_TASK_FAILED,
        "BudgetExceeded",
    )
    spent = 3 * sum(faulty.model.usage)
    assert story.ending.detail == {"tokens": tokens(faulty, 3), "limit": BUDGET, "spent": {STEP: spent}}
    assert faulty.model.asked(story.session_id) == [1, 2, 3, 3]


def test_a_turn_that_arrives_late_is_on_nobodys_line(faulty: FaultyCloud, story_of: Stories) -> None:
    story = story_of(frozen_while_its_turn_is_on_its_way).check_completed()
    check_taken_up(faulty, story, answers=5)
    assert resumed(story) == [(2, 1, False), (4, 2, False)]
    assert faulty.model.asked(story.session_id) == [1, 2, 3, 4, 5, 5]
    assert len(turns_of(story, "tools")) == 4


def test_a_bucket_of_which_every_fifth_call_fails_costs_no_answer_and_no_mail(
    faulty: FaultyCloud, story_of: Stories
) -> None:
    story, mails, wrong = story_of(with_a_bucket_that_fails)
    check_taken_up(faulty, story.check_completed(), answers=4)
    assert wrong > 0
    assert claimed(story) == ["claimed"]
    assert mails == [story.session_id]


def mailing(session_id: str) -> tuple[Any, ...]:
    """Return what a model says that looks something up and sends a mail."""
    mail = ("send_mail", {"to": session_id})
    return [looked_up(session_id, 1)], [mail], [looked_up(session_id, 3), ("picture", {})], "Done."


def looked_up(session_id: str, number: int) -> tuple[str, dict[str, str]]:
    """Return a call whose result is known by its number."""
    return "look_up", {"what": f"{session_id}-{number}"}
