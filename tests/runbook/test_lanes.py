"""A run as lanes."""

from __future__ import annotations

from datetime import timedelta

from runbook.events import Events
from runbook.executions import Execution
from runbook.lanes import Lane, Mark, Span, lanes
from runbook.steps import Kind
from runbook.summary import RunSummary
from runtime.journal.records import Event
from runtime.journal.timestamps import utc_now
from runtime.journal.vocabulary import Status
from runtime.journal.waits import Answer, AnsweredWait, Question, Wait
from tests.runbook.history import ANN, MAIL, NOON, YES, answered_event, event, waiting_event

ID = "0" * 36


def at(seconds: float, status: str, attempt: int | None = None, **fields: object) -> Event:
    """An event at that many seconds; an agent's, if it is a step's or a task's."""
    is_agents = status.startswith("TASK_") or (status.startswith("AGENT_BACKGROUND") and not status.endswith("_LOST"))
    environment_id = f"environment-{attempt}" if is_agents else None
    step = status.split("_")[1].lower() if status.startswith("TASK_") else None
    moment = NOON + timedelta(seconds=seconds)
    return event(ID, status, moment, attempt=attempt, environment_id=environment_id, step=step, **fields)


def asks(seconds: float, number: int, attempt: int, *questions: Question, hours: float = 24) -> Event:
    """A wait that begins at that many seconds, as its agent writes it; a mail to approve if nothing is asked."""
    moment = NOON + timedelta(seconds=seconds)
    wait = Wait(
        session_id=ID,
        number=number,
        created_at=moment,
        until=moment + timedelta(hours=hours),
        seconds_left=300,
        digest="d",
        key="k",
        count=len(questions) or 1,
    )
    return waiting_event(wait, questions or (MAIL,), attempt)


def answers(seconds: float, number: int, *answers: Answer) -> Event:
    """An answer at that many seconds; that nobody has answered in time, if there is none."""
    if not answers:
        return at(seconds, Status.RUN_ANSWERED, detail={"wait": number, "expired": True})
    moment = NOON + timedelta(seconds=seconds)
    return answered_event(AnsweredWait(session_id=ID, number=number, created_at=moment, by=ANN, answers=answers))


RESUMED = [
    at(0, Status.SESSION_INITIATED),
    at(1, Status.AGENT_INVOCATION_STARTED, 1),
    at(2, Status.AGENT_INVOCATION_FAILED, 1),
    at(4, Status.AGENT_INVOCATION_STARTED, 1),
    at(5, Status.AGENT_INVOCATION_SUCCEEDED, 1),
    at(6, Status.AGENT_BACKGROUND_TASK_STARTED, 1),
    at(7, "TASK_ANALYST_STARTED", 1),
    at(17, "TASK_ANALYST_COMPLETED", 1),
    at(18, "TASK_REPORTER_STARTED", 1),
    at(20, Status.AGENT_BACKGROUND_TASK_HEARTBEAT, 1),
    at(30, Status.AGENT_BACKGROUND_TASK_LOST, 1),
    at(31, Status.AGENT_INVOCATION_STARTED, 2),
    at(32, Status.AGENT_INVOCATION_SUCCEEDED, 2),
    at(33, Status.AGENT_BACKGROUND_TASK_STARTED, 2),
    at(34, "TASK_ANALYST_SKIPPED", 2),
    at(35, "TASK_REPORTER_STARTED", 2),
    at(40, "TASK_REPORTER_COMPLETED", 2),
    at(41, Status.AGENT_BACKGROUND_TASK_COMPLETED, 2),
]


def drawn(events: list[Event], polled: list[float] | None = None) -> dict[str, Lane]:
    """The lanes of a run, by name."""
    polled_at = tuple(NOON + timedelta(seconds=seconds) for seconds in polled or [])
    execution = Execution("arn", "SUCCEEDED", NOON, None, polled_at, 0, None)
    run = RunSummary(Events(ID, events), None, execution, [], [], None)
    return {lane.name.strip(): lane for lane in lanes(run)}


def test_the_machine_looks_after_the_run_from_beginning_to_end() -> None:
    lane = drawn(RESUMED, [10, 20, 45])["state machine"]
    assert lane.spans == [Span(0, 41, Kind.WATCHING)]
    assert lane.marks == [Mark(10, Kind.POLL), Mark(20, Kind.POLL), Mark(30, Kind.LOST)]


def test_each_try_of_the_invoker_is_a_span() -> None:
    lane = drawn(RESUMED)["invoker (Lambda)"]
    assert [(span.begin, span.end, span.kind) for span in lane.spans] == [
        (1, 2, Kind.FAILED),
        (4, 5, Kind.DONE),
        (31, 32, Kind.DONE),
    ]


def test_a_lost_attempt_is_cut_off_at_its_last_sign_of_life() -> None:
    lane = drawn(RESUMED)["agent"]
    assert lane.spans == [Span(6, 20, Kind.CUT_OFF, "attempt 1"), Span(33, 41, Kind.DONE, "attempt 2")]
    assert lane.marks == [Mark(20, Kind.HEARTBEAT)]


def test_steps_are_done_cut_off_and_skipped() -> None:
    found = drawn(RESUMED)
    assert found["analyst"] == Lane("  analyst", [Span(7, 17, Kind.DONE)], [Mark(34, Kind.SKIPPED)])
    assert found["reporter"].spans == [Span(18, 20, Kind.CUT_OFF), Span(35, 40, Kind.DONE)]


def items(number: int, ended: int) -> list[Event]:
    """A run that was lost with that many items begun and that many of them done."""
    begun = [at(2, "TASK_LOOK_STARTED", 1, item=item) for item in range(number)]
    done = [at(3 + item, "TASK_LOOK_COMPLETED", 1, item=item) for item in range(ended)]
    return [*RESUMED[:1], at(1, Status.AGENT_BACKGROUND_TASK_STARTED, 1), *begun, *done]


def test_each_item_has_a_lane() -> None:
    found = drawn([*items(3, 2), at(30, Status.AGENT_BACKGROUND_TASK_LOST, 1)])
    assert [name for name in found if name.startswith("look")] == ["look [0]", "look [1]", "look [2]"]
    assert found["look [1]"].spans == [Span(2, 4, Kind.DONE)]
    assert found["look [2]"].spans == [Span(2, 4, Kind.CUT_OFF)]


def test_many_items_share_a_lane_that_counts_them_by_attempt() -> None:
    again = [
        at(30, Status.AGENT_BACKGROUND_TASK_LOST, 1),
        at(40, Status.AGENT_BACKGROUND_TASK_STARTED, 2),
        at(41, "TASK_LOOK_SKIPPED", 2, item=0),
        *(at(42, "TASK_LOOK_STARTED", 2, item=item) for item in range(5, 9)),
        *(at(43 + item, "TASK_LOOK_COMPLETED", 2, item=item) for item in range(5, 9)),
    ]
    found = drawn([*items(9, 5), *again])
    assert [name for name in found if name.startswith("look")] == ["look (9 items)"]
    lane = found["look (9 items)"]
    assert lane.spans == [Span(2, 7, Kind.CUT_OFF, "5 of 9 done"), Span(42, 51, Kind.DONE, "4 of 4 done")]
    assert lane.marks == [Mark(41, Kind.SKIPPED)]


def test_a_step_that_failed_ends_its_attempt() -> None:
    failed = [*RESUMED[:7], at(9, "TASK_ANALYST_FAILED", 1), at(10, Status.AGENT_BACKGROUND_TASK_FAILED, 1)]
    found = drawn(failed)
    assert found["analyst"].spans == [Span(7, 9, Kind.FAILED)]
    assert found["agent"].spans == [Span(6, 10, Kind.FAILED, "attempt 1")]


def test_what_a_cancel_interrupts_is_cut_off() -> None:
    found = drawn([*RESUMED[:7], at(9, Status.SESSION_CANCELLED)])
    assert found["analyst"].spans == [Span(7, 7, Kind.CUT_OFF)]
    assert found["agent"].spans == [Span(6, 7, Kind.CUT_OFF, "attempt 1")]


def test_an_open_run_goes_on() -> None:
    found = drawn(RESUMED[:7])
    assert [found[name].spans[-1].kind for name in ("agent", "analyst")] == [Kind.GOING_ON] * 2
    assert found["agent"].spans[0].end > (utc_now() - NOON).total_seconds() - 60


def test_an_invocation_without_an_answer_goes_on_until_the_run_is_closed() -> None:
    assert drawn(RESUMED[:2])["invoker (Lambda)"].spans[0].kind is Kind.GOING_ON
    closed = [*RESUMED[:2], at(300, Status.SESSION_FAILED)]
    assert drawn(closed)["invoker (Lambda)"].spans == [Span(1, 300, Kind.CUT_OFF)]


def test_a_run_that_was_refused_has_no_steps() -> None:
    refused = [RESUMED[0], at(1, Status.AGENT_INVOCATION_FAILED, 1), at(2, Status.SESSION_FAILED, 1)]
    assert list(drawn(refused)) == ["state machine", "invoker (Lambda)", "agent"]


def test_a_lane_shows_who_was_waited_for_and_no_attempt_was_lost() -> None:
    started = (at(seconds, Status.AGENT_BACKGROUND_TASK_STARTED, attempt) for seconds, attempt in ((40, 2), (70, 3)))
    waited = [asks(10, 1, 1), answers(30, 1, YES), next(started), asks(50, 2, 2), answers(60, 2), next(started)]
    found = drawn([*RESUMED[:7], *waited, asks(80, 3, 3)])
    assert [*found] == ["state machine", "invoker (Lambda)", "agent", "person", "analyst"]
    assert [(span.kind, span.label) for span in found["agent"].spans] == [
        (Kind.ASKED, f"attempt {attempt}") for attempt in (1, 2, 3)
    ]
    first, second, open_one = found["person"].spans
    assert first == Span(10, 30, Kind.ANSWERED, "ann")
    assert second == Span(50, 60, Kind.EXPIRED, "nobody: expired")
    assert (open_one.begin, open_one.kind) == (80, Kind.WAITING)
    assert open_one.end > (utc_now() - NOON).total_seconds() - 60
    assert found["state machine"].marks == []


def test_a_turn_has_one_mark_whatever_is_journalled_of_it() -> None:
    told = (at(8, "TASK_ANALYST_TURN", 1, turn=1, detail={"after": after}) for after in ("model", "question", "tools"))
    assert drawn([*RESUMED[:7], *told])["analyst"].marks == [Mark(8, Kind.TURN)]


def test_a_wait_that_a_cancel_ends_is_cut_off() -> None:
    found = drawn([*RESUMED[:7], asks(10, 1, 1), at(30, Status.SESSION_CANCELLED)])
    assert found["person"].spans == [Span(10, 30, Kind.CUT_OFF)]
    assert found["analyst"].spans == [Span(7, 10, Kind.ASKED)]
