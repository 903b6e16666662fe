"""The way from an event to an execution."""

from __future__ import annotations

import json

import pytest

from tests.support.event_target import transformed
from tests.support.pulumi_program import ACCOUNT_ID, REGION, deployed

DEV = deployed("dev")
TARGET = DEV.one("EventTarget", "trigger-target").inputs
RULE_ARN = f"arn:aws:events:{REGION}:{ACCOUNT_ID}:rule/trigger-rule"
QUEUE_ARN = f"arn:aws:sqs:{REGION}:{ACCOUNT_ID}:trigger-dead-letters"
BUS_ARN = f"arn:aws:events:{REGION}:{ACCOUNT_ID}:event-bus/default"


@pytest.mark.parametrize("prompt", ["plain", 'with "quotes", \\ and\nlines', "<id>"])
def test_the_events_id_becomes_the_session_id_and_its_detail_the_request(prompt: str) -> None:
    event_id = "12345678-1234-1234-1234-123456789012"
    event = {"id": event_id, "detail-type": "AgentRunRequested", "detail": {"prompt": prompt}}
    assert transformed(TARGET["inputTransformer"], event) == {"session_id": event_id, "request": {"prompt": prompt}}


def test_no_rule_that_starts_runs_matches_the_event_that_ends_them() -> None:
    finished = json.loads(DEV.one("EventRule", "finished-runs-rule").inputs["eventPattern"])
    started = json.loads(DEV.one("EventRule", "trigger-rule").inputs["eventPattern"])
    assert not set(finished["source"]) & set(started["source"])


def test_an_event_that_starts_nothing_ends_in_the_queue() -> None:
    assert TARGET["deadLetterConfig"] == {"arn": QUEUE_ARN}
    assert TARGET["retryPolicy"] == {"maximumEventAgeInSeconds": 3600, "maximumRetryAttempts": 60}


def test_only_the_rule_may_send_to_the_queue_and_only_with_tls() -> None:
    allow, deny = json.loads(DEV.one("QueuePolicy").inputs["policy"])["Statement"]
    assert allow == {
        "Effect": "Allow",
        "Principal": {"Service": "events.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": QUEUE_ARN,
        "Condition": {"ArnEquals": {"aws:SourceArn": RULE_ARN}},
    }
    assert deny["Effect"] == "Deny"
    assert deny["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}


def test_the_rule_may_start_the_one_machine() -> None:
    assert DEV.statements("trigger") == [
        {
            "Effect": "Allow",
            "Action": ["states:StartExecution"],
            "Resource": [f"arn:aws:states:{REGION}:{ACCOUNT_ID}:stateMachine:workflow-machine"],
        }
    ]


def test_a_schedule_puts_an_event_like_any_other() -> None:
    stack = deployed("everything")
    target = stack.one("Schedule").inputs["target"]
    rule = json.loads(stack.one("EventRule", "trigger-rule").inputs["eventPattern"])
    assert target["arn"] == BUS_ARN
    assert [target["eventbridgeParameters"]["source"]] == rule["source"]
    assert [target["eventbridgeParameters"]["detailType"]] == rule["detail-type"]
