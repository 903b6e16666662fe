"""A run as a tree of attempts, steps and items."""

from __future__ import annotations

import pytest

from runbook.events import Events
from runbook.steps import AttemptWork, Kind, attempts, counted, step_tokens
from runtime.journal.records import Event
from runtime.journal.vocabulary import Status
from tests.runbook.history import FRANKFURT, MAIL, WHERE, YES
from tests.runbook.test_lanes import ID, answers, asks, at

TOKENS = {"inputTokens": 10, "outputTokens": 5}
OLD = {"workflow": "investigate", "workflowDigest": "aaaa", "codeDigest": "1111"}


def item(seconds: float, phase: str, number: int, attempt: int = 1, **fields: object) -> Event:
    """An event of an item."""
    return at(seconds, f"TASK_INVESTIGATOR_{phase}", attempt, item=number, **fields)


LOST = [
    at(0, Status.SESSION_INITIATED),
    at(1, Status.AGENT_BACKGROUND_TASK_STARTED, 1, detail=OLD),
    at(2, "TASK_PLANNER_STARTED", 1),
    at(3, "TASK_PLANNER_COMPLETED", 1, detail={"tokens": TOKENS}),
    item(4, "STARTED", 0),
    item(4, "STARTED", 1),
    item(4, "STARTED", 2),
    item(6, "COMPLETED", 1, detail={"tokens": TOKENS}),
    item(7, "FAILED", 2, error_type="StepStopped", error_message="stopped"),
    at(9, Status.AGENT_BACKGROUND_TASK_LOST, 1),
]
RESUMED = [
    *LOST,
    at(10, Status.AGENT_BACKGROUND_TASK_STARTED, 2, detail=OLD | {"workflowDigest": "bbbb"}),
    at(11, "TASK_PLANNER_SKIPPED", 2, detail={"tokens": TOKENS}),
    item(12, "SKIPPED", 1, 2, detail={"tokens": TOKENS}),
    item(12, "STARTED", 0, 2),
    item(15, "COMPLETED", 0, 2, detail={"tokens": TOKENS}),
]


def tree(events: list[Event], end: float = 20) -> list[AttemptWork]:
    """The attempts of a run."""
    return attempts(Events(ID, events), end)


def test_each_attempt_has_its_steps_and_they_have_their_items() -> None:
    first, second = tree(RESUMED)
    assert [(work.name, work.kind, work.begin, work.end) for work in first.by_step()["investigator"]] == [
        ("investigator [0]", Kind.CUT_OFF, 4, 7),
        ("investigator [1]", Kind.DONE, 4, 6),
        ("investigator [2]", Kind.FAILED, 4, 7),
    ]
    assert counted(second.by_step()["investigator"]) == "1 done, 1 skipped"
    assert [attempt.kind for attempt in (first, second)] == [Kind.CUT_OFF, Kind.GOING_ON]


def test_what_an_open_attempt_has_begun_goes_on() -> None:
    (only,) = tree(LOST[:-1], end=30)
    assert [(work.kind, work.end) for work in only.work if work.item == 0] == [(Kind.GOING_ON, 30)]


def test_an_attempt_that_runs_other_code_than_the_one_before_it_says_which() -> None:
    first, second = tree(RESUMED)
    assert second.other_code(first) == {"workflowDigest": ("aaaa", "bbbb")}
    assert not first.other_code(first)


def test_what_is_skipped_says_its_tokens_again_and_is_counted_once() -> None:
    assert step_tokens(RESUMED) == {"planner": {None: TOKENS}, "investigator": {0: TOKENS, 1: TOKENS}}


def test_work_as_json_has_the_journal_s_names() -> None:
    failed = next(work for work in tree(RESUMED)[0].work if work.kind is Kind.FAILED)
    assert failed.as_json() == {
        "attempt": 1,
        "step": "investigator",
        "item": 2,
        "state": "FAILED",
        "seconds": 3.0,
        "turns": 0,
        "asks": [],
        "tokens": None,
        "artifact": None,
        "takenFrom": None,
        "error": "stopped",
    }


def asked_run(*more: Event) -> Events:
    """A run whose first attempt asks two questions, one step of it done, and what comes then."""
    return Events(
        ID,
        [
            at(0, Status.SESSION_INITIATED),
            at(1, Status.AGENT_BACKGROUND_TASK_STARTED, 1, detail=OLD),
            at(2, "TASK_PLANNER_STARTED", 1),
            at(3, "TASK_PLANNER_COMPLETED", 1, detail={"tokens": TOKENS}),
            item(4, "STARTED", 3),
            at(4, "TASK_CLERK_STARTED", 1),
            asks(6, 1, 1, MAIL, WHERE),
            *more,
        ],
    )


def test_steps_of_a_waiting_run_are_shown_with_what_they_ask() -> None:
    (asking,) = attempts(asked_run(), 100)
    assert (asking.end, asking.kind) == (6, Kind.ASKED)
    assert [(work.name, work.kind, work.end, list(work.asks)) for work in asking.work] == [
        ("planner", Kind.DONE, 3, []),
        ("investigator [3]", Kind.WAITING, 6, ["Which region?"]),
        ("clerk", Kind.WAITING, 6, ['send_mail({"to": "jo@example.com"})']),
    ]
    assert counted(asking.work) == "1 done, 2 waiting for a person"


@pytest.mark.parametrize("end", [answers(5, 1, YES, FRANKFURT), at(9, Status.SESSION_CANCELLED)])
def test_an_attempt_that_asked_was_not_lost_once_it_is_answered_or_the_run_has_ended(end: Event) -> None:
    # Whoever answers may have a clock that is behind.
    next_one = [at(20, Status.AGENT_BACKGROUND_TASK_STARTED, 2)] if end.status == Status.RUN_ANSWERED else []
    asking, *later = attempts(asked_run(end, *next_one), 100)
    assert {work.kind for work in asking.work} == {Kind.DONE, Kind.ASKED}
    assert (asking.kind, [each.kind for each in later]) == (Kind.ASKED, [Kind.GOING_ON] * len(next_one))
