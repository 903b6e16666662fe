"""The state machine as a resource."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support.pulumi_program import deploy, deployed, nobody_asked

DEV = deployed("dev")
MACHINE = DEV.one("StateMachine").inputs
DEFINITION: dict[str, Any] = json.loads(MACHINE["definition"])


def test_the_definition_calls_this_stacks_function_and_table() -> None:
    text = MACHINE["definition"]
    assert '"arn:aws:lambda:us-east-1:123456789012:function:invoker-function"' in text
    assert '"journal-table"' in text
    assert DEFINITION["States"]["PublishFinished"]["Arguments"]["Entries"][0]["Source"] == "fire-and-forget.dev.runs"


# Not callbacks whose polls grow: its schema has no computed TimeoutSeconds, which AWS does:
# https://docs.aws.amazon.com/step-functions/latest/dg/transforming-data.html
@pytest.mark.slow
@pytest.mark.parametrize(
    ("completion", "longest", "waits"), [("poll", 1, "0"), ("poll", 300, "3"), ("callback", 1, "3")]
)
def test_cloudformations_linter_accepts_the_definition(completion: str, longest: int, waits: str) -> None:
    # It knows the states language with JSONata; neither the engine nor the emulator checks a definition.
    with nobody_asked():
        stack = deploy("dev", {"completion": completion, "pollMaxIntervalSeconds": longest, "maxWaits": waits})
    assert lint(json.loads(stack.one("StateMachine").inputs["definition"])) == []


@pytest.mark.slow
def test_cloudformations_linter_would_notice_a_mistake() -> None:
    wait = {"Type": "Wait", "Second": 1, "Next": "CheckStatus"}
    broken = {**DEFINITION, "StartAt": "Nowhere", "States": {**DEFINITION["States"], "WaitForCompletion": wait}}
    assert len(lint(broken)) >= 2


def lint(definition: dict[str, Any]) -> list[str]:
    from cfnlint.api import lint_all  # its import takes as long as all other tests of this file

    machine = {
        "Type": "AWS::StepFunctions::StateMachine",
        "Properties": {"RoleArn": "arn:aws:iam::123456789012:role/workflow", "Definition": definition},
    }
    template = json.dumps({"AWSTemplateFormatVersion": "2010-09-09", "Resources": {"Machine": machine}})
    # Without its notes, which are about the template around the machine.
    return [str(match) for match in lint_all(template) if not match.rule.id.startswith("I")]


def test_errors_are_logged_without_what_the_run_was_about() -> None:
    group = "arn:aws:logs:us-east-1:123456789012:log-group:/aws/vendedlogs/states/fire-and-forget-dev-workflow"
    assert MACHINE["loggingConfiguration"] == {
        "level": "ERROR",
        "includeExecutionData": False,
        "logDestination": f"{group}:*",
    }


@pytest.mark.parametrize("stack", ["pinned", "everything"])
def test_the_machine_calls_nothing_that_its_role_does_not_allow(stack: str) -> None:
    # Step Functions' own calls are the one thing that the emulator doesn't check against a role.
    may_wait = stack == "everything"
    needed = {
        "arn:aws:states:::aws-sdk:dynamodb:transactWriteItems": {"dynamodb:PutItem", "dynamodb:ConditionCheckItem"},
        "arn:aws:states:::aws-sdk:dynamodb:query": {"dynamodb:Query"},
        "arn:aws:states:::lambda:invoke": {"lambda:InvokeFunction"},
        "arn:aws:states:::events:putEvents": {"events:PutEvents"},
    }
    needed |= {"arn:aws:states:::aws-sdk:dynamodb:transactGetItems": {"dynamodb:GetItem"}} if may_wait else {}
    definition = json.loads(deployed(stack).one("StateMachine").inputs["definition"])
    tasks = [state for state in definition["States"].values() if state["Type"] == "Task"]
    called = {state["Resource"].removesuffix(".waitForTaskToken") for state in tasks}
    assert called == set(needed)
    allowed = {action for statement in deployed(stack).statements("workflow") for action in statement["Action"]}
    data = {action for action in allowed if action.split(":")[0] in ("dynamodb", "lambda", "events")}
    assert data == {action for resource in called for action in needed[resource]}
    # Each kind of item in a transaction has an action of its own.
    items = [item for state in tasks for item in state["Arguments"].get("TransactItems", [])]
    assert {kind for item in items for kind in item} == {"Put", "ConditionCheck", *(["Get"] if may_wait else [])}
