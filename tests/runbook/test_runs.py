"""Finding runs by day."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from runbook.clients import Clients
from runbook.labels import OPEN
from runbook.outputs import StackOutputs
from runbook.runbook import Runbook
from runbook.runs import WAITING
from runtime.journal.timestamps import to_timestamp, utc_now
from runtime.journal.vocabulary import Status
from tests.runbook.history import NOON, History, event, metadata_item, new_session_id

HOUR = timedelta(hours=1)
MIDNIGHT = NOON - timedelta(hours=12)


def test_an_empty_table_has_no_runs(rb: Runbook) -> None:
    found = rb.runs(NOON - timedelta(days=20))
    assert list(found) == []
    assert found.to_frame().empty
    assert repr(found) == "<Runs: none>"


def test_a_run_that_crosses_midnight_is_one_run(rb: Runbook, history: History) -> None:
    history.completed(MIDNIGHT - timedelta(seconds=1), seconds=3)
    (run,) = rb.runs(MIDNIGHT - HOUR)
    assert run.seconds == 3


def test_a_run_that_began_before_the_span_and_ended_in_it_knows_its_beginning(rb: Runbook, history: History) -> None:
    history.completed(MIDNIGHT - timedelta(seconds=1), seconds=3, request={"prompt": "Late"})
    (run,) = rb.runs(MIDNIGHT)
    assert (run.seconds, run.prompt) == (3, "Late")


def test_a_run_that_ended_after_the_span_is_not_taken_for_open(rb: Runbook, history: History) -> None:
    history.completed(MIDNIGHT - timedelta(seconds=1), seconds=3)
    assert not rb.runs(MIDNIGHT - HOUR, OPEN, until=MIDNIGHT)


def test_runs_outside_the_span_are_left_out(rb: Runbook, history: History) -> None:
    for hours in (0, 1, 2):
        history.completed(NOON + hours * HOUR)
    assert len(rb.runs(NOON + timedelta(minutes=30), until=NOON + 1.5 * HOUR)) == 1


def test_a_failed_run_says_what_came_of_it_and_the_newest_is_shown_first(rb: Runbook, history: History) -> None:
    first = history.claim()
    history.close(first, Status.SESSION_FAILED, NOON + HOUR, error_type="AgentLost", error_message="gone")
    second = history.claim(NOON + HOUR, request={"prompt": "Count", "retryOf": first})
    history.close(second, Status.SESSION_CANCELLED, NOON + 2 * HOUR, error_type="Cancelled", error_message="enough")
    refused = history.claim(NOON + 2 * HOUR, request={"question": "no prompt"})
    history.close(refused, Status.SESSION_FAILED, NOON + 3 * HOUR, error_type="InvalidRequest", error_message="prompt")
    found = rb.runs(NOON)
    assert [run.session_id for run in found.failed] == [first, refused]
    html = found._repr_html_()
    assert html.index(refused) < html.index("whoever sent this request must change it") < html.index(second)
    assert html.index(f">{first}<") < html.index(f"retried as {second}")
    assert html.count("retried as") == 1


def test_runs_can_be_told_apart_by_their_outcome(rb: Runbook, history: History) -> None:
    history.completed()
    open_run = history.claim()
    failed = history.claim()
    history.close(failed, Status.SESSION_FAILED, NOON + HOUR, error_type="AgentLost", error_message="gone")
    assert [run.session_id for run in rb.runs(NOON, OPEN)] == [open_run]
    assert [run.error_type for run in rb.runs(NOON, Status.SESSION_FAILED)] == ["AgentLost"]
    assert len(rb.runs(NOON).having(OPEN, Status.SESSION_FAILED)) == 2


def test_a_run_that_waits_for_a_person_is_open_and_says_since_when(rb: Runbook, history: History) -> None:
    going_on, waiting, answered, cancelled = (history.claim() for _ in range(4))
    history.ask(waiting, NOON + HOUR)
    history.answer(history.ask(answered, NOON + HOUR), NOON + 2 * HOUR)
    history.ask(cancelled, NOON + HOUR)
    history.close(cancelled, Status.SESSION_CANCELLED, NOON + 2 * HOUR)
    assert {run.session_id for run in rb.runs(NOON, OPEN)} == {going_on, waiting, answered}
    assert [run.session_id for run in rb.runs(NOON, WAITING)] == [waiting]
    (found,) = rb.runs(NOON).having(WAITING).to_json()
    began, until = to_timestamp(NOON + HOUR), to_timestamp(NOON + 25 * HOUR)
    assert (found["status"], found["waitingSince"], found["waitingUntil"]) == (OPEN, began, until)
    lines = repr(rb.runs(NOON, WAITING))
    assert "waiting" in lines
    assert f"waits for a person since {NOON:%Y-%m-%d} 13:00:00, until {NOON + 24 * HOUR:%Y-%m-%d} 13:00:00" in lines


def test_a_run_that_has_waited_twice_waits_while_its_second_question_has_no_answer(
    rb: Runbook, history: History
) -> None:
    run = history.claim()
    history.answer(history.ask(run, NOON + HOUR), NOON + 2 * HOUR)
    second = history.ask(run, NOON + 3 * HOUR, number=2, attempt=2)
    assert [found.waiting for found in rb.runs(NOON)] == [second]
    history.expire(second)
    assert [found.waiting for found in rb.runs(NOON)] == [None]


def test_a_run_that_began_before_the_span_is_in_it_if_it_has_begun_to_wait_in_it_and_still_does(
    rb: Runbook, history: History
) -> None:
    waiting, answered, ended, later = (history.claim(NOON - 48 * HOUR) for _ in range(4))
    for run in (waiting, answered, ended):
        wait = history.ask(run, NOON)
        if run == answered:
            history.answer(wait, NOON + HOUR)
    history.close(ended, Status.SESSION_CANCELLED, NOON + 9 * HOUR)
    assert [(run.session_id, run.prompt) for run in rb.runs(NOON - HOUR, OPEN)] == [(waiting, "Count the clouds")]
    assert [run.session_id for run in rb.runs(NOON - HOUR, until=NOON + 2 * HOUR)] == [waiting]
    history.ask(later, NOON)
    found = rb.runs(NOON - 49 * HOUR, WAITING, until=NOON - 47 * HOUR)
    assert {run.session_id for run in found} == {waiting, later}, "their waits began after the span"


def test_a_writer_whose_clock_is_ahead_is_found_across_midnight(
    rb: Runbook, history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runbook.runs.utc_now", lambda: MIDNIGHT - timedelta(seconds=5))
    history.completed(MIDNIGHT + timedelta(seconds=5))
    assert len(rb.runs(MIDNIGHT - HOUR)) == 1


def test_a_thousand_runs_on_several_pages_are_all_found(rb: Runbook, history: History) -> None:
    for number in range(10):
        items = []
        for n in range(100):
            session_id, at = new_session_id(), NOON + timedelta(seconds=100 * number + n)
            items.append(metadata_item(session_id, at, {"prompt": "x" * 1200}))
            ended = event(session_id, Status.AGENT_BACKGROUND_TASK_COMPLETED, at + HOUR, attempt=1)
            items.append(ended.to_outcome_item())
        history.put(items)
    found = rb.runs(NOON - HOUR)
    assert len(found) == 1000
    assert {run.seconds for run in found} == {3600.0}
    assert [run.began_at for run in found] == sorted(run.began_at for run in found if run.began_at)


def test_many_runs_that_cross_the_edge_of_a_span_are_looked_up_together(
    rb: Runbook, history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    batches: list[int] = []
    whole = rb.clients.dynamodb.batch_get_item

    def half_an_answer(RequestItems: Any) -> Any:  # noqa: N803 - boto3's name
        ((table, wanted),) = RequestItems.items()
        batches.append(len(wanted["Keys"]))
        # DynamoDB may leave some for later.
        now, later = wanted["Keys"][:60], wanted["Keys"][60:]
        answer: Any = whole(RequestItems={table: wanted | {"Keys": now}})
        return answer | {"UnprocessedKeys": {table: {"Keys": later}} if later else {}}

    monkeypatch.setattr(rb.clients.dynamodb, "batch_get_item", half_an_answer)
    items: list[dict[str, Any]] = []
    for _ in range(130):
        session_id = new_session_id()
        items.append(metadata_item(session_id, NOON - HOUR, {"prompt": "Count"}))
        items.append(event(session_id, Status.AGENT_BACKGROUND_TASK_COMPLETED, NOON + HOUR).to_outcome_item())
    history.put(items)
    assert {run.seconds for run in rb.runs(NOON)} == {7200.0}
    assert (max(batches), len(batches)) == (100, 3)
    assert {run.seconds for run in rb.runs(NOON - 2 * HOUR, until=NOON)} == {7200.0}


def test_a_frame_of_runs_has_types_to_compute_with(rb: Runbook, history: History) -> None:
    history.completed(seconds=3)
    history.claim()
    frame = rb.runs(NOON - HOUR).to_frame()
    assert list(frame["seconds"].dropna()) == [3.0]
    assert frame["began_at"].dt.day.tolist() == [NOON.day] * 2
    assert list(frame["attempt"].dropna()) == [1]


@pytest.mark.parametrize(
    ("since", "until", "message"),
    [
        (datetime(2026, 1, 1), None, "since is 2026-01-01T00:00:00 without a time zone"),  # noqa: DTZ001
        (NOON, NOON, "must be later than since"),
    ],
)
def test_a_span_that_makes_no_sense_is_refused(
    rb: Runbook, since: datetime, until: datetime | None, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        rb.runs(since, until=until)


def test_a_request_that_is_no_object_has_an_empty_prompt(rb: Runbook, history: History) -> None:
    history.claim(request=["no", "object"])
    assert [run.prompt for run in rb.runs(NOON)] == [""]


def test_runs_can_be_told_apart_by_what_was_asked(rb: Runbook, history: History) -> None:
    asked = history.claim(request={"prompt": "Count", "workflow": "investigate", "requestedBy": "billing"})
    # What was journalled counts: the default has no name in the request.
    default = new_session_id()
    history.put([metadata_item(default, NOON, {"prompt": "Count", "requestedBy": None}, workflow="default")])
    found = rb.runs(NOON)
    assert {run.session_id: run.workflow for run in found} == {asked: "investigate", default: "default"}
    assert [run.session_id for run in found.where(workflow="default")] == [default]
    assert [run.session_id for run in found.where(workflow=None, requested_by="billing")] == [asked]
    assert not found.where(workflow="default", requested_by="billing")
    assert {run["requestedBy"] for run in found.to_json()} == {"billing", None}
    with pytest.raises(ValueError, match="runs have no requestedby: it must be one of session_id, "):
        found.where(requestedby="billing")


def test_runs_as_json_have_the_journal_s_names(rb: Runbook, history: History) -> None:
    history.completed(seconds=3)
    run = rb.runs(NOON).to_json()[0]
    assert (run["status"], run["seconds"], run["tokens"]) == (
        "AGENT_BACKGROUND_TASK_COMPLETED",
        3.0,
        {"inputTokens": 20, "outputTokens": 9},
    )


@pytest.mark.parametrize(
    ("since", "until"),
    [
        (datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)),
        (datetime.min.replace(tzinfo=timezone(14 * HOUR)), datetime.max.replace(tzinfo=timezone(-14 * HOUR))),
        (datetime.max.replace(tzinfo=UTC) - HOUR, datetime.max.replace(tzinfo=UTC)),
        (datetime.min.replace(tzinfo=UTC), datetime.min.replace(tzinfo=UTC) + HOUR),
        (datetime.min.replace(tzinfo=UTC), None),
        (datetime.max.replace(tzinfo=timezone(-14 * HOUR)), None),
    ],
)
def test_only_days_of_which_the_journal_can_have_something_are_asked_for(
    clients: Clients, outputs: StackOutputs, history: History, since: datetime, until: datetime | None
) -> None:
    history.completed()
    days: list[str] = []

    def count(params: Any, **_: Any) -> None:
        days.append(params["ExpressionAttributeValues"][":day"]["S"])

    clients.dynamodb.meta.events.register("provide-client-params.dynamodb.Query", count)
    try:
        found = Runbook(dataclasses.replace(outputs, journal_ttl_days=14), clients).runs(since, until=until)
    finally:
        clients.dynamodb.meta.events.unregister("provide-client-params.dynamodb.Query", count)
    everything = since.year == 1 and (until is None or until.year == 9999)
    assert len(found) == everything
    assert len(days) == len(set(days)) <= 14 + 9


def test_nothing_is_later_than_now(rb: Runbook) -> None:
    assert not rb.runs(utc_now())
