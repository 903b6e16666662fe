"""A stack's metrics: each CloudWatch metric that alarms and dashboard use, named once.

Owns names and dimensions. AWS checks neither: an alarm on a metric that doesn't exist never goes off.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypedDict

import pulumi

THROTTLED_STARTS = "ThrottledStarts"


@dataclass(frozen=True)
class Metric:
    """A metric of one resource."""

    namespace: str
    name: str
    dimensions: Mapping[str, pulumi.Input[str]]


class Measured(TypedDict):
    """The parts of a stack that have metrics.

    :ivar agent_name: `{runtime}::{endpoint}`, as AgentCore names an endpoint in its metrics
    :ivar run_namespace: of the metrics that the stack derives from its own logs
    """

    journal_table_name: pulumi.Input[str]
    state_machine_arn: pulumi.Input[str]
    function_name: pulumi.Input[str]
    dead_letter_queue_name: pulumi.Input[str]
    agent_runtime_arn: pulumi.Input[str]
    agent_name: pulumi.Input[str]
    run_namespace: str


def journal(measured: Measured, name: str, operation: str) -> Metric:
    """https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/metrics-dimensions.html"""
    dimensions = {"TableName": measured["journal_table_name"], "Operation": operation}
    return Metric("AWS/DynamoDB", name, dimensions)


def workflow(measured: Measured, name: str) -> Metric:
    """https://docs.aws.amazon.com/step-functions/latest/dg/procedure-cw-metrics.html"""
    return Metric("AWS/States", name, {"StateMachineArn": measured["state_machine_arn"]})


def invoker(measured: Measured, name: str) -> Metric:
    """https://docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics-types.html"""
    return Metric("AWS/Lambda", name, {"FunctionName": measured["function_name"]})


def dead_letters(measured: Measured) -> Metric:
    """https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-available-cloudwatch-metrics.html"""
    name = "ApproximateNumberOfMessagesVisible"
    return Metric("AWS/SQS", name, {"QueueName": measured["dead_letter_queue_name"]})


def agent(measured: Measured, name: str) -> Metric:
    """https://docs.aws.amazon.com/bedrock-agentcore/latest/devguide/observability-runtime-metrics.html"""
    dimensions = {
        "Resource": measured["agent_runtime_arn"],
        "Operation": "InvokeAgentRuntime",
        "Name": measured["agent_name"],
    }
    return Metric("AWS/Bedrock-AgentCore", name, dimensions)


def throttled_starts(measured: Measured) -> Metric:
    """A metric that `invoker` derives from its log; AgentCore's own leaves out exhausted sessions."""
    return Metric(measured["run_namespace"], THROTTLED_STARTS, {})


def runs(measured: Measured, name: str, outcome: str = "") -> Metric:
    """A metric that `finished_runs` derives from the events of runs that have ended, or wait for a person."""
    return Metric(measured["run_namespace"], name, {"outcome": outcome} if outcome else {})
