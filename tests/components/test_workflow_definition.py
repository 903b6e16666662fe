"""The state machine as a table: walked state by state, and its budgets computed."""

import importlib
import itertools
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from components.settings import Settings
from components.workflow_budget import WorkflowSettings, machine_timeout_seconds, poll_intervals
from components.workflow_definition import build_definition
from runtime.journal.keys import OUTCOME, event_sort_key
from runtime.journal.timestamps import to_timestamp, utc_now
from tests.support.state_machine import evaluate

STACK = Settings.defaults(event_source="fire-and-forget.dev", max_waits=0)
EVERY_WAY_TO_WAIT = pytest.mark.parametrize(
    "changes",
    [
        {},
        {"poll_max_interval_seconds": 60},
        {"completion": "callback"},
        {"completion": "callback", "poll_max_interval_seconds": 300},
        {"max_waits": 3},
        {"max_waits": 10, "completion": "callback"},
    ],
    ids=["polls", "growing polls", "callback", "callback with growing polls", "may wait", "callback, may wait"],
)


def lambda_cause(message: str) -> str:
    """What AWS's runtime client makes of an error."""
    return json.dumps({"errorMessage": message, "errorType": "Boom", "stackTrace": []}, ensure_ascii=False)


def with_settings(**changes: Any) -> WorkflowSettings:
    function_arn = "arn:aws:lambda:us-east-1:123456789012:function:invoker"
    return WorkflowSettings(replace(STACK, **changes), function_arn, "journal", "default")


DEFINITION = build_definition(with_settings())
STATES: dict[str, dict[str, Any]] = DEFINITION["States"]
MAY_WAIT: dict[str, dict[str, Any]] = build_definition(with_settings(max_waits=3))["States"]


def next_states(state: dict[str, Any]) -> Iterator[str]:
    yield from (state[key] for key in ("Next", "Default") if key in state)
    yield from (choice["Next"] for choice in state.get("Choices", []))
    yield from (catch["Next"] for catch in state.get("Catch", []))


def expressions(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for inner in value.values():
            yield from expressions(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from expressions(inner)
    elif isinstance(value, str) and value.startswith("{%"):
        yield value


@EVERY_WAY_TO_WAIT
def test_every_state_that_is_named_exists_and_every_state_is_reached(changes: dict[str, Any]) -> None:
    definition = build_definition(with_settings(**changes))
    reached, waiting = set[str](), [definition["StartAt"]]
    while waiting:
        name = waiting.pop()
        if name not in reached:
            reached.add(name)
            waiting += next_states(definition["States"][name])
    assert reached == set(definition["States"])


ESSENTIAL = ("ClaimSession", "CloseSession", "ExpireQuestions")


@EVERY_WAY_TO_WAIT
def test_every_task_has_retries_and_catches_everything_but_those_that_can_be_redriven(
    changes: dict[str, Any],
) -> None:
    # A redrive goes on at the task that failed; after a Fail state it fails again.
    states = build_definition(with_settings(**changes))["States"]
    tasks = {name: state for name, state in states.items() if state["Type"] == "Task"}
    assert len(tasks) == 8 + ("completion" in changes) + 5 * ("max_waits" in changes)
    for name, state in tasks.items():
        assert (state["Catch"][-1]["ErrorEquals"] == ["States.ALL"]) == (name not in ESSENTIAL), name
        assert state["Retry"], name


@EVERY_WAY_TO_WAIT
def test_every_loop_has_a_wait_in_it(changes: dict[str, Any]) -> None:
    states = build_definition(with_settings(**changes))["States"]
    hasty = {name: set(_at_once(state)) for name, state in states.items() if state["Type"] != "Wait"}
    for start in hasty:
        reached, waiting = set[str](), list(hasty[start])
        while waiting:
            name = waiting.pop()
            if name in hasty and name not in reached:
                reached.add(name)
                waiting += hasty[name]
        assert start not in reached, f"{start} comes round again without a wait"


def _at_once(state: dict[str, Any]) -> Iterator[str]:
    """The states that may follow without any time going by: a callback that succeeds or times out has waited."""
    if not state.get("Resource", "").endswith(".waitForTaskToken"):
        yield from next_states(state)
        return
    yield from (catch["Next"] for catch in state["Catch"] if catch["ErrorEquals"] != ["States.Timeout"])


def test_every_lambda_task_has_a_time_limit() -> None:
    for name, state in MAY_WAIT.items():
        if state.get("Resource", "").endswith("lambda:invoke"):
            assert state["TimeoutSeconds"] <= 240, name


def test_every_error_of_ours_that_is_matched_is_a_class_that_exists() -> None:
    modules = [importlib.import_module(name) for name in ("runtime.invoker.errors", "runtime.journal.errors")]
    ours = {
        error
        for state in MAY_WAIT.values()
        for rule in [*state.get("Retry", []), *state.get("Catch", [])]
        for error in rule["ErrorEquals"]
        if "." not in error
    }
    transient = {"AgentThrottled", "AgentUnavailable", "JournalUnavailable", "SessionInTransition"}
    assert ours == transient | {"RunClosed", "RunTimedOut", "RunWaiting"}
    for error in ours:
        assert any(hasattr(module, error) for module in modules), error


@EVERY_WAY_TO_WAIT
def test_every_variable_is_assigned_before_any_path_reads_it(changes: dict[str, Any]) -> None:
    """Walks all paths with the set of variables that each is sure to have: a missing one fails an execution."""
    local = {
        "states",
        "ended",
        "alive",
        "told",
        "exists",
        "string",
        "contains",
        "type",
        "fromMillis",
        "toMillis",
        "error",
    }
    local |= {"millis", "hash", "floor", "substring", "number", "match", "replace", "merge", "min", "power"}
    local |= {"event", "cut", "m", "code", "known", "lookup", "length", "list", "text", "substringAfter"}
    local |= {"decodeUrlComponent", "now", "until", "open", "said", "max", "ceil"}
    definition = build_definition(with_settings(**changes))
    seen: dict[str, set[str]] = {}
    waiting: list[tuple[str, set[str]]] = [(definition["StartAt"], set())]
    while waiting:
        name, known = waiting.pop()
        if name in seen:
            known = known & seen[name]
            if known == seen[name]:
                continue
        seen[name] = known
        state = definition["States"][name]
        own = {key: value for key, value in state.items() if key not in ("Choices", "Catch")}
        read = {word for text in expressions(own) for word in re.findall(r"\$([a-zA-Z]+)", text)} - local
        assert read <= known, f"{name} reads {read - known}"
        after = known | set(state.get("Assign", {}))
        waiting += [(state[key], after) for key in ("Next", "Default") if key in state]
        for branch in [*state.get("Choices", []), *state.get("Catch", [])]:
            waiting.append((branch["Next"], known | set(branch.get("Assign", {}))))


def test_a_callback_times_out_into_the_poll_that_a_plain_wait_of_the_same_lengths_would_have() -> None:
    # The embedded cloud runs growing waits; it takes no computed time limits of tasks.
    lengths = {"poll_interval_seconds": 120, "callback_poll_seconds": 120, "poll_max_interval_seconds": 300}
    wait = build_definition(with_settings(**lengths))["States"]["WaitForCompletion"]
    callback = build_definition(with_settings(**lengths, completion="callback"))["States"]["WaitForCompletion"]
    assert callback["TimeoutSeconds"] == wait["Seconds"]
    timed_out = callback["Catch"][0]
    assert timed_out["ErrorEquals"] == ["States.Timeout"]
    assert (timed_out["Next"], timed_out["Assign"]) == (wait["Next"], wait["Assign"])


def test_whether_it_polls_or_is_woken_makes_no_difference_but_where_it_waits() -> None:
    # Which is why fault and end-to-end tests of what comes before it run for one of the two only.
    polls, woken = (
        build_definition(with_settings(completion=completion, max_waits=3)) for completion in ("poll", "callback")
    )
    assert polls["States"].pop("WaitForCompletion") != woken["States"].pop("WaitForCompletion")
    assert polls == woken


@pytest.mark.parametrize("polls", [0, 1, 25, 1023, 1024, 25_000])
@pytest.mark.parametrize("completion", ["poll", "callback"])
def test_a_growing_interval_can_be_computed_after_any_number_of_polls(completion: str, polls: int) -> None:
    growing = with_settings(completion=completion, poll_growth_percent=100, poll_max_interval_seconds=3000)
    state = build_definition(growing)["States"]["WaitForCompletion"]
    intervals = poll_intervals(growing.stack)
    expected = next(itertools.islice(intervals, min(polls, 20), None))
    assert evaluate(state.get("Seconds") or state["TimeoutSeconds"], {"polls": polls}) == expected


HOSTILE = 'a "quoted" word,\n\ttwo lines, a \\ and \x01, \u00e9, \u2028, \U0001f600'


@pytest.mark.parametrize(
    ("cause", "message"),
    [
        (lambda_cause(HOSTILE), HOSTILE),
        (lambda_cause("x" * 100_000), "x" * 2000),
        (lambda_cause('"' * 80_000), '"' * 400),
        ("", "Step Functions gave no cause"),
        ("not JSON", "not JSON"),
        ('{"errorMessage": "cut sh', "cut sh"),
        ('{"errorType": "Killed"}', '{"errorType": "Killed"}'),
    ],
    ids=["hostile", "long", "quotes", "none", "text", "cut", "no message"],
)
def test_a_run_is_closed_with_what_a_failed_call_said(cause: str, message: str) -> None:
    catch = STATES["InvokeAgent"]["Catch"][-1]["Assign"]["closing"]
    error = {"Error": "Boom", "Cause": cause}
    assert evaluate(catch["errorMessage"], {}, error_output=error) == message


@pytest.mark.parametrize(("error", "shown"), [("States.Timeout", "Timeout"), ("AgentRefused", "AgentRefused")])
def test_no_run_ends_with_a_name_that_step_functions_keeps_for_itself(error: str, shown: str) -> None:
    catch = STATES["InvokeAgent"]["Catch"][-1]["Assign"]["closing"]
    assert evaluate(catch["errorType"], {}, error_output={"Error": error, "Cause": ""}) == shown


@pytest.mark.parametrize(
    "cause",
    [
        "D3137: the input needs an id",
        "The JSONata expression '($f(1) ? $error('the input'))' failed. D3137: the input needs an id",
    ],
    ids=["emulator", "AWS"],
)
def test_a_refused_claim_says_the_sentence_alone(cause: str) -> None:
    refusal = STATES["ClaimSession"]["Catch"][0]["Assign"]["refusal"]
    assert evaluate(refusal, {}, error_output={"Error": "States.QueryEvaluationError", "Cause": cause}) == (
        "the input needs an id"
    )


@pytest.mark.parametrize(
    ("request_", "stored"),
    [
        ({"prompt": "Why?", "n": 1}, '{"prompt":"Why?","n":1}'),
        ("bare text", '"bare text"'),
        (7, "7"),
        (None, "null"),
        ([], "[]"),
        ({"prompt": '"' * 64_000}, "null"),
        ({"prompt": "x" * 245_000}, json.dumps({"prompt": "x" * 245_000}, separators=(",", ":"))),
    ],
    ids=["object", "text", "number", "null", "list", "too large when escaped", "large"],
)
def test_a_request_is_kept_as_json_text_unless_it_is_too_large_to_be_sent(request_: object, stored: str) -> None:
    item = STATES["ClaimSession"]["Arguments"]["TransactItems"][0]["Put"]["Item"]
    assert evaluate(item["request"]["S"], {}, given={"request": request_}) == stored


@pytest.mark.parametrize(("given_seconds", "is_over"), [(0, True), (60, False)], ids=["given back", "held"])
def test_a_lease_that_was_given_back_is_over_however_late_the_acknowledgement_seemed(
    given_seconds: int, is_over: bool
) -> None:
    # The wake-up is quicker than the acknowledgement was, whose time the offset has in it.
    written = utc_now()
    event = {
        "SK": {"S": "EVENT#…"},
        "attempt": {"N": "1"},
        "environmentId": {"S": "an environment"},
        "createdAt": {"S": to_timestamp(written)},
        "leaseExpiresAt": {"S": to_timestamp(written + timedelta(seconds=given_seconds))},
    }
    variables = {"attempt": 1, "since": "", "offset": 5000, "lease": None}
    lease = evaluate(STATES["CheckStatus"]["Assign"]["lease"], variables, result={"Items": [event]})
    assert evaluate(STATES["EvaluateStatus"]["Choices"][-1]["Condition"], {"lease": lease}) is is_over


@pytest.mark.parametrize(
    ("request_", "name"),
    [
        ({"prompt": "Why?", "workflow": "follow_up"}, "follow_up"),
        ({"prompt": "Why?"}, "default"),
        ({"workflow": 7}, "default"),
        ({"workflow": "x" * 100}, "x" * 40),
        (None, "default"),
        (["text"], "default"),
    ],
    ids=["named", "not named", "a number", "far too long", "no request", "a list"],
)
def test_a_run_keeps_the_name_of_its_workflow_whatever_was_asked(request_: object, name: str) -> None:
    item = STATES["ClaimSession"]["Arguments"]["TransactItems"][0]["Put"]["Item"]
    assert evaluate(item["workflow"]["S"], {}, given={"request": request_}) == name
    assert evaluate(STATES["ClaimSession"]["Assign"]["workflow"], {}, given={"request": request_}) == name


def test_an_input_without_a_request_is_claimed_as_null() -> None:
    item = STATES["ClaimSession"]["Arguments"]["TransactItems"][0]["Put"]["Item"]
    assert evaluate(item["request"]["S"], {}, given={}) == "null"


def test_a_claim_that_is_too_large_for_step_functions_says_so() -> None:
    # The emulator has no such limit.
    [too_large] = [catch for catch in STATES["ClaimSession"]["Catch"] if "DataLimitExceeded" in catch["ErrorEquals"][0]]
    assert too_large["Next"] == "InvalidRequest"
    assert "256 KiB" in too_large["Assign"]["refusal"]
    [never] = [rule for rule in STATES["ClaimSession"]["Retry"] if rule["MaxAttempts"] == 0]
    assert never["ErrorEquals"] == too_large["ErrorEquals"]


@EVERY_WAY_TO_WAIT
def test_every_expression_is_on_one_line(changes: dict[str, Any]) -> None:
    for text in expressions(build_definition(with_settings(**changes))):
        assert "\n" not in text


def test_a_callback_that_does_not_grow_has_a_plain_time_limit() -> None:
    callback = build_definition(with_settings(completion="callback"))["States"]["WaitForCompletion"]
    assert callback["TimeoutSeconds"] == 120


def test_a_look_is_one_bounded_strongly_consistent_query_newest_first() -> None:
    arguments = STATES["CheckStatus"]["Arguments"]
    assert arguments["KeyConditionExpression"] == "PK = :pk AND begins_with(SK, :look)"
    assert arguments["ExpressionAttributeValues"][":look"] == {"S": "EVENT"}
    assert arguments["ExpressionAttributeValues"][":pk"] == {"S": "{% 'SESSION#' & $sessionId %}"}
    assert arguments["ScanIndexForward"] is False
    assert arguments["Limit"] == 20
    # Records of waits come before the newest event.
    assert MAY_WAIT["CheckStatus"]["Arguments"]["Limit"] == 20 + 3
    assert arguments["ConsistentRead"] is True


def test_the_outcome_sorts_after_every_event() -> None:
    assert OUTCOME.startswith("EVENT")
    assert event_sort_key("9999-12-31T23:59:59.999Z", "~" * 32) < OUTCOME


def test_every_write_is_a_put_on_condition_that_nothing_is_there() -> None:
    for name, state in MAY_WAIT.items():
        if "transactWriteItems" not in state.get("Resource", ""):
            continue
        for action in state["Arguments"]["TransactItems"]:
            assert set(action) <= {"Put", "ConditionCheck"}, name
            (operation,) = action.values()
            # A wait that expires has to be there.
            is_wait = "ConditionCheck" in action and name == "ExpireQuestions" and "WAIT#" in str(operation["Key"])
            assert operation["ConditionExpression"] == f"attribute_{'' if is_wait else 'not_'}exists(PK)", name


def test_every_end_but_the_duplicates_releases_the_session_and_announces_the_outcome() -> None:
    ends = {name for name, state in STATES.items() if state["Type"] in ("Succeed", "Fail")}
    assert ends == {"InvalidRequest", "DuplicateDelivery", "RunCompleted", "RunFailed"}
    into_the_last_two = {
        name for name, state in STATES.items() if {"RunCompleted", "RunFailed"} & {*next_states(state)}
    }
    assert into_the_last_two == {"Ended"}
    assert {name for name, state in STATES.items() if "Ended" in next_states(state)} == {"PublishFinished"}
    assert {name for name, state in STATES.items() if "PublishFinished" in next_states(state)} == {"ReleaseSession"}


def test_what_announces_an_end_comes_from_another_source_than_what_starts_a_run() -> None:
    (entry,) = STATES["PublishFinished"]["Arguments"]["Entries"]
    assert entry["Source"] == "fire-and-forget.dev.runs"


def test_throttled_starts_ride_out_the_configured_time_on_average() -> None:
    retry = next(rule for rule in STATES["InvokeAgent"]["Retry"] if "AgentThrottled" in rule["ErrorEquals"])
    delays = [
        min(retry["IntervalSeconds"] * retry["BackoffRate"] ** n, retry["MaxDelaySeconds"])
        for n in range(retry["MaxAttempts"])
    ]
    assert retry["JitterStrategy"] == "FULL"
    assert 3600 <= sum(delays) / 2 < 3600 + 30


def test_the_machines_own_time_limit_comes_after_every_other() -> None:
    retries = 2 * STACK.invoke_retry_seconds
    assert machine_timeout_seconds(STACK) > retries + STACK.max_run_seconds + STACK.lease_seconds
    assert DEFINITION["TimeoutSeconds"] == machine_timeout_seconds(STACK)


def test_the_definition_is_json_and_far_from_the_size_limit() -> None:
    assert len(json.dumps(MAY_WAIT)) < 100_000  # Step Functions takes 1 MB


def test_a_machine_whose_runs_never_wait_has_nothing_of_it() -> None:
    text = json.dumps(DEFINITION)
    assert not [word for word in ("WAIT#", "ANSWERS#", "asked", "answer", "segment", "lastAttempt") if word in text]
    assert set(MAY_WAIT) - set(STATES) == {
        *("StopWaitingAgent", "LookForAnswer", "CouldNotLookForAnswer", "EvaluateAnswer", "PublishWaiting"),
        *("WaitForAnswer", "WaitToLookForAnswer", "ExpireQuestions", "NextSegment"),
    }
