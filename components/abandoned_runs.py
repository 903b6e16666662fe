"""Closes runs whose execution ended without doing so: stopped by hand, timed out as a whole, failed in an expression.

Owns the rule on the state machine's status changes and its target, the invoker. The journal decides whether the run is
still open and belongs to that execution (`Invoker.close`): most failed executions have closed their run.
"""

from __future__ import annotations

from typing import TypedDict

import pulumi
import pulumi_aws as aws

EVENT_BUS = "default"  # the bus of AWS services' own events
# The detail unchanged rather than a template: it contains the execution's input, a string full of quotes, and it is
# documented nowhere that EventBridge escapes a string that it puts into a template.
INPUT_PATH = "$.detail"


class AbandonedRunsArgs(TypedDict):
    """Arguments of AbandonedRuns."""

    state_machine_arn: pulumi.Input[str]
    function_arn: pulumi.Input[str]


class AbandonedRuns(pulumi.ComponentResource):
    """A rule that sends every execution that ended badly to the invoker."""

    def __init__(self, name: str, args: AbandonedRunsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("fire-and-forget:index:AbandonedRuns", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        rule = aws.cloudwatch.EventRule(
            f"{name}-rule",
            description="Closes runs whose execution failed, timed out or was stopped",
            event_bus_name=EVENT_BUS,
            event_pattern=pulumi.Output.json_dumps(
                {
                    "source": ["aws.states"],
                    "detail-type": ["Step Functions Execution Status Change"],
                    "detail": {
                        "stateMachineArn": [args["state_machine_arn"]],
                        "status": ["FAILED", "TIMED_OUT", "ABORTED"],
                    },
                }
            ),
            opts=child,
        )
        permission = aws.lambda_.Permission(
            f"{name}-permission",
            action="lambda:InvokeFunction",
            function=args["function_arn"],
            principal="events.amazonaws.com",
            source_arn=rule.arn,
            opts=child,
        )
        aws.cloudwatch.EventTarget(
            f"{name}-target",
            rule=rule.name,
            event_bus_name=EVENT_BUS,
            arn=args["function_arn"],
            input_path=INPUT_PATH,
            opts=pulumi.ResourceOptions(parent=self, depends_on=[permission]),
        )
        self.register_outputs({})
