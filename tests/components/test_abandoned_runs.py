"""The way from an execution that ended badly to the invoker."""

from __future__ import annotations

import json
from typing import Any

from tests.support.pulumi_program import deployed

DEV = deployed("dev")
RULE = DEV.one("EventRule", "abandoned-runs-rule").inputs
TARGET = DEV.one("EventTarget", "abandoned-runs-target").inputs
FUNCTION_ARN = "arn:aws:lambda:us-east-1:123456789012:function:invoker-function"


def test_the_rule_matches_bad_ends_of_this_stacks_machine_only() -> None:
    detail: dict[str, Any] = json.loads(RULE["eventPattern"])["detail"]
    assert detail == {
        "stateMachineArn": ["arn:aws:states:us-east-1:123456789012:stateMachine:workflow-machine"],
        "status": ["FAILED", "TIMED_OUT", "ABORTED"],
    }


def test_the_invoker_gets_the_change_as_it_is_with_nothing_put_into_a_text() -> None:
    assert TARGET["inputPath"] == "$.detail"
    assert "inputTransformer" not in TARGET


def test_the_rule_alone_may_call_the_invoker() -> None:
    permission = DEV.one("Permission").inputs
    assert permission["function"] == TARGET["arn"] == FUNCTION_ARN
    assert permission["principal"] == "events.amazonaws.com"
    assert permission["sourceArn"] == "arn:aws:events:us-east-1:123456789012:rule/abandoned-runs-rule"
