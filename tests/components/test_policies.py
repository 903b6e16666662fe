"""Every role of the stack: what it may do, on what, and that the reason stands beside it."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from local.deployment.program import PROJECT
from runtime.journal.keys import METADATA, answer_key, record_key
from tests.support.aws_calls import actions_called
from tests.support.iam_linter import TEMPLATE, condition_keys, findings, is_of_format, resource_formats
from tests.support.pulumi_program import ACCOUNT_ID, REGION, Deployment, deployed

TABLE = f"arn:aws:dynamodb:{REGION}:{ACCOUNT_ID}:table/journal-table"
BUS = f"arn:aws:events:{REGION}:{ACCOUNT_ID}:event-bus/default"
ACTORS = ("agent", "invoker", "workflow", "trigger", "trigger-schedule")
# The properties of resources that hold a policy.
POLICIES = ("policy", "assumeRolePolicy")


@pytest.fixture(scope="module")
def stack() -> Deployment:
    """A stack in which every actor has every permission that it can ever have."""
    return deployed("everything")


def actions(statement: dict[str, Any]) -> list[str]:
    return statement["Action"]


def test_each_actor_has_one_role_with_one_policy(stack: Deployment) -> None:
    assert {role.name for role in stack.all("Role")} == {f"{actor}-role" for actor in ACTORS}
    assert {policy.name for policy in stack.all("RolePolicy")} == {f"{actor}-policy" for actor in ACTORS}
    assert not [found for found in stack.resources if "Attachment" in found.type]


@pytest.mark.parametrize("actor", ACTORS)
def test_no_role_allows_a_wildcard_of_actions(stack: Deployment, actor: str) -> None:
    for statement in stack.statements(actor):
        assert not [action for action in actions(statement) if "*" in action]


@pytest.mark.parametrize("actor", ACTORS)
def test_any_resource_is_allowed_only_where_the_service_knows_no_narrower_one(stack: Deployment, actor: str) -> None:
    for statement in stack.statements(actor):
        if statement["Resource"] == ["*"]:
            assert {action: resource_formats(action) for action in actions(statement)} == {
                action: {"*"} for action in actions(statement)
            }


@pytest.mark.parametrize("actor", ACTORS)
def test_every_resource_is_one_that_its_actions_work_on(stack: Deployment, actor: str) -> None:
    for statement in stack.statements(actor):
        for action in actions(statement):
            formats = resource_formats(action)
            for resource in statement["Resource"]:
                assert any(is_of_format(resource, form) for form in formats), f"{action} on {resource}"


@pytest.mark.parametrize("actor", ACTORS)
def test_every_condition_is_one_that_its_actions_know(stack: Deployment, actor: str) -> None:
    for statement in stack.statements(actor):
        tested = {key for keys in statement.get("Condition", {}).values() for key in keys}
        for action in actions(statement):
            assert {key for key in tested if not key.startswith("aws:")} <= condition_keys(action), action


@pytest.mark.slow
@pytest.mark.parametrize("kind", TEMPLATE)
def test_an_independent_linter_finds_nothing(stack: Deployment, kind: str) -> None:
    policies = [found.inputs[key] for found in stack.all(kind) for key in POLICIES if key in found.inputs]
    assert policies
    for policy in policies:
        assert findings(kind, policy) == []


@pytest.mark.slow
def test_the_linter_would_find_what_is_wrong() -> None:
    statement = {"Effect": "Allow", "Action": "s3:GetObjekt", "Resource": "*", "Condition": {"StringIs": {"a": "b"}}}
    found = findings("RolePolicy", json.dumps({"Version": "2012-10-17", "Statement": [statement]}))
    assert {each.split(":")[0] for each in found} == {"W3037", "E3510"}


@pytest.mark.parametrize(
    ("actor", "service", "source"),
    [
        ("agent", "bedrock-agentcore.amazonaws.com", f"arn:aws:bedrock-agentcore:{REGION}:{ACCOUNT_ID}:*"),
        ("workflow", "states.amazonaws.com", f"arn:aws:states:{REGION}:{ACCOUNT_ID}:stateMachine:*"),
        ("trigger", "events.amazonaws.com", f"arn:aws:events:{REGION}:{ACCOUNT_ID}:rule/trigger-rule"),
        (
            "trigger-schedule",
            "scheduler.amazonaws.com",
            f"arn:aws:scheduler:{REGION}:{ACCOUNT_ID}:schedule-group/default",
        ),
    ],
)
def test_a_role_trusts_one_service_on_behalf_of_this_account_only(
    stack: Deployment, actor: str, service: str, source: str
) -> None:
    assert stack.trust(actor) == {
        "Effect": "Allow",
        "Principal": {"Service": service},
        "Action": "sts:AssumeRole",
        "Condition": {
            "StringEquals": {"aws:SourceAccount": ACCOUNT_ID},
            "ArnLike": {"aws:SourceArn": source},
        },
    }


def test_the_invoker_trusts_lambda_which_names_no_source(stack: Deployment) -> None:
    assert stack.trust("invoker") == {
        "Effect": "Allow",
        "Principal": {"Service": "lambda.amazonaws.com"},
        "Action": "sts:AssumeRole",
    }


def test_only_the_rule_of_executions_that_ended_badly_may_call_the_invoker_from_outside(stack: Deployment) -> None:
    permission = stack.one("Permission").inputs
    rule = f"arn:aws:events:{REGION}:{ACCOUNT_ID}:rule/abandoned-runs-rule"
    assert (permission["principal"], permission["sourceArn"]) == ("events.amazonaws.com", rule)


def on_table(stack: Deployment, actor: str) -> set[str]:
    return {
        action
        for statement in stack.statements(actor)
        if TABLE in statement["Resource"]
        for action in actions(statement)
    }


def test_nobody_may_update_or_delete_in_the_journal(stack: Deployment) -> None:
    append = {"dynamodb:PutItem", "dynamodb:ConditionCheckItem"}
    assert on_table(stack, "invoker") == append
    assert on_table(stack, "workflow") == {*append, "dynamodb:Query", "dynamodb:GetItem"}
    assert on_table(deployed("pinned"), "workflow") == {*append, "dynamodb:Query"}
    assert on_table(deployed("pinned"), "agent") == {*append, "dynamodb:Query"}


PUT, CHECK, GET, QUERY = (f"dynamodb:{action}" for action in ("PutItem", "ConditionCheckItem", "GetItem", "Query"))
RUNS, ANSWERS = "SESSION#*", "ANSWERS#*"
PARTITIONS = {
    # Code in an agent can read its role's credentials: it must not be able to approve what it asks.
    "agent": {PUT: {RUNS}, CHECK: {RUNS, ANSWERS}, QUERY: {RUNS}},
    "invoker": {PUT: {RUNS}, CHECK: {RUNS}},
    "workflow": {PUT: {RUNS, ANSWERS}, CHECK: {RUNS, ANSWERS}, GET: {RUNS, ANSWERS}, QUERY: {RUNS}},
}


def partitions(stack: Deployment, actor: str) -> dict[str, set[str]]:
    """In which partitions of the table an actor may do what."""
    found: dict[str, set[str]] = {}
    for statement in stack.statements(actor):
        if TABLE in statement["Resource"]:
            # Nothing is allowed in any partition: a statement without the condition has none to show.
            [(operator, tested)] = statement["Condition"].items()
            assert (operator, list(tested)) == ("ForAllValues:StringLike", ["dynamodb:LeadingKeys"])
            for action in actions(statement):
                found[action] = found.get(action, set()) | {*tested["dynamodb:LeadingKeys"]}
    return found


@pytest.mark.parametrize("actor", PARTITIONS)
def test_only_the_state_machine_may_write_answers_and_only_where_runs_may_wait(stack: Deployment, actor: str) -> None:
    assert partitions(stack, actor) == PARTITIONS[actor]
    never = {action: where - {ANSWERS} for action, where in PARTITIONS[actor].items() if action != GET}
    assert partitions(deployed("pinned"), actor) == never


def test_the_partitions_that_roles_name_are_those_that_keys_begin_with() -> None:
    assert record_key("a-run", METADATA)["PK"]["S"].startswith(RUNS.rstrip("*"))
    assert answer_key("a-run", 1)["PK"]["S"].startswith(ANSWERS.rstrip("*"))


def test_an_agent_that_wakes_its_execution_may_do_just_that_besides(stack: Deployment) -> None:
    waking, polling = (
        {action for s in found.statements("agent") for action in actions(s) if not is_for_the_platform(action)}
        for found in (stack, deployed("dev"))
    )
    assert waking - polling == {"states:SendTaskSuccess"}


@pytest.mark.parametrize(
    ("actor", "entry"), [("invoker", "runtime/invoker/handler.py"), ("agent", "runtime/agent/main.py")]
)
def test_a_role_allows_what_the_code_calls_and_nothing_else(stack: Deployment, actor: str, entry: str) -> None:
    allowed = {action for s in stack.statements(actor) for action in actions(s) if not is_for_the_platform(action)}
    assert allowed == actions_called(PROJECT / entry)


def is_for_the_platform(action: str) -> bool:
    """Whether Lambda or AgentCore uses it in the role's name, rather than our code."""
    return action.split(":")[0] in ("logs", "xray", "cloudwatch", "ecr")


def test_only_the_state_machine_and_the_schedule_publish_events(stack: Deployment) -> None:
    publishers = {actor for actor in ACTORS for s in stack.statements(actor) if actions(s) == ["events:PutEvents"]}
    assert publishers == {"workflow", "trigger-schedule"}
    assert all(
        s["Resource"] == [BUS] for a in publishers for s in stack.statements(a) if actions(s) == ["events:PutEvents"]
    )


def test_the_reason_of_every_statement_stands_above_it() -> None:
    for path in (PROJECT / "components").glob("*.py"):
        lines = path.read_text(encoding="utf-8").splitlines()
        for number, line in enumerate(lines):
            if re.search(r"\ballow\($|\ballow\(\[", line) and not line.lstrip().startswith("def "):
                before = lines[number - 1].strip()
                assert before.startswith("#"), f"{path.name}:{number + 1} has no reason above it"
