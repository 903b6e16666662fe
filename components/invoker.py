"""The invoker: the Lambda that starts an agent and returns in one round trip.

Owns the function, its role, its log group and the metric made of it. `runtime.invoker` handles requests; the state
machine retries after an error.
"""

from __future__ import annotations

from pathlib import Path
from typing import TypedDict

import pulumi
import pulumi_aws as aws

from components.finished_runs import run_namespace
from components.location import Location
from components.metrics import THROTTLED_STARTS
from components.policies import ActorRole, actor_role, allow, in_partitions, trust
from components.python_version import DEPLOYED
from components.settings import Settings
from runtime.invoker.errors import AgentThrottled
from runtime.journal.keys import RUN_PARTITION

PROJECT = Path(__file__).resolve().parent.parent
_CODE = ("runtime/__init__.py", "runtime/contract/**/*.py", "runtime/journal/**/*.py", "runtime/invoker/**/*.py")
# The invoker only writes.
_LEFT_OUT = tuple(f"runtime/journal/{name}.py" for name in ("claims", "reader", "waits", "waker"))


class InvokerFunctionArgs(TypedDict):
    """Arguments of InvokerFunction; `kms_key_arn` None leaves the logs to CloudWatch's own key."""

    settings: Settings
    location: Location
    journal_table_name: pulumi.Input[str]
    journal_table_arn: pulumi.Input[str]
    agent_runtime_arn: pulumi.Input[str]
    agent_endpoint_arn: pulumi.Input[str]
    agent_qualifier: pulumi.Input[str]
    kms_key_arn: pulumi.Input[str] | None


class InvokerFunction(pulumi.ComponentResource):
    """A Lambda function on boto3 and the standard library, with its log group and its role."""

    name: pulumi.Output[str]
    arn: pulumi.Output[str]

    def __init__(self, name: str, args: InvokerFunctionArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("fire-and-forget:index:InvokerFunction", name, None, opts)
        logs = aws.cloudwatch.LogGroup(
            f"{name}-logs",
            name=f"/aws/lambda/{args['location'].prefix}-{name}",
            retention_in_days=args["settings"].log_retention_days,
            kms_key_id=args["kms_key_arn"],
            opts=pulumi.ResourceOptions(parent=self),
        )
        role = self._role(name, args, logs)
        function = aws.lambda_.Function(
            f"{name}-function",
            role=role.arn,
            runtime=f"python{DEPLOYED}",
            architectures=["arm64"],
            handler="runtime.invoker.handler.handler",
            code=code(),
            memory_size=256,
            timeout=180,
            environment={"variables": _environment(args)},
            logging_config={
                "log_format": "JSON",
                "log_group": logs.name,
                "application_log_level": "INFO",
                "system_log_level": "WARN",
            },
            # Without it Lambda passes on Sampled=0, and AgentCore skips the agent's spans too.
            tracing_config={"mode": "Active"},
            # Without the policy the first calls would be denied.
            opts=pulumi.ResourceOptions(parent=self, depends_on=[role.policy]),
        )
        aws.cloudwatch.LogMetricFilter(
            f"{name}-throttled",
            log_group_name=logs.name,
            # Lambda logs the class of an error that leaves the handler.
            pattern=f'{{ $.errorType = "{AgentThrottled.__name__}" }}',
            metric_transformation={
                "namespace": run_namespace(args["location"]),
                "name": THROTTLED_STARTS,
                "value": "1",
                "unit": "Count",
                # The metric exists as soon as anything is logged: what never was can't be told from what isn't there.
                "default_value": "0",
            },
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.name = function.name
        self.arn = function.arn
        self.register_outputs({"name": self.name, "arn": self.arn})

    def _role(self, name: str, args: InvokerFunctionArgs, logs: aws.cloudwatch.LogGroup) -> ActorRole:
        statements = [
            # The journal is append-only: put, and check that a run has no outcome yet. Nothing of people's answers.
            allow(
                ["dynamodb:PutItem", "dynamodb:ConditionCheckItem"],
                [args["journal_table_arn"]],
                in_partitions(RUN_PARTITION),
            ),
            # Start a run and release its session. AgentCore authorises a call with a qualifier on the endpoint's ARN
            # as well as on the runtime's.
            allow(
                ["bedrock-agentcore:InvokeAgentRuntime", "bedrock-agentcore:StopRuntimeSession"],
                [args["agent_runtime_arn"], args["agent_endpoint_arn"]],
            ),
            # Fetch the input of an execution that ended badly, if its event was too large to include it. Only the
            # pattern of the machine's name is known (Pulumi.yaml): it is created after the function that it calls.
            allow(
                ["states:DescribeExecution"],
                [args["location"].arn("states", f"execution:{args['location'].prefix}-workflow-machine-*:*")],
            ),
            # Write to its own log group, which exists already.
            allow(
                ["logs:CreateLogStream", "logs:PutLogEvents"],
                [pulumi.Output.format("{}:log-stream:*", logs.arn)],
            ),
            # Any resource: X-Ray has none for the segments that Lambda sends.
            allow(["xray:PutTraceSegments", "xray:PutTelemetryRecords"], ["*"]),
        ]
        # No SourceArn: Lambda doesn't send one when it assumes an execution role.
        return actor_role(name, trust("lambda.amazonaws.com"), statements, self)


def code() -> pulumi.AssetArchive:
    """The function's zip, file by file: a folder would include what tests and editors leave in it."""
    files = sorted(
        {path for pattern in _CODE for path in PROJECT.glob(pattern)} - {PROJECT / name for name in _LEFT_OUT}
    )
    return pulumi.AssetArchive({path.relative_to(PROJECT).as_posix(): pulumi.FileAsset(str(path)) for path in files})


def _environment(args: InvokerFunctionArgs) -> dict[str, pulumi.Input[str]]:
    settings = args["settings"]
    return {
        "JOURNAL_TABLE": args["journal_table_name"],
        "AGENT_RUNTIME_ARN": args["agent_runtime_arn"],
        "AGENT_QUALIFIER": args["agent_qualifier"],
        "LEASE_SECONDS": str(settings.lease_seconds),
        "MAX_RUN_SECONDS": str(settings.max_run_seconds),
        "MAX_ATTEMPTS": str(settings.max_attempts),
        "JOURNAL_TTL_DAYS": str(settings.journal_ttl_days),
    }
