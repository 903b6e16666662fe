"""Alarms and dashboard."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support.pulumi_program import Deployment, deploy, deployed

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


@pytest.mark.parametrize("stack", ["dev", "everything"])
def test_every_alarm_watches_a_metric_that_exists(stack: str) -> None:
    for name, alarm in alarms(deployed(stack)).items():
        assert alarm["metricName"] in published(deployed(stack))[alarm["namespace"]], name
        assert all(alarm["dimensions"].values()), name


@pytest.mark.parametrize("stack", ["dev", "everything"])
def test_every_widget_shows_metrics_that_exist(stack: str) -> None:
    for widget in widgets(deployed(stack)):
        for namespace, name, *_ in widget["properties"]["metrics"]:
            assert name in published(deployed(stack))[namespace], widget["properties"]["title"]


def test_an_alarm_goes_off_when_a_question_has_waited_for_half_of_its_time() -> None:
    alarm = alarms(deployed("everything"))["questions-unanswered"]
    assert (alarm["threshold"], alarm["comparisonOperator"]) == (43_200 / 2, "GreaterThanThreshold")
    # Twice the time between two values, so that it stays on from one to the next.
    assert alarm["period"] == 2 * 43_200 / 24


@pytest.mark.parametrize("answer_seconds", [1, 60, 86_400, 30 * 86_400])
def test_the_alarm_on_old_questions_has_a_period_that_cloudwatch_takes(answer_seconds: int) -> None:
    stack = deploy("dev", {"maxWaits": "1", "answerSeconds": answer_seconds, "journalTtlDays": 90})
    period = alarms(stack)["questions-unanswered"]["period"]
    assert period % 60 == 0
    assert 60 <= period <= 86_400


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
