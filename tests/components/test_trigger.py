"""The way from an event to an execution."""

from __future__ import annotations

import json

import pytest

from tests.support.event_target import transformed
from tests.support.pulumi_program import ACCOUNT_ID, REGION, deploy, deployed

DEV = deployed("dev")
TARGET = DEV.one("EventTarget", "trigger-target").inputs
RULE_ARN = f"arn:aws:events:{REGION}:{ACCOUNT_ID}:rule/trigger-rule"
QUEUE_ARN = f"arn:aws:sqs:{REGION}:{ACCOUNT_ID}:trigger-dead-letters"
BUS_ARN = f"arn:aws:events:{REGION}:{ACCOUNT_ID}:event-bus/default"
SCHEDULED = {"schedule": "cron(0 6 * * ? *)", "scheduledRequest": {"prompt": "What changed since yesterday?"}}


@pytest.mark.parametrize("prompt", ["plain", 'with "quotes", \\ and\nlines', "<id>"])
def test_the_events_id_becomes_the_session_id_and_its_detail_the_request(prompt: str) -> None:
    event_id = "12345678-1234-1234-1234-123456789012"
    event = {"id": event_id, "detail-type": "AgentRunRequested", "detail": {"prompt": prompt}}
    assert transformed(TARGET["inputTransformer"], event) == {"session_id": event_id, "request": {"prompt": prompt}}


def test_the_rule_matches_this_stacks_requests_only() -> None:
    rule = DEV.one("EventRule", "trigger-rule").inputs
    assert json.loads(rule["eventPattern"]) == {
        "source": ["fire-and-forget.dev"],
        "detail-type": ["AgentRunRequested"],
    }


def test_the_source_can_be_chosen() -> None:
    stack = deploy("dev", {"eventSource": "my.orders"})
    assert json.loads(stack.one("EventRule", "trigger-rule").inputs["eventPattern"])["source"] == ["my.orders"]
    assert stack.outputs["eventSource"] == "my.orders"


def test_no_rule_that_starts_runs_matches_the_event_that_ends_them() -> None:
    finished = json.loads(DEV.one("EventRule", "finished-runs-rule").inputs["eventPattern"])
    started = json.loads(DEV.one("EventRule", "trigger-rule").inputs["eventPattern"])
    assert not set(finished["source"]) & set(started["source"])


def test_an_event_that_starts_nothing_ends_in_the_queue() -> None:
    assert TARGET["deadLetterConfig"] == {"arn": QUEUE_ARN}
    assert TARGET["retryPolicy"] == {"maximumEventAgeInSeconds": 3600, "maximumRetryAttempts": 60}


def test_nothing_is_sent_before_the_queue_lets_the_rule_send() -> None:
    target = DEV.one("EventTarget", "trigger-target")
    assert DEV.one("QueuePolicy").urn in target.depends_on
    assert DEV.one("RolePolicy", "trigger-policy").urn in target.depends_on


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


def test_dead_letters_are_encrypted_and_kept_for_two_weeks() -> None:
    queue = DEV.one("Queue").inputs
    assert queue["sqsManagedSseEnabled"] is True
    assert queue["messageRetentionSeconds"] == 14 * 24 * 3600


def test_the_rule_may_start_the_one_machine() -> None:
    assert DEV.statements("trigger") == [
        {
            "Effect": "Allow",
            "Action": ["states:StartExecution"],
            "Resource": [f"arn:aws:states:{REGION}:{ACCOUNT_ID}:stateMachine:workflow-machine"],
        }
    ]


@pytest.mark.parametrize("stack", ["dev", "staging"])
def test_nothing_runs_on_a_schedule_unless_it_is_asked_for(stack: str) -> None:
    assert deployed(stack).all("Schedule") == []


def test_a_schedule_puts_an_event_like_any_other() -> None:
    stack = deploy("dev", SCHEDULED)
    schedule = stack.one("Schedule").inputs
    assert schedule["scheduleExpression"] == "cron(0 6 * * ? *)"
    target = schedule["target"]
    rule = json.loads(stack.one("EventRule", "trigger-rule").inputs["eventPattern"])
    assert target["arn"] == BUS_ARN
    assert [target["eventbridgeParameters"]["source"]] == rule["source"]
    assert [target["eventbridgeParameters"]["detailType"]] == rule["detail-type"]
    assert json.loads(target["input"]) == SCHEDULED["scheduledRequest"]
    assert target["deadLetterConfig"] == {"arn": QUEUE_ARN}
