"""The mail about a run that waits for a person."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from tests.support.pulumi_program import ACCOUNT_ID, REGION, deploy, deployed, nobody_asked

STACK = deployed("everything")
RULE = f"arn:aws:events:{REGION}:{ACCOUNT_ID}:rule/question-mail-rule"
TARGET: dict[str, Any] = STACK.one("EventTarget", "question-mail-target").inputs


def waiting_event() -> dict[str, Any]:
    """The event that the state machine publishes, its values left as expressions."""
    definition = json.loads(STACK.one("StateMachine").inputs["definition"])
    [entry] = definition["States"]["PublishWaiting"]["Arguments"]["Entries"]
    return entry


def test_the_rule_matches_the_first_event_of_a_wait() -> None:
    pattern = json.loads(STACK.one("EventRule", "question-mail-rule").inputs["eventPattern"])
    assert pattern == {
        "source": [waiting_event()["Source"]],
        "detail-type": [waiting_event()["DetailType"]],
        "detail": {"waitingSeconds": [{"numeric": ["=", 0]}]},
    }
    assert "waitingSeconds" in waiting_event()["Detail"]


def test_the_mail_is_a_sentence_made_of_fields_that_the_event_has() -> None:
    transformer = TARGET["inputTransformer"]
    paths: dict[str, str] = transformer["inputPaths"]
    assert {path.removeprefix("$.detail.") for path in paths.values()} <= set(waiting_event()["Detail"])
    assert {*re.findall(r"<(\w+)>", transformer["inputTemplate"])} == set(paths)
    text = json.loads(transformer["inputTemplate"])
    assert "runbook answer <sessionId> --wait <wait> --stack dev" in text


def test_only_the_rule_may_publish_to_the_topic() -> None:
    [statement] = json.loads(STACK.one("TopicPolicy").inputs["policy"])["Statement"]
    assert (statement["Action"], statement["Resource"]) == ("sns:Publish", TARGET["arn"])
    assert statement["Condition"] == {"ArnEquals": {"aws:SourceArn": RULE}}


@pytest.mark.parametrize("settings", [{"maxWaits": "2"}, {"questionEmail": "approvals@example.com"}])
def test_nobody_is_mailed_without_an_address_or_where_no_run_waits(settings: dict[str, Any]) -> None:
    with nobody_asked():
        assert not [found for found in deploy("dev", settings).resources if found.name.startswith("question-mail")]
