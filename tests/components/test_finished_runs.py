"""The log of finished runs and the metrics made of it."""

from __future__ import annotations

import json
from typing import Any

from tests.support.pulumi_program import ACCOUNT_ID, REGION, deployed

DEV = deployed("dev")
LOG_GROUP = f"arn:aws:logs:{REGION}:{ACCOUNT_ID}:log-group:/aws/events/fire-and-forget-dev-finished-runs"
RULE = f"arn:aws:events:{REGION}:{ACCOUNT_ID}:rule/finished-runs-rule"


def finished_event() -> dict[str, Any]:
    """The event that the state machine publishes, its values left as expressions."""
    definition = json.loads(DEV.one("StateMachine").inputs["definition"])
    [entry] = definition["States"]["PublishFinished"]["Arguments"]["Entries"]
    return entry


def test_the_rule_matches_what_the_state_machine_publishes() -> None:
    pattern = json.loads(DEV.one("EventRule", "finished-runs-rule").inputs["eventPattern"])
    published = finished_event()
    assert published["Source"] in pattern["source"]
    assert published["DetailType"] in pattern["detail-type"]


def test_every_metric_reads_a_field_that_the_event_has() -> None:
    filters = [found for found in DEV.all("LogMetricFilter") if found.name.startswith("finished-runs-")]
    fields = [found.inputs["pattern"].strip("{} ").split()[0] for found in filters]
    assert "$.detail.outcome" in fields
    for field in fields:
        assert field.split(".")[2] in finished_event()["Detail"], field


def test_eventbridge_may_write_this_rules_events_to_this_log_group_only() -> None:
    stream, events = json.loads(DEV.one("LogResourcePolicy").inputs["policyDocument"])["Statement"]
    assert stream["Resource"] == events["Resource"] == f"{LOG_GROUP}:*"
    assert (stream["Action"], events["Action"]) == ("logs:CreateLogStream", "logs:PutLogEvents")
    assert events["Condition"] == {"ArnEquals": {"aws:SourceArn": RULE}}
