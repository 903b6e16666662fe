"""Items that are worked on at the same time: what is finished is never done again, and there is one end."""

import signal
from collections import Counter
from contextlib import ExitStack
from datetime import timedelta
from typing import Any

from runtime.journal.records import Event
from runtime.journal.vocabulary import Status
from tests.support.fault_proxy import Call, conflicting, denied, share_of
from tests.support.faulty_cloud import LEASE_SECONDS, FaultyCloud
from tests.support.http_server import Reply
from tests.support.own_agent import OwnAgent, first_attempt_by, handled_by, outlived_by
from tests.support.paced_model import LEADS
from tests.support.run_story import RunStory
from tests.support.scenarios import Stories, scenario
from tests.support.waiting import wait_until

WORKFLOW = "investigate"
AN_ITEM = "# Your part"
FIRST_TWO = {f"investigator ({number} of {LEADS})": 1 for number in (1, 2)}
THE_OTHERS = f"# Your part, [3-{LEADS}] of"
ALL_AT_ONCE = {"PARALLEL_STEPS": str(LEADS)}
DONE, SKIPPED = "TASK_INVESTIGATOR_COMPLETED", "TASK_INVESTIGATOR_SKIPPED"
CONFLICTS = 0.3
SEED = 20261124


@scenario
def killed_among_its_items(faulty: FaultyCloud) -> RunStory:
    """Two items are finished and five are at work."""
    session_id = faulty.new_session_id()
    with (
        OwnAgent(faulty, **ALL_AT_ONCE) as first,
        OwnAgent(faulty, **ALL_AT_ONCE) as second,
        faulty.agentcore.rule(first_attempt_by(first, second, session_id)),
        faulty.model.held(session_id, THE_OTHERS) as hold,
    ):
        at_work(faulty, session_id, hold)
        first.end()
        hold.wait_for_call(2 * (LEADS - 2))
        hold.release()
        return faulty.story(session_id)


@scenario
def frozen_among_its_items(faulty: FaultyCloud) -> RunStory:
    """It goes on, with five answers of the model in its hands, while its successor is at work on the same items."""
    session_id = faulty.new_session_id()
    with (
        OwnAgent(faulty, **ALL_AT_ONCE) as zombie,
        OwnAgent(faulty, **ALL_AT_ONCE) as successor,
        faulty.agentcore.rule(first_attempt_by(zombie, successor, session_id)),
        faulty.model.held(session_id, THE_OTHERS) as hold,
    ):
        at_work(faulty, session_id, hold)
        zombie.freeze()
        hold.wait_for_call(2 * (LEADS - 2))
        zombie.thaw()
        hold.release()
        return outlived_by(zombie, faulty, session_id)


@scenario
def superseded_among_its_items(faulty: FaultyCloud) -> RunStory:
    """Its own clock gives it ten minutes: only the table can refuse what its items write, in one transaction."""
    session_id = faulty.new_session_id()
    with (
        OwnAgent(faulty, LEASE_SECONDS="600", **ALL_AT_ONCE) as unaware,
        OwnAgent(faulty, **ALL_AT_ONCE) as successor,
        faulty.agentcore.rule(handled_by(session_id, lambda _, payload: unaware.invoke(session_id, payload))),
        faulty.model.held(session_id, THE_OTHERS) as hold,
    ):
        at_work(faulty, session_id, hold)
        successor.begin_second_attempt(session_id, {"prompt": session_id, "workflow": WORKFLOW})
        hold.wait_for_call(2 * (LEADS - 2))
        hold.release()
        return outlived_by(unaware, faulty, session_id)


@scenario
def told_to_go_among_its_items(faulty: FaultyCloud) -> RunStory:
    return faulty.signalled_in_a_step(signal.SIGTERM, AN_ITEM, workflow=WORKFLOW, calls=4)


@scenario
def retried_among_its_items(faulty: FaultyCloud) -> list[RunStory]:
    """The third item fails; the retry fails while it takes the first two over; its retry completes."""
    first, retries = faulty.new_session_id(), list[str]()

    def no_second_copy(call: Call) -> Reply | None:
        wanted = call.operation == "PutObject" and any(call.mentions(f"{again}/investigator/0001") for again in retries)
        return denied(call) if wanted else None

    runbook = faulty.cloud.runbook
    with ExitStack() as faults:
        faults.enter_context(faulty.aws.rule(no_second_copy))
        third = faults.enter_context(faulty.model.held(first, "# Your part, 3 of"))
        faults.enter_context(faulty.model.held(first, f"# Your part, [4-{LEADS}] of"))
        faulty.model.fail(to=rf"(?s){first}.*# Your part, 3 of")
        faulty.start(first, WORKFLOW)
        faulty.wait_for(first, DONE, count=2)
        third.wait_for_call()
        third.release()
        stories = [faulty.story(first).check()]
        retries.append(runbook.retry(first))
        stories.append(faulty.story(retries[0]).check())
    return [*stories, faulty.story(runbook.retry(retries[0]))]


@scenario
def cancelled_among_its_items(faulty: FaultyCloud) -> RunStory:
    """Nobody can stop its session: it has to find out by itself."""
    session_id = faulty.new_session_id()
    with (
        OwnAgent(faulty) as agent,
        faulty.agentcore.rule(handled_by(session_id, lambda _, payload: agent.invoke(session_id, payload))),
        faulty.model.held(session_id, THE_OTHERS) as hold,
    ):
        faulty.start(session_id, WORKFLOW)
        hold.wait_for_call(4)
        faulty.cloud.runbook.cancel(session_id, "asked for the wrong month")
        story = faulty.story(session_id)
        wait_until(lambda: agent.ping() == "Healthy", "the end of a cancelled run's task", LEASE_SECONDS, 0.1)
        assert faulty.events(session_id) == story.events
    return story


@scenario
def in_a_table_that_conflicts(faulty: FaultyCloud) -> tuple[RunStory, int]:
    session_id, cancelled = faulty.new_session_id(), list[Call]()

    def conflict(call: Call) -> Reply:
        cancelled.append(call)
        return conflicting(call)

    def is_transaction(call: Call) -> bool:
        return call.operation == "TransactWriteItems" and call.mentions(session_id)

    with faulty.aws.rule(share_of(CONFLICTS, SEED, conflict, is_transaction)):
        faulty.start(session_id, WORKFLOW)
        return faulty.story(session_id), len(cancelled)


def test_of_a_run_that_is_killed_among_its_items_no_finished_one_is_done_again(
    faulty: FaultyCloud, story_of: Stories
) -> None:
    story = story_of(killed_among_its_items).check_completed()
    assert calls(faulty, story) == {"planner": 1, **FIRST_TWO, **dict.fromkeys(the_others(), 2), "summary": 1}
    assert sorted(event.item or 0 for event in story.of(SKIPPED)) == [0, 1]
    assert [event.attempt for event in story.of(Status.AGENT_BACKGROUND_TASK_LOST)] == [1]


def test_a_process_that_wakes_up_among_its_items_after_its_lease_writes_nothing(story_of: Stories) -> None:
    story = story_of(frozen_among_its_items).check_completed()
    first, second = story.of(Status.AGENT_BACKGROUND_TASK_STARTED)
    assert first.environment_id != second.environment_id
    assert {event.environment_id for event in story.of(DONE) if (event.item or 0) > 1} == {second.environment_id}


def test_the_table_refuses_the_items_of_an_attempt_that_has_a_successor(story_of: Stories) -> None:
    story = story_of(superseded_among_its_items)
    first, second = story.of(Status.AGENT_BACKGROUND_TASK_STARTED)
    assert {event.environment_id for event in story.of(DONE) if event.item in (0, 1)} == {first.environment_id}
    assert {event.environment_id for event in story.of(DONE) if (event.item or 0) > 1} == {second.environment_id}
    assert story.ending.status == Status.AGENT_BACKGROUND_TASK_COMPLETED


def test_an_environment_that_is_told_to_go_says_which_items_it_was_at_and_gives_its_lease_back(
    story_of: Stories,
) -> None:
    story = story_of(told_to_go_among_its_items).check_completed()
    (release,) = [event for event in story.events if event.detail and "released" in event.detail]
    assert (release.detail or {})["running"] == [f"investigator ({number} of {LEADS})" for number in range(1, 5)]
    assert release.lease_expires_at == release.created_at


def test_an_item_that_fails_ends_the_run_at_once_and_names_itself(faulty: FaultyCloud, story_of: Stories) -> None:
    story, *_ = story_of(retried_among_its_items)
    (failed,) = story.of("TASK_INVESTIGATOR_FAILED")
    assert failed.item == 2
    assert story.ending.status == Status.AGENT_BACKGROUND_TASK_FAILED
    assert story.ending.error_type == failed.error_type
    assert story.ending.created_at - failed.created_at < timedelta(seconds=LEASE_SECONDS)
    assert sorted(event.item or 0 for event in story.of(DONE)) == [0, 1]


def test_a_retry_of_a_retry_takes_over_the_items_that_the_first_run_has_finished(
    faulty: FaultyCloud, story_of: Stories
) -> None:
    first, second, third = story_of(retried_among_its_items)
    third.check_completed()
    assert second.ending.status == Status.AGENT_BACKGROUND_TASK_FAILED, second
    assert sources(third)[1] == first.session_id
    assert sorted(sources(third)) == [0, 1]
    # Their prompts are the same: the first one's id.
    done = calls(faulty, first)
    assert {unit: done[unit] for unit in ("planner", *FIRST_TWO)} == {"planner": 1, **FIRST_TWO}


def test_a_cancelled_run_leaves_its_items_and_begins_no_other(faulty: FaultyCloud, story_of: Stories) -> None:
    story = story_of(cancelled_among_its_items).check()
    assert story.ending.status == Status.SESSION_CANCELLED
    assert len([unit for unit in calls(faulty, story) if unit.startswith("investigator")]) <= 2 + 4


def test_in_a_table_where_every_third_transaction_meets_another_one_a_run_completes(
    faulty: FaultyCloud, story_of: Stories
) -> None:
    story, cancelled = story_of(in_a_table_that_conflicts)
    story.check_completed()
    assert cancelled > 0
    assert not story.of(Status.AGENT_BACKGROUND_TASK_LOST), story
    assert set(calls(faulty, story).values()) == {1}


def at_work(faulty: FaultyCloud, session_id: str, hold: Any) -> None:
    """Start a run, and wait until two items are finished and all others are at work."""
    faulty.start(session_id, WORKFLOW)
    hold.wait_for_call(LEADS - 2)
    faulty.wait_for(session_id, DONE, count=2)


def calls(faulty: FaultyCloud, story: RunStory) -> Counter[str]:
    """Return how often the model was called for each step and item of a run."""
    return Counter(faulty.model.steps_of(story.session_id))


def the_others() -> list[str]:
    """Return the items that are held."""
    return [f"investigator ({number} of {LEADS})" for number in range(3, LEADS + 1)]


def sources(story: RunStory) -> dict[int, str]:
    """Return from which run each item was taken over."""
    taken: list[Event] = story.of(SKIPPED)
    return {event.item or 0: (event.detail or {})["takenFrom"] for event in taken}
