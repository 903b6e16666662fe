"""Runs that ask a person: nothing runs while they wait, and whatever happens, a call is made once or not at all.

The agents are processes of the test's own, which give people longer than the machine takes between two looks; how the
data plane's environments end is tested where the agents are its own.
"""

import json
import threading
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import pytest

from runtime.journal.errors import AlreadyAnswered, JournalError, NotAsked, RunClosed
from runtime.journal.timestamps import utc_now
from runtime.journal.vocabulary import Status
from runtime.journal.waits import Answer
from tests.support.clerk_office import Office, office
from tests.support.fault_proxy import Call
from tests.support.faulty_cloud import FaultyCloud
from tests.support.http_server import Reply
from tests.support.own_agent import handled_by
from tests.support.person import APPROVED, DENIED, Person
from tests.support.run_story import RunStory
from tests.support.scenarios import Stories, scenario
from tests.support.waiting import wait_until

PATIENT = "600"
SHORT = "6"
MAIL = "send_mail"


@dataclass(frozen=True)
class Asked:
    """What became of a run that asked.

    :ivar mails: to whom it has sent mails
    """

    story: RunStory
    mails: list[str]


@contextmanager
def asking(faulty: FaultyCloud, seconds: str = PATIENT) -> Generator[Office]:
    """Open an office whose mails have to be approved."""
    with office(faulty, APPROVE=MAIL, ANSWER_SECONDS=seconds) as clerks:
        yield clerks


def begin(faulty: FaultyCloud, clerks: Office, *answers: Any, workflow: str | None = None) -> str:
    """Start a run whose model says this, a mail to the run itself if nothing is said, and return its session id."""
    session_id = faulty.new_session_id()
    faulty.model.play(*(answers or ([mail(session_id)], "Done.")), to=session_id)
    clerks.serve(session_id)
    return faulty.start(session_id, workflow)


def mail(session_id: str) -> tuple[str, dict[str, str]]:
    """Return a call that has to be approved."""
    return MAIL, {"to": session_id}


def end(faulty: FaultyCloud, clerks: Office, session_id: str) -> Asked:
    """Wait for a run's end."""
    return Asked(faulty.story(session_id), clerks.mails(session_id))


@scenario
def answered_in_every_way(faulty: FaultyCloud) -> dict[str, Asked]:
    """The person reads each question, and the run knows what was said."""
    person = Person(faulty)
    with asking(faulty) as clerks:
        runs = {name: begin(faulty, clerks) for name in ("approve", "deny", "lost wake-up", "cancel")}
        session_id = faulty.new_session_id()
        question = ("ask", {"question": "Which region?"})
        # What stands beside the question is done before it is asked, and not again after it.
        faulty.model.play([("look_up", {"what": session_id}), question, mail(session_id)], "Done.", to=session_id)
        clerks.serve(session_id)
        runs["text"] = faulty.start(session_id)
        waits = {name: person.asked(session_id) for name, session_id in runs.items()}
        # A duplicate in mid-wait.
        faulty.start(runs["approve"])
        person.answer(waits["approve"], APPROVED)
        person.answer(waits["deny"], DENIED)
        person.answer(waits["lost wake-up"], APPROVED, wake=False)
        person.answer(waits["text"], Answer(approved=True, text="Frankfurt"), APPROVED)
        faulty.cloud.runbook.cancel(runs["cancel"], "no longer needed")
        with pytest.raises(RunClosed):
            person.answer(waits["cancel"], APPROVED)
        return {name: end(faulty, clerks, session_id) for name, session_id in runs.items()}


@scenario
def never_answered(faulty: FaultyCloud) -> dict[str, Asked]:
    """One run's question expires, another's is answered at that very moment."""
    person = Person(faulty)
    with asking(faulty, SHORT) as clerks:
        runs = {name: begin(faulty, clerks) for name in ("expired", "just then")}
        wait = person.asked(runs["just then"])
        # The machine looks when its task has timed out, which is about now.
        wait_until(lambda: utc_now() >= wait.until, "the expiry", 20)
        wait_until(lambda: _answered_or_too_late(person, faulty, runs["just then"]), "an answer", 60, 0.2)
        return {name: end(faulty, clerks, session_id) for name, session_id in runs.items()}


def _answered_or_too_late(person: Person, faulty: FaultyCloud, session_id: str) -> bool:
    wait = person.asked(session_id)
    try:
        person.answer(wait, APPROVED)
    except (AlreadyAnswered, RunClosed):
        assert faulty.reader.answered(wait)
    except JournalError:
        return False
    return True


@scenario
def answered_twice_at_once(faulty: FaultyCloud) -> tuple[Asked, list[type[Exception] | None]]:
    """Ten people answer at the same time, half of them yes; then one answers what was asked before."""
    person = Person(faulty)
    with asking(faulty) as clerks:
        session_id = begin(faulty, clerks, [mail("ann")], [mail("bob")], "Done.")
        wait = person.asked(session_id)

        def answer(number: int) -> type[Exception] | None:
            try:
                person.answer(wait, APPROVED if number % 2 else DENIED)
            except JournalError as refusal:
                return type(refusal)
            return None

        with ThreadPoolExecutor(10) as people:
            said = [*people.map(answer, range(10))]
        following = person.asked(session_id, 2)
        with pytest.raises(AlreadyAnswered):
            person.answer(wait, APPROVED)
        with pytest.raises(NotAsked):
            # The number of the new one with the questions of the old.
            person.answer(replace(following, digest=wait.digest), APPROVED)
        assert faulty.reader.answered(following) is None
        person.answer(following, DENIED)
        return end(faulty, clerks, session_id), said


@scenario
def killed_around_the_wait(faulty: FaultyCloud) -> dict[str, Asked]:
    """One environment is killed before the wait is written, another when it just was, a third when it was answered."""
    person = Person(faulty)
    with asking(faulty) as clerks:
        before, after = faulty.new_session_id(), faulty.new_session_id()
        arrives, killed = threading.Event(), threading.Event()

        def held(call: Call) -> Reply | None:
            if call.operation == "TransactWriteItems" and call.mentions(before) and call.mentions("RUN_WAITING"):
                arrives.set()
                return None if killed.is_set() else Reply(500, b"never arrived")
            return None

        with faulty.aws.rule(held):
            for session_id in (before, after):
                faulty.model.play([mail(session_id)], "Done.", to=session_id)
                clerks.serve(session_id)
            successor = clerks.hired()
            faulty.start(after)
            wait = person.asked(after)
            faulty.start(before)
            assert arrives.wait(60)
            clerks.replace(successor)
            killed.set()
        first = person.asked(before)
        # Killed within the tool, after its claim.
        with clerks.held_after_a_mail(after):
            person.answer(wait, APPROVED)
            clerks.wait_for_mail(after)
            clerks.replace(clerks.hired())
        person.answer(first, APPROVED)
        return {name: end(faulty, clerks, each) for name, each in {"before": before, "after": after}.items()}


@scenario
def frozen_with_its_question_on_its_way(faulty: FaultyCloud) -> tuple[Asked, int]:
    """The wait of a frozen process arrives when its successor has asked; the first job comes once more, late."""
    person, session_id = Person(faulty), faulty.new_session_id()
    leaves, arrives, jobs = threading.Event(), threading.Event(), list[bytes]()

    def late(call: Call) -> Reply | None:
        is_wait = call.operation == "TransactWriteItems" and call.mentions("RUN_WAITING")
        if is_wait and call.mentions(session_id) and not leaves.is_set():
            leaves.set()
            arrives.wait(60)
        return None

    with asking(faulty) as clerks, faulty.aws.rule(late):
        faulty.model.play([mail(session_id)], "Done.", to=session_id)

        def kept(_: dict[str, Any], payload: bytes) -> Reply:
            jobs.append(payload)
            return clerks.agent.invoke(session_id, payload)

        with faulty.agentcore.rule(handled_by(session_id, kept)):
            faulty.start(session_id)
            zombie, successor = clerks.agent, clerks.hired()
            assert leaves.wait(60)
            zombie.freeze()
            clerks.agent = successor
            wait = person.asked(session_id)
            arrives.set()
            zombie.thaw()
            wait_until(lambda: zombie.ping() == "Healthy", "the end of the attempt that was given up", 20)
            # An environment that gets the first job only now.
            third = clerks.hired()
            assert third.invoke(session_id, jobs[0]).status == 200
            wait_until(lambda: third.ping() == "Healthy", "the end of the late environment's task", 20)
            waits = len(faulty.events(session_id, Status.RUN_WAITING))
            person.answer(wait, APPROVED)
            return end(faulty, clerks, session_id), waits


@scenario
def several_items(faulty: FaultyCloud) -> tuple[Asked, int, list[int | None]]:
    """Two of three items ask, the third works on meanwhile."""
    person, session_id = Person(faulty), faulty.new_session_id()
    for number in (1, 3):
        said = ([mail(f"{session_id}-{number}")], "Sent.")
        faulty.model.play(*said, to=f"of 3\n\n{session_id}-{number}")
    with asking(faulty) as clerks, faulty.model.held(session_id, "2 of 3") as second:
        clerks.serve(session_id)
        faulty.start(session_id, "investigate")
        second.wait_for_call()
        asked = "TASK_INVESTIGATOR_TURN"
        faulty.wait_for(session_id, asked, count=2)
        assert faulty.reader.wait(session_id, 1) is None
        second.release()
        wait = person.asked(session_id)
        items = [question.item for question in person.questions(wait)]
        person.answer(wait, APPROVED, DENIED)
        return end(faulty, clerks, session_id), wait.count, items


@scenario
def asks_thrice_and_is_lost_twice(faulty: FaultyCloud) -> Asked:
    """Each time another agent goes on: its prompt is another one, and it needs no approval any more in the end."""
    person, session_id = Person(faulty), faulty.new_session_id()
    names = [f"{session_id}-{number}" for number in (1, 2, 3)]
    faulty.model.play(*([mail(name)] for name in names), "Done.", to=session_id)
    with asking(faulty) as clerks:
        clerks.serve(session_id)
        faulty.start(session_id)
        for number, variables in enumerate(({"PROMPT_FILE": "reporter.md"}, {}, {"APPROVE": ""}), 1):
            wait = person.asked(session_id, number)
            clerks.replace(clerks.hired(**variables))
            if number < 3:
                with faulty.model.held(f"sent to {names[number - 1]}") as next_turn:
                    person.answer(wait, APPROVED)
                    next_turn.wait_for_call()
                    clerks.replace(clerks.hired())
            else:
                person.answer(wait, APPROVED)
        return end(faulty, clerks, session_id)


def test_what_is_approved_is_done_once_and_a_duplicate_in_mid_wait_starts_nothing(story_of: Stories) -> None:
    asked = story_of(answered_in_every_way)["approve"]
    assert asked.mails == [asked.story.check_completed().session_id]


def test_what_is_denied_is_not_done_and_the_model_is_told(faulty: FaultyCloud, story_of: Stories) -> None:
    asked = story_of(answered_in_every_way)["deny"]
    session_id = asked.story.check_completed().session_id
    assert asked.mails == []
    assert "Not today." in _heard(faulty, session_id)


def test_a_text_is_the_questions_result_and_what_ran_beside_it_runs_once(
    faulty: FaultyCloud, story_of: Stories
) -> None:
    asked = story_of(answered_in_every_way)["text"]
    session_id = asked.story.check_completed().session_id
    heard = _heard(faulty, session_id)
    assert "Frankfurt" in heard
    assert f"{session_id} is 42" in heard
    assert asked.mails == [session_id]
    assert faulty.model.asked(session_id) == [1, 2]


def test_a_wake_up_that_gets_lost_costs_one_turn_and_nothing_else(story_of: Stories) -> None:
    asked = story_of(answered_in_every_way)["lost wake-up"]
    assert asked.mails == [asked.story.check_completed().session_id]


def test_a_run_that_is_cancelled_while_it_waits_ends_at_once(story_of: Stories) -> None:
    asked = story_of(answered_in_every_way)["cancel"]
    assert asked.story.check().ending.status == Status.SESSION_CANCELLED
    assert asked.mails == []


def test_a_question_that_nobody_answers_is_denied(faulty: FaultyCloud, story_of: Stories) -> None:
    asked = story_of(never_answered)["expired"]
    (answered,) = asked.story.check_completed().of(Status.RUN_ANSWERED)
    wait = faulty.reader.wait(asked.story.session_id, 1)
    assert (answered.detail or {})["expired"]
    assert wait
    assert answered.created_at >= wait.until
    assert asked.mails == []


def test_an_answer_at_the_very_moment_of_expiry_holds_or_does_not(faulty: FaultyCloud, story_of: Stories) -> None:
    asked = story_of(never_answered)["just then"]
    session_id = asked.story.check_completed().session_id
    assert len(asked.story.of(Status.RUN_ANSWERED)) == 1
    wait = faulty.reader.wait(session_id, 1)
    assert wait
    answered = faulty.reader.answered(wait)
    assert answered
    assert asked.mails == ([session_id] if answered.answers[0].approved else [])


def test_of_answers_at_the_same_time_one_counts_and_none_is_for_the_next_question(story_of: Stories) -> None:
    asked, said = story_of(answered_twice_at_once)
    assert said.count(None) == 1
    yes = said.index(None) % 2
    assert asked.mails == (["ann"] if yes else [])
    assert len(asked.story.check_completed().of(Status.RUN_ANSWERED)) == 2


def test_an_environment_that_is_killed_before_its_question_is_written_costs_an_attempt(story_of: Stories) -> None:
    asked = story_of(killed_around_the_wait)["before"]
    story = asked.story.check_completed()
    assert len(story.of(Status.RUN_WAITING)) == 1
    assert len(story.of(Status.AGENT_BACKGROUND_TASK_LOST)) == 1
    assert asked.mails == [story.session_id]


def test_a_call_that_was_approved_and_interrupted_is_not_made_again(faulty: FaultyCloud, story_of: Stories) -> None:
    asked = story_of(killed_around_the_wait)["after"]
    session_id = asked.story.check_completed().session_id
    assert asked.mails == [session_id]
    assert "nobody knows whether it took effect" in _heard(faulty, session_id)


def test_what_comes_late_of_an_attempt_that_was_given_up_asks_nothing(story_of: Stories) -> None:
    asked, waits = story_of(frozen_with_its_question_on_its_way)
    story = asked.story.check_completed()
    assert waits == 1
    assert [event.attempt for event in story.of(Status.RUN_WAITING)] == [2]
    assert asked.mails == [story.session_id]


def test_two_of_three_items_ask_together_and_the_third_goes_on(story_of: Stories) -> None:
    asked, count, items = story_of(several_items)
    story = asked.story.check_completed()
    assert (count, items) == (2, [0, 2])
    assert asked.mails == [f"{story.session_id}-1"]
    assert [event.attempt for event in story.of("TASK_INVESTIGATOR_COMPLETED") if event.item == 1] == [1]


def test_a_run_that_asks_three_times_and_is_lost_in_between_completes(story_of: Stories) -> None:
    asked = story_of(asks_thrice_and_is_lost_twice)
    story = asked.story.check_completed()
    assert asked.mails == [f"{story.session_id}-{number}" for number in (1, 2, 3)]
    assert len(story.of(Status.AGENT_BACKGROUND_TASK_LOST)) == 2
    assert [event.attempt for event in story.of(Status.RUN_WAITING)] == [1, 3, 5]


def _heard(faulty: FaultyCloud, session_id: str) -> str:
    """Return all that the model was told in the run's last call with tools, as JSON."""
    bodies = [json.loads(request.body) for request in list(faulty.model.requests)]
    talks = [body["messages"] for body in bodies if body.get("tools") and session_id in json.dumps(body["messages"])]
    return json.dumps(talks[-1], ensure_ascii=False)
