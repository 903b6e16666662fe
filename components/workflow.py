"""The state machine on AWS: the definition with this stack's names in it, its role, its log group.

`workflow_definition`, a pure function, says what the machine does. The role is here because Step Functions uses it for
every call in the definition.
"""

from __future__ import annotations

from typing import Any, TypedDict

import pulumi
import pulumi_aws as aws

from components.location import Location
from components.policies import SEND_TRACES, ActorRole, Statement, actor_role, allow, in_partitions, on_behalf_of, trust
from components.settings import Settings
from components.trigger import EVENT_BUS
from components.workflow_budget import WorkflowSettings, longest_interval_seconds
from components.workflow_definition import build_definition
from runtime.journal.keys import ANSWERS_PARTITION, RUN_PARTITION

# On top of an execution's longest wait: an invocation that takes its four minutes, and the machine's own end.
_DELETE_MARGIN_SECONDS = 600


class PollingStateMachineArgs(TypedDict):
    """Arguments of PollingStateMachine; `kms_key_arn` None leaves the logs to CloudWatch's own key."""

    settings: Settings
    location: Location
    journal_table_name: pulumi.Input[str]
    journal_table_arn: pulumi.Input[str]
    function_arn: pulumi.Input[str]
    kms_key_arn: pulumi.Input[str] | None


class PollingStateMachine(pulumi.ComponentResource):
    """A Standard state machine that claims a run, starts its agent and polls the journal until it is over.

    :raises pulumi.RunError: if the longest run doesn't fit into an execution's history, or outlives its own records
    """

    arn: pulumi.Output[str]
    name: pulumi.Output[str]

    def __init__(self, name: str, args: PollingStateMachineArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("fire-and-forget:index:PollingStateMachine", name, None, opts)
        settings = args["settings"]
        logs = aws.cloudwatch.LogGroup(
            f"{name}-logs",
            # The prefix keeps the log group out of the account's resource policy, which has a size limit:
            # https://docs.aws.amazon.com/step-functions/latest/dg/cw-logs.html
            name=f"/aws/vendedlogs/states/{args['location'].prefix}-{name}",
            retention_in_days=settings.log_retention_days,
            kms_key_id=args["kms_key_arn"],
            opts=pulumi.ResourceOptions(parent=self),
        )
        role = self._role(name, args)
        workflow = WorkflowSettings(settings, args["function_arn"], args["journal_table_name"], EVENT_BUS)
        machine = aws.sfn.StateMachine(
            f"{name}-machine",
            type="STANDARD",
            role_arn=role.arn,
            definition=pulumi.Output.json_dumps(_definition(workflow)),
            logging_configuration={
                "level": "ERROR",
                # Requests are private; whoever may read the journal finds them there.
                "include_execution_data": False,
                "log_destination": pulumi.Output.format("{}:*", logs.arn),
            },
            tracing_configuration={"enabled": True},
            opts=pulumi.ResourceOptions(
                parent=self,
                # Step Functions checks at creation that the role may write logs.
                depends_on=[role.policy],
                # A deleted machine lives until each execution reaches its next state; the provider waits 5 minutes.
                # https://docs.aws.amazon.com/step-functions/latest/apireference/API_DeleteStateMachine.html
                custom_timeouts=pulumi.CustomTimeouts(
                    delete=f"{longest_interval_seconds(settings) + _DELETE_MARGIN_SECONDS}s"
                ),
            ),
        )
        self.arn = machine.arn
        self.name = machine.name
        self.register_outputs({"arn": self.arn, "name": self.name})

    def _role(self, name: str, args: PollingStateMachineArgs) -> ActorRole:
        location = args["location"]
        statements = [
            # Claim, close and account for a run atomically; read its outcome.
            allow(
                ["dynamodb:PutItem", "dynamodb:ConditionCheckItem", "dynamodb:Query"],
                [args["journal_table_arn"]],
                in_partitions(RUN_PARTITION),
            ),
            *(_answers(args["journal_table_arn"]) if args["settings"].max_waits else []),
            # Start an agent, release its session.
            allow(["lambda:InvokeFunction"], [args["function_arn"]]),
            # Announce that a run is over.
            allow(["events:PutEvents"], [location.arn("events", f"event-bus/{EVENT_BUS}")]),
            # Any resource: log delivery has none.
            # https://docs.aws.amazon.com/step-functions/latest/dg/cw-logs.html
            allow(
                [
                    "logs:CreateLogDelivery",
                    "logs:GetLogDelivery",
                    "logs:UpdateLogDelivery",
                    "logs:DeleteLogDelivery",
                    "logs:ListLogDeliveries",
                    "logs:PutResourcePolicy",
                    "logs:DescribeResourcePolicies",
                    "logs:DescribeLogGroups",
                ],
                ["*"],
            ),
            # Any resource: these X-Ray actions have none.
            allow(SEND_TRACES, ["*"]),
        ]
        machines = location.arn("states", "stateMachine:*")
        return actor_role(name, trust("states.amazonaws.com", on_behalf_of(location, machines)), statements, self)


def _answers(table_arn: pulumi.Input[str]) -> list[Statement]:
    return [
        # Look for people's answers, and write that there is none when time is up.
        allow(
            ["dynamodb:PutItem", "dynamodb:ConditionCheckItem", "dynamodb:GetItem"],
            [table_arn],
            in_partitions(ANSWERS_PARTITION),
        ),
        # Look at the outcome with the answer.
        allow(["dynamodb:GetItem"], [table_arn], in_partitions(RUN_PARTITION)),
    ]


def _definition(settings: WorkflowSettings) -> dict[str, Any]:
    try:
        return build_definition(settings)
    except ValueError as error:
        # A configuration error: a sentence, no traceback.
        raise pulumi.RunError(str(error)) from None
