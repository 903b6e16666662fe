"""What a run is tried again with."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any
from unittest import mock
from unittest.mock import ANY

import pytest
from botocore.stub import Stubber

from runbook.clients import Clients
from runbook.errors import (
    AlreadyRetried,
    NothingToRetry,
    OtherWorkflow,
    RunNotFound,
    RunStillOpen,
    ToolsMayRunAgain,
)
from runbook.outputs import StackOutputs
from runbook.retrying import MAX_CLAIM_BYTES, added, retry_fields
from runbook.runbook import Runbook
from runtime.agent.workflow import WORKFLOWS
from runtime.contract.errors import InvalidRequest
from runtime.contract.request import (
    MAX_REQUEST_BYTES,
    MAX_RETRY_BYTES,
    MAX_SOURCES,
    ClaimedCall,
    parse_request,
    size_in_claim,
)
from runtime.journal.records import ToolClaim
from runtime.journal.timestamps import utc_now
from runtime.journal.vocabulary import Status
from runtime.journal.writer import JournalWriter, Standing
from tests.runbook.history import NOON, History, new_session_id


@pytest.fixture
def stepfunctions(rb: Runbook) -> Iterator[Stubber]:
    """Step Functions' answers."""
    with Stubber(rb.clients.stepfunctions) as stubber:
        yield stubber


def forgotten(stepfunctions: Stubber) -> None:
    """Let Step Functions have forgotten the execution, as it does after 90 days."""
    stepfunctions.add_client_error("describe_execution", "ExecutionDoesNotExist", "no")


def given(stepfunctions: Stubber, execution_input: str) -> None:
    """Let Step Functions tell what an execution was started with."""
    answer = {
        "executionArn": "arn:aws:states:us-east-1:123456789012:execution:workflow:name",
        "stateMachineArn": "arn:aws:states:us-east-1:123456789012:stateMachine:workflow",
        "status": "FAILED",
        "startDate": NOON,
        "input": execution_input,
    }
    stepfunctions.add_response("describe_execution", answer, {"executionArn": ANY})


def sent(rb: Runbook, session_id: str, **how: Any) -> dict[str, Any]:
    """Retry a run, and return the request that was sent."""
    events = rb.clients.events
    with mock.patch.object(events, "put_events", wraps=events.put_events) as put_events:
        assert rb.retry(session_id, **how)
    return json.loads(put_events.call_args.kwargs["Entries"][0]["Detail"])


def failed_run(history: History, request: Any) -> str:
    """A run that came to nothing."""
    session_id = history.claim(request=request)
    history.close(session_id, Status.SESSION_FAILED, NOON + timedelta(seconds=3))
    return session_id


def finish(clients: Clients, outputs: StackOutputs, session_id: str, *steps: str) -> None:
    """Leave artifacts of a run's steps."""
    for step in steps:
        key = f"sessions/{session_id}/{step}.md"
        clients.s3.put_object(Bucket=outputs.artifact_bucket_name, Key=key, Body=b"clouds")


def test_only_a_run_that_failed_is_tried_again(rb: Runbook, history: History) -> None:
    with pytest.raises(RunStillOpen):
        rb.retry(history.claim())
    with pytest.raises(NothingToRetry):
        rb.retry(history.completed())


def test_what_was_retried_is_not_retried_again_unless_it_is_forced(
    rb: Runbook, history: History, stepfunctions: Stubber
) -> None:
    old = failed_run(history, {"prompt": "Count"})
    assert rb.retried_as(old) is None
    again = history.claim(utc_now(), request={"prompt": "Count", "retryOf": old})
    with pytest.raises(AlreadyRetried, match=f"run {old} was retried as {again}"):
        rb.retry(f" {old}\n")
    forgotten(stepfunctions)
    assert sent(rb, old, force=True) == {"prompt": "Count", "retryOf": old}


def test_a_retry_asks_the_same_and_names_the_old_run(rb: Runbook, history: History, stepfunctions: Stubber) -> None:
    old = failed_run(history, {"prompt": "Count", "tenant": "north"})
    forgotten(stepfunctions)
    assert sent(rb, old) == {"prompt": "Count", "tenant": "north", "retryOf": old}


def test_a_retry_asks_what_was_asked_to_the_last_digit(rb: Runbook, history: History, stepfunctions: Stubber) -> None:
    old = failed_run(history, {"prompt": "Count", "account": 12345678901234600000})
    given(
        stepfunctions, json.dumps({"session_id": old, "request": {"prompt": "Count", "account": 12345678901234567890}})
    )
    assert sent(rb, old)["account"] == 12345678901234567890


@pytest.mark.parametrize("execution_input", ["", "no JSON", "[]", '"text"', "{}", "[" * 100_000])
def test_the_journal_s_request_stands_in_for_an_input_that_has_none(
    rb: Runbook, history: History, stepfunctions: Stubber, execution_input: str
) -> None:
    old = failed_run(history, {"prompt": "Count"})
    given(stepfunctions, execution_input)
    assert sent(rb, old) == {"prompt": "Count", "retryOf": old}


@pytest.mark.parametrize("request_", ["bare text", ["a", "list"], 7])
def test_a_request_that_never_could_be_run_is_not_tried_again(
    rb: Runbook, history: History, stepfunctions: Stubber, request_: Any
) -> None:
    old = failed_run(history, request_)
    forgotten(stepfunctions)
    with pytest.raises(InvalidRequest, match=r"^request is "):
        rb.retry(old)


def test_the_retry_of_a_retry_takes_each_step_from_the_newest_run_that_has_it(
    rb: Runbook, history: History, stepfunctions: Stubber, clients: Clients, outputs: StackOutputs
) -> None:
    first = failed_run(history, {"prompt": "Count"})
    finish(clients, outputs, first, "analyst", "critic")
    second = failed_run(history, {"prompt": "Count", "retryOf": first, "takeFrom": [{"session": first, "steps": []}]})
    forgotten(stepfunctions)
    steps_of_first = {"session": first, "steps": ["analyst", "critic"]}
    assert sent(rb, second) == {"prompt": "Count", "retryOf": second, "takeFrom": [steps_of_first]}
    finish(clients, outputs, second, "analyst")
    forgotten(stepfunctions)
    assert sent(rb, second)["takeFrom"] == [
        {"session": second, "steps": ["analyst"]},
        {"session": first, "steps": ["critic"]},
    ]


def test_runs_that_name_each_other_are_looked_at_once(rb: Runbook, history: History, stepfunctions: Stubber) -> None:
    first = new_session_id()
    second = failed_run(history, {"prompt": "Count", "retryOf": first})
    history.claim(request={"prompt": "Count", "retryOf": second}, session_id=first)
    forgotten(stepfunctions)
    assert sent(rb, second, force=True) == {"prompt": "Count", "retryOf": second}


def test_a_line_of_retries_is_followed_as_far_as_a_request_may_name_runs(
    rb: Runbook, history: History, stepfunctions: Stubber, clients: Clients, outputs: StackOutputs
) -> None:
    line = [failed_run(history, {"prompt": "Count"})]
    for number in range(24):
        line.append(failed_run(history, {"prompt": "Count", "retryOf": line[-1]}))
        finish(clients, outputs, line[-1], f"step_{number}")
    forgotten(stepfunctions)
    assert [source["session"] for source in sent(rb, line[-1])["takeFrom"]] == line[:4:-1]


def test_a_request_of_the_largest_size_can_be_retried(
    rb: Runbook, history: History, stepfunctions: Stubber, clients: Clients, outputs: StackOutputs
) -> None:
    request = {"prompt": "x" * (MAX_REQUEST_BYTES - size_in_claim({"prompt": ""}))}
    old = failed_run(history, request)
    finish(clients, outputs, old, *(f"step_{number}" for number in range(50)))
    forgotten(stepfunctions)
    assert len(sent(rb, old)["takeFrom"][0]["steps"]) == 50


def test_a_new_run_may_start_from_the_steps_of_another(
    rb: Runbook, history: History, clients: Clients, outputs: StackOutputs
) -> None:
    old = history.claim()
    finish(clients, outputs, old, "analyst")
    with Stubber(rb.clients.events) as events:
        detail = {"prompt": "Count", "retryOf": old, "takeFrom": [{"session": old, "steps": ["analyst"]}]}
        entry = {"Source": "fire-and-forget.dev", "DetailType": "AgentRunRequested", "Detail": json.dumps(detail)}
        events.add_response("put_events", {"Entries": [{"EventId": "id-1"}]}, {"Entries": [entry]})
        assert rb.trigger("Count", retry_of=old) == "id-1"


def test_a_run_that_nobody_knows_is_nothing_to_start_from(rb: Runbook) -> None:
    with Stubber(rb.clients.events), pytest.raises(RunNotFound):
        rb.trigger("Count", retry_of=new_session_id())
    with pytest.raises(InvalidRequest, match="retry_of is 'mistyped'"):
        rb.trigger("Count", retry_of="mistyped")


def test_what_is_no_step_s_artifact_is_left_alone() -> None:
    keys = [
        "sessions/a/analyst.md",
        "sessions/a/Notes.md",
        "sessions/a/x.txt",
        "sessions/a/deep/0001/0002.md",
        "sessions/a/analyst/notes.md",
        "turns/a/y.md",
    ]
    fields = retry_fields("a", [("a", keys), ("b", ["sessions/b/analyst.md"])])
    assert fields == {"retryOf": "a", "takeFrom": [{"session": "a", "steps": ["analyst"]}]}


def test_items_are_looked_for_in_every_run_that_has_any_until_a_newer_one_has_the_step_whole() -> None:
    line = [
        ("d", ["sessions/d/planner.json", "sessions/d/look/0000.md", "sessions/d/look/0007.json"]),
        ("c", ["sessions/c/planner.json"]),
        ("b", ["sessions/b/look/0001.md", "sessions/b/planner.md", "sessions/b/summary.json"]),
        ("a", ["sessions/a/look.md", "sessions/a/look/0002.md", "sessions/a/summary/0000.md"]),
    ]
    assert retry_fields("d", line)["takeFrom"] == [
        {"session": "d", "steps": ["planner", "look"]},
        {"session": "b", "steps": ["look", "summary"]},
        {"session": "a", "steps": ["look"]},
    ]


def test_the_oldest_runs_are_left_out_where_their_names_would_not_fit_into_a_request() -> None:
    steps = [f"{'x' * 37}_{number:02}" for number in range(12)]
    line = [(f"{run:036}", [f"sessions/{run}/{step}/0001.md" for step in steps]) for run in range(MAX_SOURCES)]
    fields = retry_fields("0" * 36, line)
    assert size_in_claim(fields) <= MAX_RETRY_BYTES < size_in_claim(fields | {"takeFrom": fields["takeFrom"] * 2})
    assert [source["session"] for source in fields["takeFrom"]] == [run for run, _ in line][: len(fields["takeFrom"])]
    parse_request(fields | {"prompt": "x" * (MAX_REQUEST_BYTES - size_in_claim({"prompt": ""}))})


def begun(rb: Runbook, history: History, request: Any, *claims: tuple[str, int | None]) -> str:
    """A run that failed and had claimed calls of `send_mail`, one in each of these steps or items."""
    session_id = history.claim(request=request)
    writer = JournalWriter(rb.clients.dynamodb, rb.outputs.journal_table_name, ttl_days=90)
    for call, (step, item) in enumerate(claims):
        event = writer.stamp(session_id, f"TASK_{step.upper()}_TOOL", step=step, item=item, turn=3, attempt=1)
        claim = ToolClaim(step, item, 3, call, "send_mail", "0123456789abcdef", f'{{"to": "{call}"}}')
        writer.claim_tool(event, claim, Standing(1, 1))
    history.close(session_id, Status.SESSION_FAILED, NOON + timedelta(seconds=3))
    return session_id


def test_calls_that_an_unfinished_step_has_begun_are_listed_and_repeated_only_if_somebody_says_so(
    rb: Runbook, history: History, stepfunctions: Stubber, clients: Clients, outputs: StackOutputs
) -> None:
    old = begun(rb, history, {"prompt": "Count"}, ("mailer", 2), ("payer", None), ("analyst", None))
    finish(clients, outputs, old, "analyst")
    forgotten(stepfunctions)
    with pytest.raises(ToolsMayRunAgain, match=r"mailer \[2\] send_mail\(.*\), payer send_mail\(.*--again") as refused:
        rb.retry(old)
    assert "analyst" not in str(refused.value)
    forgotten(stepfunctions)
    request = sent(rb, old, again=True)
    assert request["claims"] == [
        {"step": "mailer", "item": 2, "tool": "send_mail", "input": '{"to": "0"}'},
        {"step": "payer", "tool": "send_mail", "input": '{"to": "1"}'},
    ]
    assert parse_request(request).claims[0] == ClaimedCall("mailer", 2, "send_mail", '{"to": "0"}')
    with Stubber(rb.clients.events), pytest.raises(ToolsMayRunAgain):
        rb.trigger("Count", retry_of=old)


def test_calls_that_every_step_has_outlived_stand_in_no_retrys_way(
    rb: Runbook, history: History, stepfunctions: Stubber, clients: Clients, outputs: StackOutputs
) -> None:
    old = begun(rb, history, {"prompt": "Count"}, ("mailer", 2))
    finish(clients, outputs, old, "mailer/0002")
    forgotten(stepfunctions)
    assert "claims" not in sent(rb, old)


def test_the_retry_of_a_retry_knows_what_the_first_run_has_begun_until_the_step_is_finished(
    rb: Runbook, history: History, stepfunctions: Stubber, clients: Clients, outputs: StackOutputs
) -> None:
    first = begun(rb, history, {"prompt": "Count"}, ("mailer", None), ("payer", None))
    forgotten(stepfunctions)
    second = failed_run(history, sent(rb, first, again=True))
    finish(clients, outputs, second, "payer")
    forgotten(stepfunctions)
    with pytest.raises(ToolsMayRunAgain, match="mailer"):
        rb.retry(second)
    forgotten(stepfunctions)
    third = begun(rb, history, sent(rb, second, again=True), ("mailer", None), ("mailer", None))
    forgotten(stepfunctions)
    claims = sent(rb, third, again=True)["claims"]
    # Its own first call is the very one that the first run had begun.
    assert [(claim["step"], claim["input"]) for claim in claims] == [
        ("mailer", '{"to": "0"}'),
        ("mailer", '{"to": "1"}'),
    ]


@pytest.mark.parametrize(("calls", "named"), [(5, 5), (40, 40), (2000, 1)])
def test_however_many_calls_have_begun_a_retry_of_a_largest_request_names_or_counts_them(
    calls: int, named: int
) -> None:
    claimed = [ClaimedCall("mailer", item, "send_mail", '"' * 500) for item in range(calls)]
    fields = retry_fields("0" * 36, [("0" * 36, [f"sessions/x/{'y' * 37}_{n:02}.md" for n in range(99)])], claimed)
    assert len(fields["claims"]) == named
    assert fields["claims"][0]["input"] == ("2000 calls" if named == 1 else '"' * len(fields["claims"][0]["input"]))
    assert size_in_claim(fields["claims"]) <= MAX_CLAIM_BYTES
    parse_request(fields | {"prompt": "x" * (MAX_REQUEST_BYTES - size_in_claim({"prompt": ""}))})


INVESTIGATE = {"prompt": "Count", "workflow": "investigate"}


@pytest.fixture
def as_journalled(rb: Runbook, monkeypatch: pytest.MonkeyPatch) -> None:
    """Step Functions that has forgotten all executions."""
    gone = rb.clients.stepfunctions.exceptions.ExecutionDoesNotExist({"Error": {}}, "DescribeExecution")
    monkeypatch.setattr(rb.clients.stepfunctions, "describe_execution", mock.Mock(side_effect=gone))


@pytest.mark.usefixtures("as_journalled")
def test_from_a_step_on_everything_that_comes_after_it_is_done_again(
    rb: Runbook, history: History, clients: Clients, outputs: StackOutputs
) -> None:
    old = history.completed(request=INVESTIGATE)
    before = [*rb.events(old)]
    finish(clients, outputs, old, "planner", "investigator/0000", "investigator/0001", "summary")
    request = sent(rb, old, from_step="investigator")
    assert request == {
        **INVESTIGATE,
        "retryOf": old,
        "retryFrom": "investigator",
        "takeFrom": [{"session": old, "steps": ["planner"]}],
    }
    assert "takeFrom" not in sent(rb, old, from_step="planner")
    # The old run stays as it is.
    assert [*rb.events(old)] == before


@pytest.mark.usefixtures("as_journalled")
def test_what_an_earlier_retry_threw_away_stays_thrown_away(
    rb: Runbook, history: History, clients: Clients, outputs: StackOutputs
) -> None:
    first = failed_run(history, INVESTIGATE)
    finish(clients, outputs, first, "planner", "investigator/0000", "investigator/0001", "summary")
    second = failed_run(history, sent(rb, first, from_step="planner"))
    finish(clients, outputs, second, "investigator/0001")
    third = failed_run(history, sent(rb, second))
    assert rb.metadata(third).request["takeFrom"] == [{"session": second, "steps": ["investigator"]}]
    # Neither where a retry of the retry asks for less.
    assert "takeFrom" not in sent(rb, third, from_step="investigator")
    assert sent(rb, third, from_step="summary")["takeFrom"] == [{"session": second, "steps": ["investigator"]}]


@pytest.mark.usefixtures("as_journalled")
def test_what_a_retry_of_another_version_threw_away_takes_all_that_is_older_with_it(
    rb: Runbook, history: History, clients: Clients, outputs: StackOutputs
) -> None:
    first = failed_run(history, INVESTIGATE)
    finish(clients, outputs, first, "planner")
    second = failed_run(history, INVESTIGATE | {"retryOf": first, "retryFrom": "renamed"})
    assert "takeFrom" not in sent(rb, second)


@pytest.mark.usefixtures("as_journalled")
def test_a_step_that_is_none_and_a_workflow_that_nobody_knows_are_named(rb: Runbook, history: History) -> None:
    with pytest.raises(InvalidRequest, match=r"from_step is 'x' .*: planner, investigator, summary"):
        rb.retry(failed_run(history, INVESTIGATE), from_step="x")
    with pytest.raises(InvalidRequest, match=r"workflow is 'other' .*default, investigate"):
        rb.retry(failed_run(history, {"prompt": "x", "workflow": "other"}), from_step="x")


@pytest.mark.usefixtures("as_journalled")
def test_nothing_is_taken_over_from_a_run_of_another_workflow(rb: Runbook, history: History) -> None:
    first = failed_run(history, {"prompt": "Count", "workflow": "default"})
    with pytest.raises(OtherWorkflow, match=f"run {first} is of workflow default, .* one of investigate"):
        rb.trigger("Count", retry_of=first, workflow="investigate")
    second = failed_run(history, INVESTIGATE | {"retryOf": first})
    with pytest.raises(OtherWorkflow):
        rb.retry(second, from_step="summary")


@pytest.mark.usefixtures("as_journalled")
@pytest.mark.parametrize("same", [True, False])
def test_another_definition_is_taken_and_said(rb: Runbook, history: History, same: bool) -> None:
    old = history.completed(request=INVESTIGATE)
    digest = WORKFLOWS["investigate"].digest if same else "an older one"
    history.add(old, Status.AGENT_BACKGROUND_TASK_STARTED, NOON, attempt=1, detail={"workflowDigest": digest})
    said = list[str]()
    assert sent(rb, old, from_step="planner", say=said.append)
    assert said == [] if same else "was an older one in run" in said[0]


@pytest.mark.usefixtures("as_journalled")
def test_calls_of_steps_that_are_done_again_may_be_repeated_only_if_somebody_says_so(
    rb: Runbook, history: History, clients: Clients, outputs: StackOutputs
) -> None:
    first = begun(rb, history, INVESTIGATE, ("investigator", 2), ("planner", None))
    finish(clients, outputs, first, "planner", "investigator/0002")
    # The run that retries it has begun no call of its own.
    second = failed_run(history, sent(rb, first))
    finish(clients, outputs, second, "planner", "investigator/0002")
    assert "claims" not in rb.metadata(second).request
    with pytest.raises(ToolsMayRunAgain, match=r"investigator \[2\]"):
        rb.retry(second, from_step="investigator")
    third = failed_run(history, sent(rb, second, from_step="investigator", again=True))
    for request in (rb.metadata(third).request, sent(rb, third, from_step="investigator", again=True)):
        assert [(claim["step"], claim["item"]) for claim in request["claims"]] == [("investigator", 2)]


def test_a_call_that_a_request_names_in_part_is_no_other_one() -> None:
    whole = ClaimedCall("mailer", None, "send", "x" * 400)
    told = [replace(whole, shown="x" * 200)]
    assert added(told, [whole, replace(whole, shown="y" * 400)]) == [*told, replace(whole, shown="y" * 400)]
