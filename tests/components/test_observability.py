"""Alarms and dashboard."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support.pulumi_program import Deployment, deployed

DEV = deployed("dev")
# What each service publishes, from its documentation (the addresses are in components/metrics.py).
PUBLISHED = {
    "AWS/Bedrock-AgentCore": {"Invocations", "Throttles", "SystemErrors", "UserErrors", "Latency", "Sessions"},
    "AWS/DynamoDB": {"SuccessfulRequestLatency"},
    "AWS/Lambda": {"Invocations", "Errors", "Throttles", "Duration"},
    "AWS/SQS": {"ApproximateNumberOfMessagesVisible"},
    "AWS/States": {
        "ExecutionsStarted",
        "ExecutionsSucceeded",
        "ExecutionsFailed",
        "ExecutionsTimedOut",
        "ExecutionTime",
    },
}


def alarms(stack: Deployment) -> dict[str, dict[str, Any]]:
    return {found.name.removeprefix("observability-"): found.inputs for found in stack.all("MetricAlarm")}


def widgets(stack: Deployment) -> list[dict[str, Any]]:
    return json.loads(stack.one("Dashboard").inputs["dashboardBody"])["widgets"]


def published(stack: Deployment) -> dict[str, set[str]]:
    """Every metric that exists, the ones that the stack makes of its logs included."""
    made = [found.inputs["metricTransformation"] for found in stack.all("LogMetricFilter")]
    return PUBLISHED | {metric["namespace"]: {each["name"] for each in made} for metric in made}


def test_every_alarm_watches_a_metric_that_exists() -> None:
    for name, alarm in alarms(DEV).items():
        assert alarm["metricName"] in published(DEV)[alarm["namespace"]], name
        assert all(alarm["dimensions"].values()), name


def test_every_widget_shows_metrics_that_exist() -> None:
    for widget in widgets(DEV):
        for namespace, name, *_ in widget["properties"]["metrics"]:
            assert name in published(DEV)[namespace], widget["properties"]["title"]


def test_a_stack_without_runs_is_no_reason_for_an_alarm() -> None:
    assert {alarm["treatMissingData"] for alarm in alarms(DEV).values()} == {"notBreaching"}


def test_a_start_that_is_refused_for_want_of_sessions_counts_as_throttled() -> None:
    # AgentCore's own metric counts 429 only, and these are 402.
    watched = alarms(DEV)["agent-throttles"]
    counted = DEV.one("LogMetricFilter", "invoker-throttled").inputs
    assert counted["logGroupName"] == DEV.one("Function").inputs["loggingConfig"]["logGroup"]
    assert counted["pattern"] == '{ $.errorType = "AgentThrottled" }'
    assert {"namespace": watched["namespace"], "name": watched["metricName"]}.items() <= counted[
        "metricTransformation"
    ].items()


def test_the_dashboard_names_this_stack_and_its_region() -> None:
    assert DEV.outputs["dashboardName"] == "fire-and-forget-dev"
    assert {widget["properties"]["region"] for widget in widgets(DEV)} == {"us-east-1"}


def test_no_two_widgets_cover_each_other() -> None:
    cells = [
        (x, y)
        for w in widgets(DEV)
        for x in range(w["x"], w["x"] + w["width"])
        for y in range(w["y"], w["y"] + w["height"])
    ]
    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) < 24


@pytest.mark.parametrize("title", ["Runs by outcome", "Run seconds", "Invoker milliseconds", "Polls", "Tokens"])
def test_the_dashboard_shows(title: str) -> None:
    assert title in [widget["properties"]["title"] for widget in widgets(DEV)]
