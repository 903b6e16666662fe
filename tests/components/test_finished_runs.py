"""The log of finished runs and the metrics made of it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support.pulumi_program import ACCOUNT_ID, REGION, Deployment, deployed

DEV, EVERYTHING = deployed("dev"), deployed("everything")
LOG_GROUP = f"arn:aws:logs:{REGION}:{ACCOUNT_ID}:log-group:/aws/events/fire-and-forget-dev-finished-runs"
RULE = f"arn:aws:events:{REGION}:{ACCOUNT_ID}:rule/finished-runs-rule"


def events(stack: Deployment) -> dict[str, dict[str, Any]]:
    """The events that a stack's state machine publishes, by type, their values left as expressions."""
    definition = json.loads(stack.one("StateMachine").inputs["definition"])
    publishing = [state for state in definition["States"].values() if state.get("Resource", "").endswith("putEvents")]
    return {entry["DetailType"]: entry for state in publishing for entry in state["Arguments"]["Entries"]}


@pytest.mark.parametrize("stack", [DEV, EVERYTHING], ids=["dev", "everything"])
def test_the_rule_matches_what_the_state_machine_publishes(stack: Deployment) -> None:
    pattern = json.loads(stack.one("EventRule", "finished-runs-rule").inputs["eventPattern"])
    assert pattern["detail-type"] == sorted(events(stack))
    for published in events(stack).values():
        assert published["Source"] in pattern["source"]


def test_every_metric_reads_fields_of_one_event_and_dimensions_of_the_same() -> None:
    filters = [found.inputs for found in EVERYTHING.all("LogMetricFilter") if found.name.startswith("finished-runs-")]
    details = [set(entry["Detail"]) for entry in events(EVERYTHING).values()]
    matched = set[str]()
    for each in filters:
        field = each["pattern"].strip("{} ").split()[0].split(".")[2]
        matched.add(field)
        # A field that both events have would count a run that waits as one that has ended.
        [detail] = [detail for detail in details if field in detail]
        assert {path.split(".")[2] for path in each["metricTransformation"].get("dimensions", {}).values()} <= detail
    assert {"outcome", "waitingSeconds"} <= matched


def test_eventbridge_may_write_this_rules_events_to_this_log_group_only() -> None:
    stream, events = json.loads(DEV.one("LogResourcePolicy").inputs["policyDocument"])["Statement"]
    assert stream["Resource"] == events["Resource"] == f"{LOG_GROUP}:*"
    assert (stream["Action"], events["Action"]) == ("logs:CreateLogStream", "logs:PutLogEvents")
    assert events["Condition"] == {"ArnEquals": {"aws:SourceArn": RULE}}
