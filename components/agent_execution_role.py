"""What the agent may do: the statements of its execution role.

Owns the agent's permissions and nothing else; they are AWS's recommended policy for code from a zip, narrowed to the
one table, bucket and runtime of the stack, and to the models that it and its workflows name.
https://docs.aws.amazon.com/bedrock-agentcore/latest/devguide/runtime-permissions.html
"""

from __future__ import annotations

from typing import TypedDict

import pulumi

from components.location import Location
from components.policies import SEND_TRACES, ActorRole, Statement, actor_role, allow, in_partitions, on_behalf_of, trust
from components.settings import PROFILES, Settings
from runtime.agent.workflow import WORKFLOWS
from runtime.journal.keys import ANSWERS_PARTITION, ARTIFACTS_PREFIX, RUN_PARTITION, TURNS_PREFIX

_STORED = (ARTIFACTS_PREFIX, TURNS_PREFIX)


class AgentExecutionRoleArgs(TypedDict):
    """Arguments of the agent's execution role.

    :ivar runtime_names: pattern of the names that the stack's runtime may have
    """

    settings: Settings
    location: Location
    runtime_names: str
    journal_table_arn: pulumi.Input[str]
    artifact_bucket_arn: pulumi.Input[str]


def agent_execution_role(name: str, args: AgentExecutionRoleArgs, parent: pulumi.Resource) -> ActorRole:
    """Make the role that AgentCore assumes for the agent."""
    location = args["location"]
    # The service, for this account's AgentCore resources only.
    conditions = on_behalf_of(location, location.arn("bedrock-agentcore", "*"))
    statements = [*_data(args), *_model(args), *_telemetry(args)]
    if args["settings"].completion == "callback":
        statements += _wake_up()
    if args["settings"].agent_image:
        statements += _image(args)
    return actor_role(name, trust("bedrock-agentcore.amazonaws.com", conditions), statements, parent)


def _data(args: AgentExecutionRoleArgs) -> list[Statement]:
    bucket, table = args["artifact_bucket_arn"], args["journal_table_arn"]
    answers = (ANSWERS_PARTITION,) if args["settings"].max_waits else ()
    return [
        # The journal is append-only: put. Query, to find the calls of tools that an earlier attempt has claimed, and
        # the token that the state machine left for whoever ends the run. Never an answer: code in an agent can read
        # these credentials, and would approve what it asks.
        allow(["dynamodb:PutItem", "dynamodb:Query"], [table], in_partitions(RUN_PARTITION)),
        # Check that a run has no outcome yet, and that it has an answer where it waited for one.
        allow(["dynamodb:ConditionCheckItem"], [table], in_partitions(RUN_PARTITION, *answers)),
        # Artifacts and turns of sessions, which share the bucket with the agent's own code.
        allow(["s3:GetObject", "s3:PutObject"], [pulumi.Output.format("{}/{}*", bucket, prefix) for prefix in _STORED]),
        # To find the newest turn; and without it a missing artifact is answered with 403 rather than 404.
        allow(["s3:ListBucket"], [bucket], {"StringLike": {"s3:prefix": [f"{prefix}*" for prefix in _STORED]}}),
    ]


def _wake_up() -> list[Statement]:
    return [
        # Any resource: a task token is all that the action takes.
        allow(["states:SendTaskSuccess"], ["*"]),
    ]


def _model(args: AgentExecutionRoleArgs) -> list[Statement]:
    named = [step.model for workflow in WORKFLOWS.values() for step in workflow.steps if step.model]
    models = dict.fromkeys([args["settings"].model_id, *named])
    resources = [arn for model_id in models for arn in _model_arns(args["location"], model_id)]
    # The configured model and those that steps name, and their streams alone: that is how Strands calls them.
    return [allow(["bedrock:InvokeModelWithResponseStream"], resources)]


def _model_arns(location: Location, model_id: str) -> list[pulumi.Output[str]]:
    prefix, _, rest = model_id.partition(".")
    is_profile = prefix in PROFILES
    # In any Region: a profile is authorised on the model of whichever Region it sends the call to.
    model = f"arn:aws:bedrock:{{}}::foundation-model/{rest if is_profile else model_id}"
    resources = [pulumi.Output.format(model, "*" if is_profile else location.region)]
    return [*resources, location.arn("bedrock", f"inference-profile/{model_id}")] if is_profile else resources


def _telemetry(args: AgentExecutionRoleArgs) -> list[Statement]:
    location = args["location"]
    # The end of the name and the id that AgentCore appends to it aren't known before the role is needed. A hyphen can
    # only stand between the two, so that the pattern fits no other stack's runtimes.
    group = f"log-group:/aws/bedrock-agentcore/runtimes/{args['runtime_names']}-*"
    return [
        # The service finds or makes the log group of an endpoint in the agent's name.
        allow(["logs:CreateLogGroup", "logs:DescribeLogStreams"], [location.arn("logs", group)]),
        # Its own log groups' streams.
        allow(
            ["logs:CreateLogStream", "logs:PutLogEvents"],
            [location.arn("logs", f"{group}:log-stream:*")],
        ),
        # Any resource: the action lists groups, and can't be asked about one.
        allow(["logs:DescribeLogGroups"], ["*"]),
        # Any resource: these X-Ray actions have none to name.
        allow(SEND_TRACES, ["*"]),
        # Any resource, because metrics have none to name; one namespace by condition.
        allow(
            ["cloudwatch:PutMetricData"],
            ["*"],
            {"StringEquals": {"cloudwatch:namespace": "bedrock-agentcore"}},
        ),
    ]


def _image(args: AgentExecutionRoleArgs) -> list[Statement]:
    registry, _, rest = args["settings"].agent_image.partition("/")
    account, region = registry.split(".")[0], registry.split(".")[3]
    repository = rest.split("@")[0].split(":")[0]
    return [
        # The one repository that holds the image.
        allow(
            ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"],
            [f"arn:aws:ecr:{region}:{account}:repository/{repository}"],
        ),
        # Any resource: a registry token isn't bound to a repository.
        allow(["ecr:GetAuthorizationToken"], ["*"]),
    ]
