"""The state machine as a table: walked state by state, and its budgets computed."""

import importlib
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from components.workflow_budget import WorkflowSettings, machine_timeout_seconds
from components.workflow_definition import build_definition
from runtime.journal.vocabulary import TERMINAL

SETTINGS = WorkflowSettings(
    function_arn="arn:aws:lambda:us-east-1:123456789012:function:invoker",
    table_name="journal",
    event_bus_name="default",
    event_source="fire-and-forget.dev",
)
DEFINITION = build_definition(SETTINGS)
STATES: dict[str, dict[str, Any]] = DEFINITION["States"]
EVERY_WAY_TO_WAIT = pytest.mark.parametrize(
    "changes",
    [
        {},
        {"poll_max_interval_seconds": 60},
        {"completion": "callback"},
        {"completion": "callback", "poll_max_interval_seconds": 300},
    ],
    ids=["polls", "growing polls", "callback", "callback with growing polls"],
)


def with_settings(**changes: Any) -> WorkflowSettings:
    return WorkflowSettings(
        function_arn="arn", table_name="journal", event_bus_name="default", event_source="source", **changes
    )


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
    definition = build_definition(replace(SETTINGS, **changes))
    reached, waiting = set[str](), [definition["StartAt"]]
    while waiting:
        name = waiting.pop()
        if name not in reached:
            reached.add(name)
            waiting += next_states(definition["States"][name])
    assert reached == set(definition["States"])


@EVERY_WAY_TO_WAIT
def test_every_task_catches_everything_and_has_retries(changes: dict[str, Any]) -> None:
    states = build_definition(replace(SETTINGS, **changes))["States"]
    tasks = {name: state for name, state in states.items() if state["Type"] == "Task"}
    assert len(tasks) == (9 if "completion" in changes else 8)
    for name, state in tasks.items():
        assert state["Catch"][-1]["ErrorEquals"] == ["States.ALL"], name
        assert state["Retry"], name


def test_every_lambda_task_has_a_time_limit() -> None:
    for name, state in STATES.items():
        if state.get("Resource", "").endswith("lambda:invoke"):
            assert state["TimeoutSeconds"] <= 240, name


def test_every_error_of_ours_that_is_matched_is_a_class_that_exists() -> None:
    modules = [importlib.import_module(name) for name in ("runtime.invoker.errors", "runtime.journal.errors")]
    ours = {
        error
        for state in STATES.values()
        for rule in [*state.get("Retry", []), *state.get("Catch", [])]
        for error in rule["ErrorEquals"]
        if "." not in error
    }
    assert ours == {"AgentThrottled", "AgentUnavailable", "JournalUnavailable", "RunClosed", "RunTimedOut"}
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
    definition = build_definition(replace(SETTINGS, **changes))
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
    (timed_out,) = callback["Catch"]
    assert (timed_out["Next"], timed_out["Assign"]) == (wait["Next"], wait["Assign"])


def test_a_callback_that_does_not_grow_has_a_plain_time_limit() -> None:
    callback = build_definition(with_settings(completion="callback"))["States"]["WaitForCompletion"]
    assert callback["TimeoutSeconds"] == 120


def test_a_poll_is_one_bounded_strongly_consistent_query_newest_first() -> None:
    arguments = STATES["CheckStatus"]["Arguments"]
    assert arguments["KeyConditionExpression"] == "PK = :pk AND begins_with(SK, :event)"
    assert arguments["ExpressionAttributeValues"][":pk"] == {"S": "{% 'SESSION#' & $sessionId %}"}
    assert arguments["ScanIndexForward"] is False
    assert arguments["Limit"] == 20
    assert arguments["ConsistentRead"] is True
    assert arguments["ExpressionAttributeNames"] == {"#status": "status"}


def test_a_poll_asks_for_every_terminal_status() -> None:
    values = STATES["CheckStatus"]["Arguments"]["ExpressionAttributeValues"].values()
    assert {status.value for status in TERMINAL} <= {value.get("S") for value in values}


def test_every_write_is_a_put_on_condition_that_nothing_is_there() -> None:
    for name, state in STATES.items():
        for action in state.get("Arguments", {}).get("TransactItems", []) if state["Type"] == "Task" else []:
            assert set(action) <= {"Put", "ConditionCheck"}, name
            (operation,) = action.values()
            assert operation["ConditionExpression"] == "attribute_not_exists(PK)", name


def test_every_end_but_the_duplicates_releases_the_session_and_announces_the_outcome() -> None:
    ends = {name for name, state in STATES.items() if state["Type"] in ("Succeed", "Fail")}
    assert ends == {"InvalidSessionId", "ClaimFailed", "DuplicateDelivery", "RunCompleted", "RunFailed"}
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
    retries = 2 * SETTINGS.invoke_retry_seconds
    assert machine_timeout_seconds(SETTINGS) > retries + SETTINGS.max_run_seconds + SETTINGS.lease_seconds
    assert DEFINITION["TimeoutSeconds"] == machine_timeout_seconds(SETTINGS)


def test_the_definition_is_json_and_far_from_the_size_limit() -> None:
    assert len(json.dumps(DEFINITION)) < 100_000  # Step Functions takes 1 MB
