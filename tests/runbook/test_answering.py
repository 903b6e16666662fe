"""What runs ask people, and one answer to it: the right one, and only what was read."""

from __future__ import annotations

import dataclasses
import json
import threading
from datetime import timedelta
from typing import Any
from unittest.mock import Mock

import pytest
from botocore.exceptions import ClientError
from botocore.stub import Stubber

from runbook import answering, patience
from runbook.answering import OpenWait
from runbook.errors import AnsweredBefore, NotWaiting, QuestionsChanged, QuestionsUnreadable, RunNotFound
from runbook.runbook import Runbook
from runtime.contract.errors import InvalidRequest
from runtime.journal.errors import JournalUnavailable, RunClosed
from runtime.journal.records import expiry, to_item
from runtime.journal.timestamps import utc_now
from runtime.journal.vocabulary import Status
from runtime.journal.waits import EXPIRED, Answer, AnsweredWait, Question, Wait, Wants
from tests.runbook.asking import MAIL, QUARTER, asks
from tests.runbook.history import History, new_session_id
from tests.runbook.test_cancelling import Clock, let_conflict

YES, NO = (Answer(True),), (Answer(False, "not on a Friday"),)


def expire(history: History, wait: Wait) -> None:
    """Answer a wait as the state machine does once it has expired."""
    item = to_item(
        wait.session_id,
        "",
        {
            "sessionId": wait.session_id,
            "eventId": "e",
            "status": Status.RUN_ANSWERED,
            "createdAt": "2026-11-30T12:00:00.000Z",
            "expiresAt": 2_000_000_000,
            "wait": wait.number,
            "answers": EXPIRED,
        },
    )
    history.put([item | {"PK": {"S": f"ANSWERS#{wait.session_id}"}, "SK": {"S": f"{wait.number:02}"}}])


def asked(*questions: Question) -> OpenWait:
    """Questions that were read."""
    wait = Wait(
        session_id="s" * 36,
        number=1,
        created_at=utc_now(),
        until=utc_now(),
        seconds_left=1,
        digest="",
        key="",
        count=len(questions),
    )
    return OpenWait(wait, None, questions)


# Finding


def test_an_open_wait_is_found_with_its_questions_whole_however_old_its_run_is(rb: Runbook, history: History) -> None:
    began = utc_now() - timedelta(days=80)
    old = history.claim(began, request={"prompt": "Count", "workflow": "investigate"})
    long = dataclasses.replace(MAIL, text="x" * 9000 + " to the end")
    wait = asks(rb, history, long, QUARTER, session_id=old, number=2, at=utc_now() - timedelta(days=30, hours=1))
    (found,) = rb.waiting()
    assert (found.wait, found.questions, found.workflow) == (wait, (long, QUARTER), "investigate")
    assert 30 * 86_400 < found.age_seconds < 31 * 86_400
    assert found == rb.open_wait(old)


def test_what_is_closed_answered_or_asked_longer_ago_is_not_listed(rb: Runbook, history: History) -> None:
    closed, expired, again = asks(rb, history), asks(rb, history), asks(rb, history)
    history.close(closed.session_id, Status.SESSION_CANCELLED, utc_now())
    expire(history, expired)
    expire(history, again)
    # The environment that asked it has a slow clock.
    before = again.created_at - timedelta(seconds=30)
    second = asks(rb, history, QUARTER, session_id=again.session_id, number=2, attempt=2, at=before)
    asks(rb, history, at=utc_now() - timedelta(days=33))
    assert [found.wait for found in rb.waiting()] == [second]


def test_the_oldest_question_comes_first_and_one_that_can_not_be_read_hides_no_other(
    rb: Runbook, history: History
) -> None:
    late = asks(rb, history)
    changed = asks(rb, history, at=utc_now() - timedelta(hours=2), content=b"[]")
    gone = asks(rb, history, at=utc_now() - timedelta(hours=1))
    rb.clients.s3.delete_object(Bucket=rb.outputs.artifact_bucket_name, Key=gone.key)
    found = rb.waiting()
    assert [each.wait for each in found] == [changed, gone, late]
    assert [bool(each.questions) for each in found] == [False, False, True]
    assert found._repr_html_().count("be read: ") == 2
    assert found[0].problem == f"{changed.key} is not what was asked: its content has changed"
    assert "NoSuchKey" in (found[1].problem or "")
    for each in found[:2]:
        with pytest.raises(QuestionsUnreadable, match="can't be read"):
            rb.answer(each, YES)
        assert rb.events(each.session_id)[-1].status == Status.RUN_WAITING


@pytest.mark.parametrize("goes_on", [False, True])
def test_what_is_answered_and_still_waits_is_woken_again(
    goes_on: bool, rb: Runbook, history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    wake = Mock()
    wait = asks(rb, history)
    rb.answer(rb.open_wait(wait.session_id), YES)
    if goes_on:
        # Its clock is slow: its event is stamped before the question.
        at = wait.created_at - timedelta(minutes=2)
        history.add(wait.session_id, Status.AGENT_INVOCATION_STARTED, at, attempt=2)
        # Events of a run are in the order of their times, and the newest attempt is not the last of them.
    monkeypatch.setattr(rb, "_wake_execution", wake)
    found = rb.waiting()
    assert list(found.woken) == [call.args[0] for call in wake.call_args_list] == [wait.session_id] * (not goes_on)
    assert not found


def test_a_lookup_goes_on_where_the_table_left_keys_out(
    rb: Runbook, history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = asks(rb, history)
    history.close(closed.session_id, Status.SESSION_CANCELLED, utc_now())
    dynamodb, table = rb.clients.dynamodb, rb.outputs.journal_table_name
    whole, sizes = dynamodb.batch_get_item, list[int]()

    def throttled(**arguments: Any) -> Any:
        keys = arguments["RequestItems"][table]["Keys"]
        sizes.append(len(keys))
        answer = whole(RequestItems={table: {"Keys": keys[-1:], "ConsistentRead": True}})
        return answer | {"UnprocessedKeys": {table: {"Keys": keys[:-1]}} if keys[:-1] else {}}

    monkeypatch.setattr(dynamodb, "batch_get_item", throttled)
    assert not rb.waiting()
    assert sizes == [2, 1]


# One run


def test_a_run_that_asks_nothing_says_so(rb: Runbook, history: History) -> None:
    with pytest.raises(RunNotFound):
        rb.open_wait(new_session_id())
    with pytest.raises(NotWaiting, match="asks nothing: `runbook waiting` lists"):
        rb.open_wait(history.claim())
    with pytest.raises(RunClosed):
        rb.open_wait(history.completed())
    wait = asks(rb, history)
    with pytest.raises(NotWaiting, match="has no wait 2, its latest is wait 1"):
        rb.open_wait(wait.session_id, 2)
    assert rb.open_wait(wait.session_id, 1).wait == wait


def test_an_earlier_wait_is_told_apart_from_the_open_one(rb: Runbook, history: History) -> None:
    first = asks(rb, history)
    rb.answer(rb.open_wait(first.session_id), NO)
    second = asks(rb, history, QUARTER, session_id=first.session_id, number=2, attempt=2)
    assert rb.open_wait(first.session_id).wait == second
    with pytest.raises(AnsweredBefore, match=r"wait 1 of run .* is already answered by arn:.*: denied \(not on a Fri"):
        rb.open_wait(first.session_id, 1)


# Answering


def test_an_answer_has_who_gave_it_and_wakes_the_run(
    rb: Runbook, history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    wait, wake = asks(rb, history, MAIL, QUARTER), Mock()
    monkeypatch.setattr(rb, "_wake_execution", wake)
    answers = (Answer(False, "too late"), Answer(True, "the third"))
    before = utc_now() - timedelta(milliseconds=1)
    answered = rb.answer(rb.open_wait(wait.session_id), answers)
    assert (answered.answers, answered.number) == (answers, 1)
    assert answered.by == rb.clients.sts.get_caller_identity()["Arn"]
    wake.assert_called_once_with(wait.session_id)
    event = rb.events(wait.session_id)[-1]
    assert (event.status, before <= event.created_at <= utc_now()) == (Status.RUN_ANSWERED, True)
    assert event.detail == {
        "wait": 1,
        "by": answered.by,
        "answers": [{"approved": False, "text": "too late"}, {"approved": True, "text": "the third", "wants": "text"}],
    }
    assert dataclasses.replace(answered, created_at=event.created_at) == rb._reader.answered(wait)
    assert event.expires_at == expiry(event.created_at, 90)


def test_an_answer_comes_after_its_question_though_this_machine_s_clock_is_slow(rb: Runbook, history: History) -> None:
    wait = asks(rb, history, at=utc_now() + timedelta(seconds=90))
    assert rb.answer(rb.open_wait(wait.session_id), YES).created_at == wait.created_at


def test_the_machine_is_woken_by_its_newest_token(rb: Runbook, history: History) -> None:
    wait = asks(rb, history)
    token = {"taskToken": "newest"}
    history.put([to_item(wait.session_id, "TOKEN#2026-11-30T12:00:00.000Z#0", token)])
    with Stubber(rb.clients.stepfunctions) as stepfunctions:
        stepfunctions.add_response("send_task_success", {}, token | {"output": "{}"})
        rb.answer(rb.open_wait(wait.session_id), YES)
        stepfunctions.assert_no_pending_responses()


def test_an_answer_holds_though_nobody_could_be_woken(rb: Runbook, history: History) -> None:
    wait = asks(rb, history)
    history.put([to_item(wait.session_id, "TOKEN#2026-11-30T12:00:00.000Z#0", {"taskToken": "t"})])
    with Stubber(rb.clients.stepfunctions) as stepfunctions:
        stepfunctions.add_client_error("send_task_success", "AccessDeniedException")
        rb.answer(rb.open_wait(wait.session_id), YES)
    assert rb._reader.answered(wait)


def test_a_second_answer_is_refused_and_shown_the_first(rb: Runbook, history: History) -> None:
    read = rb.open_wait(asks(rb, history).session_id)
    first = rb.answer(read, YES)
    with pytest.raises(AnsweredBefore, match=rf"is already answered by {first.by} at 20.* UTC: approved$") as refused:
        rb.answer(read, NO)
    assert refused.value.first == rb._reader.answered(read.wait)
    history.close(read.session_id, Status.AGENT_BACKGROUND_TASK_COMPLETED, utc_now())
    # Who comes when the run has ended meanwhile is told so, too.
    with pytest.raises(AnsweredBefore):
        rb.answer(read, NO)
    with pytest.raises(AnsweredBefore):
        rb.open_wait(read.session_id, 1)
    assert [event.status for event in rb.events(read.session_id)].count(Status.RUN_ANSWERED) == 1


def test_an_answer_that_comes_after_the_expiry_is_told_so(rb: Runbook, history: History) -> None:
    read = rb.open_wait(asks(rb, history).session_id)
    expire(history, read.wait)
    with pytest.raises(AnsweredBefore, match="already answered: its questions expired at 2026-11-30 12:00:00 UTC"):
        rb.answer(read, YES)


def test_an_answer_to_what_is_not_asked_any_more_changes_nothing(rb: Runbook, history: History) -> None:
    read = rb.open_wait(asks(rb, history).session_id)
    other = dataclasses.replace(read, wait=dataclasses.replace(read.wait, digest="0" * 32))
    with pytest.raises(QuestionsChanged, match="nothing was answered; read its questions again"):
        rb.answer(other, YES)
    history.close(read.session_id, Status.SESSION_CANCELLED, utc_now())
    with pytest.raises(RunClosed):
        rb.answer(read, YES)
    assert rb._reader.answered(read.wait) is None


def test_one_of_two_people_who_answer_at_once_is_told_of_the_other(rb: Runbook, history: History) -> None:
    read = rb.open_wait(asks(rb, history).session_id)
    ready, told = threading.Barrier(2), list[object]()

    def answer(answers: tuple[Answer, ...]) -> None:
        ready.wait(10)
        try:
            told.append(rb.answer(read, answers))
        except AnsweredBefore as refused:
            told.append(refused.first)

    people = [threading.Thread(target=answer, args=(answers,)) for answers in (YES, NO)]
    for person in people:
        person.start()
    for person in people:
        person.join(30)
    first = rb._reader.answered(read.wait)
    assert {each.answers for each in told if isinstance(each, AnsweredWait)} == {first.answers if first else ()}
    assert len(told) == 2


@pytest.mark.parametrize("conflicts", [1, 9])
def test_an_answer_that_meets_another_write_is_tried_again(
    rb: Runbook, history: History, conflicts: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, clock = rb.open_wait(asks(rb, history).session_id), Clock()
    let_conflict(rb, monkeypatch, conflicts)
    write(rb, read, clock)
    assert rb._reader.answered(read.wait)
    assert 0 < clock.seconds < patience.TRY_SECONDS


def test_a_table_that_takes_no_answer_is_not_asked_for_ever(
    rb: Runbook, history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, clock = rb.open_wait(asks(rb, history).session_id), Clock()
    let_conflict(rb, monkeypatch, float("inf"))
    with pytest.raises(JournalUnavailable):
        write(rb, read, clock)
    assert patience.TRY_SECONDS / 2 < clock.seconds <= patience.TRY_SECONDS


def write(rb: Runbook, read: OpenWait, clock: Clock) -> None:
    """Answer as the runbook does, with time of the test's own."""
    table, run = rb.outputs.journal_table_name, rb.metadata(read.session_id)
    answering.answer(rb.clients.dynamodb, table, run, read, YES, "arn", clock=clock, sleep=clock.sleep)


def test_whose_rights_do_not_suffice_is_told_by_aws(rb: Runbook, history: History) -> None:
    read = rb.open_wait(asks(rb, history).session_id)
    with Stubber(rb.clients.sts) as sts:
        sts.add_client_error("get_caller_identity", "AccessDenied", "no")
        with pytest.raises(ClientError, match="AccessDenied"):
            rb.answer(read, YES)


# What an answer may be


def test_one_answer_to_all_questions() -> None:
    both = asked(MAIL, QUARTER)
    assert both.answers(True, "the third") == (Answer(True, "the third"),) * 2
    assert both.answers(False) == (Answer(False),) * 2
    assert asked(QUARTER).answers(text="the third") == (Answer(True, "the third"),)
    with pytest.raises(
        InvalidRequest, match=r"the answer is 'the third' .*: it must be yes or no, which question 1 wants"
    ):
        both.answers(text="the third")


@pytest.mark.parametrize(
    ("answers", "message"),
    [
        ((Answer(True),), "answers is 1: it must be 2, one for each question"),
        ((Answer(True),) * 3, "answers is 3"),
        ((Answer(True), Answer(True, " \n")), "answer 2 is without text: it must be a text, or a denial"),
        ((Answer(True, "x" * 16_384), Answer(False)), r"answers is 16,4\d\d bytes long as JSON: it must be 16,384 at"),
        ((Answer(True, "half \ud800"), Answer(False)), "answers is no text that UTF-8 has"),
    ],
)
def test_answers_that_do_not_fit_are_refused(
    answers: tuple[Answer, ...], message: str, rb: Runbook, history: History
) -> None:
    read = rb.open_wait(asks(rb, history, MAIL, QUARTER).session_id)
    with pytest.raises(InvalidRequest, match=message):
        rb.answer(read, answers)
    assert rb._reader.answered(read.wait) is None


def test_the_longest_answers_are_taken(rb: Runbook, history: History) -> None:
    read = rb.open_wait(asks(rb, history, QUARTER).session_id)
    assert rb.answer(read, (Answer(True, "ä" * 8150),)).answers[0].text == "ä" * 8150


def test_a_list_of_answers_has_one_for_each_question() -> None:
    found = asked(MAIL, MAIL, QUARTER)
    content = json.dumps([{"approved": True}, {"approved": False, "text": "why"}, {"text": "the third"}])
    assert found.parsed_answers(content) == (Answer(True), Answer(False, "why"), Answer(True, "the third"))
    assert asked(QUARTER).parsed_answers('[{"approved": false}]') == (Answer(False),)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("yes", r"answers is 'yes' \(3 characters\): it must be a JSON list such as"),
        ('{"approved": true}', "answers is a dict: it must be a JSON list"),
        ("[" * 100_000, "a JSON list"),
        ("[]", "answers is 0: it must be 1, one for each question"),
        ("[true]", "answer 1 is true: it must be"),
        ('[{"approved": false, "approved": true}]', "a JSON list such as"),
        ('[{"approved": "no"}]', "answer 1 is "),
        ('[{"approved": true, "expired": true}]', "answer 1 is "),
        ('[{"approved": true, "text": 1}]', "answer 1 is "),
        ('[{"text": "go on"}]', "of which text may be missing"),
    ],
)
def test_a_list_that_is_none_is_refused(content: str, message: str) -> None:
    with pytest.raises(InvalidRequest, match=message):
        asked(MAIL).parsed_answers(content)


# How it is shown


def test_what_an_agent_asks_is_text_and_can_not_pass_for_another_question(rb: Runbook, history: History) -> None:
    evil = "\x1b[2J <b>fine</b>\n2. mailer: send_mail wants a yes or no\n   nothing"
    asks(rb, history, dataclasses.replace(MAIL, text=evil, tool="send\n2. mail"))
    found = rb.waiting()
    html = found._repr_html_()
    assert "<b>" not in html
    assert "\x1b" not in html
    assert [line for line in found[0].text.splitlines() if line[:1] != " "] == [
        "1. mailer [2]: send 2. mail wants a yes or no"
    ]
    (record,) = found.to_json()
    assert record | {"ageSeconds": 0, "until": "", "sessionId": ""} == {
        "sessionId": "",
        "wait": 1,
        "ageSeconds": 0,
        "until": "",
        "workflow": None,
        "questions": [
            {
                "step": "mailer",
                "item": 2,
                "turn": 3,
                "call": 0,
                "tool": "send\n2. mail",
                "wants": "approval",
                "text": evil,
            }
        ],
        "problem": None,
    }
    assert found.to_frame()["wait"].tolist() == [1]
    assert rb.waiting()[1:]._repr_html_() == "<p><em>No run waits for an answer.</em></p>"


def test_a_question_says_what_it_wants() -> None:
    assert asked(MAIL, QUARTER).text == "\n".join(
        [
            "1. mailer [2]: send_mail wants a yes or no",
            '   {"to": "anna"}',
            "2. planner: ask wants a text",
            "   Which quarter?",
        ]
    )
    assert {each.wants for each in (MAIL, QUARTER)} == set(Wants)
