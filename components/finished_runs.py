"""What became of the runs: a log of the events published when they end and while they wait, and metrics made of it.

Step Functions counts executions but knows neither why one failed nor how many tokens it took; the event that each
finished run publishes does. Owns the rule, the log group and the metrics; `workflow_definition` and `workflow_waits`
define the events.
"""

from __future__ import annotations

import json
from typing import TypedDict

import pulumi
import pulumi_aws as aws

from components.location import Location
from components.policies import Statement, document
from components.settings import Settings
from components.trigger import EVENT_BUS
from components.workflow_definition import FINISHED_DETAIL_TYPE
from components.workflow_waits import WAITING_DETAIL_TYPE

# Metric → the event's field with its value, and the unit.
METRICS = {
    "Seconds": ("$.detail.seconds", "Seconds"),
    "Attempts": ("$.detail.attempts", "Count"),
    "InputTokens": ("$.detail.tokens.input", "Count"),
    "OutputTokens": ("$.detail.tokens.output", "Count"),
}
WAITING_METRICS = {"WaitingSeconds": ("$.detail.waitingSeconds", "Seconds")}


class FinishedRunsArgs(TypedDict):
    """Arguments of FinishedRuns; `kms_key_arn` None leaves the log to CloudWatch's own key."""

    settings: Settings
    location: Location
    kms_key_arn: pulumi.Input[str] | None


class FinishedRuns(pulumi.ComponentResource):
    """A log group with one line per finished run, counted by outcome, time, attempts and tokens."""

    log_group_name: pulumi.Output[str]

    def __init__(self, name: str, args: FinishedRunsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("fire-and-forget:index:FinishedRuns", name, None, opts)
        settings, location = args["settings"], args["location"]
        child = pulumi.ResourceOptions(parent=self)
        detail_types = [FINISHED_DETAIL_TYPE, *([WAITING_DETAIL_TYPE] if settings.max_waits else [])]
        logs = aws.cloudwatch.LogGroup(
            f"{name}-logs",
            # EventBridge's console shows log groups with this prefix only.
            name=f"/aws/events/{location.prefix}-{name}",
            retention_in_days=settings.log_retention_days,
            kms_key_id=args["kms_key_arn"],
            opts=child,
        )
        rule = aws.cloudwatch.EventRule(
            f"{name}-rule",
            description=f"Logs each finished run of {settings.event_source}",
            event_bus_name=EVENT_BUS,
            event_pattern=json.dumps({"source": [f"{settings.event_source}.runs"], "detail-type": detail_types}),
            opts=child,
        )
        policy = aws.cloudwatch.LogResourcePolicy(
            f"{name}-log-policy",
            # Attached to the log group: an account has only ten named policies per Region, shared with other tools.
            resource_arn=logs.arn,
            policy_document=document(_writers(logs.arn, rule.arn)),
            opts=child,
        )
        aws.cloudwatch.EventTarget(
            f"{name}-target",
            rule=rule.name,
            event_bus_name=EVENT_BUS,
            arn=logs.arn,
            opts=pulumi.ResourceOptions(parent=self, depends_on=[policy]),
        )
        measured = METRICS | (WAITING_METRICS if settings.max_waits else {})
        self._count(name, run_namespace(location), logs.name, measured)
        self.log_group_name = logs.name
        self.register_outputs({"logGroupName": self.log_group_name})

    def _count(
        self, name: str, namespace: str, log_group: pulumi.Output[str], measured: dict[str, tuple[str, str]]
    ) -> None:
        child = pulumi.ResourceOptions(parent=self)
        aws.cloudwatch.LogMetricFilter(
            f"{name}-runs",
            log_group_name=log_group,
            pattern="{ $.detail.outcome = * }",
            metric_transformation={
                "namespace": namespace,
                "name": "Runs",
                "value": "1",
                "unit": "Count",
                "dimensions": {"outcome": "$.detail.outcome"},
            },
            opts=child,
        )
        aws.cloudwatch.LogMetricFilter(
            f"{name}-runs-by-workflow",
            log_group_name=log_group,
            # Of those that have ended: runs that wait have a workflow, too.
            pattern="{ $.detail.outcome = * }",
            metric_transformation={
                "namespace": namespace,
                "name": "WorkflowRuns",
                "value": "1",
                "unit": "Count",
                "dimensions": {"workflow": "$.detail.workflow", "outcome": "$.detail.outcome"},
            },
            opts=child,
        )
        for metric, (field, unit) in measured.items():
            aws.cloudwatch.LogMetricFilter(
                f"{name}-{metric.lower()}",
                log_group_name=log_group,
                pattern=f"{{ {field} = * }}",
                metric_transformation={
                    "namespace": namespace,
                    "name": metric,
                    "value": field,
                    "unit": unit,
                },
                opts=child,
            )


def run_namespace(location: Location) -> str:
    """The namespace of the stack's own metrics."""
    return location.prefix


def _writers(log_group_arn: pulumi.Output[str], rule_arn: pulumi.Output[str]) -> list[Statement]:
    # EventBridge writes as itself; when it creates a stream it doesn't say for which rule.
    # https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-use-resource-based.html#eb-cloudwatchlogs-permissions
    allowed = {
        "Effect": "Allow",
        "Principal": {"Service": ["events.amazonaws.com", "delivery.logs.amazonaws.com"]},
        "Resource": pulumi.Output.format("{}:*", log_group_arn),
    }
    return [
        allowed | {"Action": "logs:CreateLogStream"},
        allowed | {"Action": "logs:PutLogEvents", "Condition": {"ArnEquals": {"aws:SourceArn": rule_arn}}},
    ]
