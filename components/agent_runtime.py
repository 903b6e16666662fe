"""The agent on Amazon Bedrock AgentCore: runtime, endpoint `live`, execution role.

Owns the release: a changed zip gets a new key, which makes a new runtime version, which `live` follows. While `live` is
pinned no zip is built, and the runtime keeps the one it has. `agent_bundle` builds the zip. The log group of the
endpoint DEFAULT, which nothing here calls, is created by the service; if it were declared here too, whichever came
second would fail.
"""

from __future__ import annotations

import secrets
from typing import TypedDict

import pulumi
import pulumi_aws as aws

from components import agent_bundle
from components.agent_execution_role import agent_execution_role
from components.location import Location
from components.settings import Settings

ENDPOINT = "live"
SUFFIX_LENGTH = 6
# https://docs.aws.amazon.com/bedrock-agentcore/latest/devguide/runtime-how-it-works.html#runtime-platform-versions
VARIABLES_BYTES = {"zip": {"V1": 4096, "V2": 1536}, "image": {"V1": 4096, "V2": 2560}}
# The longest name of a bucket; those of tables are as long here.
NAME_BYTES = 63
# AWS's OpenTelemetry distribution and Strands would both export prompts and replies by default; the second variable
# gives Strands an empty list of attributes to show.
_NO_MODEL_TEXT = {
    "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT": "false",
    "OTEL_SEMCONV_STABILITY_OPT_IN": "gen_ai_unredacted_attributes=",
}
# AWS's distribution loads whatever is installed for what is installed. What it leaves out by itself, without which this
# list would replace its own, and `mcp`, whose types take half a second of each start and which no agent here speaks.
_UNUSED_INSTRUMENTATIONS = (
    *("http", "urllib3", "requests", "sqlite3", "system_metrics", "jinja2", "google-genai"),
    *("sqlalchemy", "psycopg2", "pymysql", "aiopg", "asyncpg", "mysql_connector"),
    "aws_mcp",
)


class AgentRuntimeArgs(TypedDict):
    """Arguments of AgentRuntime; `kms_key_arn` None leaves the logs to CloudWatch's own key.

    :ivar artifact_store: the bucket with its settings and policy; the zip waits for it
    """

    settings: Settings
    location: Location
    journal_table_name: pulumi.Input[str]
    journal_table_arn: pulumi.Input[str]
    artifact_bucket_name: pulumi.Input[str]
    artifact_bucket_arn: pulumi.Input[str]
    artifact_store: pulumi.Resource
    kms_key_arn: pulumi.Input[str] | None


class AgentRuntime(pulumi.ComponentResource):
    """An agent runtime from a zip or an image, and the endpoint that the invoker addresses by its qualifier."""

    id: pulumi.Output[str]
    arn: pulumi.Output[str]
    version: pulumi.Output[str]
    endpoint_arn: pulumi.Output[str]
    qualifier: pulumi.Output[str]
    log_group_name: pulumi.Output[str]
    metrics_name: pulumi.Output[str]

    def __init__(self, name: str, args: AgentRuntimeArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("fire-and-forget:index:AgentRuntime", name, None, opts)
        settings = args["settings"]
        name_prefix = runtime_name_prefix(args["location"].prefix)
        role = agent_execution_role(
            name,
            {
                "settings": settings,
                "location": args["location"],
                "runtime_names": f"{name_prefix}{'?' * SUFFIX_LENGTH}",
                "journal_table_arn": args["journal_table_arn"],
                "artifact_bucket_arn": args["artifact_bucket_arn"],
            },
            self,
        )
        runtime = aws.bedrock.AgentcoreAgentRuntime(
            f"{name}-runtime",
            agent_runtime_name=f"{name_prefix}{_suffix()}",
            role_arn=role.arn,
            agent_runtime_artifact=self._artifact(name, args),
            network_configuration={"network_mode": "PUBLIC"},
            protocol_configuration={"server_protocol": "HTTP"},
            # Always said: what AgentCore would choose depends on Region and date.
            platform_version=settings.platform_version,
            environment_variables=_fitting(_environment(args), settings),
            lifecycle_configurations=[
                {
                    "idle_runtime_session_timeout": settings.idle_session_timeout_seconds,
                    "max_lifetime": settings.max_session_lifetime_seconds,
                }
            ],
            opts=pulumi.ResourceOptions(
                parent=self,
                # AgentCore validates the role.
                depends_on=[role.policy],
                # Every deployment draws a new name, which is used only when a runtime is created. A runtime that
                # AgentCore failed to create keeps its name without being in the state, and must not block the next
                # deployment. A new name also lets a replacement exist before the old runtime is deleted.
                ignore_changes=["agent_runtime_name", *_pinned_inputs(settings)],
            ),
        )
        self.id = runtime.agent_runtime_id
        self.arn = runtime.agent_runtime_arn
        self.version = runtime.agent_runtime_version
        # Before the endpoint: on first use the service would create its log group, without a retention.
        logs = aws.cloudwatch.LogGroup(
            f"{name}-logs",
            name=pulumi.Output.format("/aws/bedrock-agentcore/runtimes/{}-{}", self.id, ENDPOINT),
            retention_in_days=settings.log_retention_days,
            kms_key_id=args["kms_key_arn"],
            opts=pulumi.ResourceOptions(parent=self),
        )
        endpoint = aws.bedrock.AgentcoreAgentRuntimeEndpoint(
            f"{name}-endpoint",
            name=ENDPOINT,
            agent_runtime_id=self.id,
            # Explicit: without it, a custom endpoint stays on the version it was created with.
            agent_runtime_version=settings.agent_version or self.version,
            opts=pulumi.ResourceOptions(parent=self, depends_on=[logs]),
        )
        self.endpoint_arn = endpoint.agent_runtime_endpoint_arn
        self.qualifier = endpoint.name
        self.log_group_name = logs.name
        self.metrics_name = pulumi.Output.format("{}::{}", runtime.agent_runtime_name, ENDPOINT)
        self.register_outputs({"arn": self.arn, "version": self.version, "endpointArn": self.endpoint_arn})

    def _artifact(
        self, name: str, args: AgentRuntimeArgs
    ) -> aws.bedrock.AgentcoreAgentRuntimeAgentRuntimeArtifactArgsDict:
        settings = args["settings"]
        if settings.agent_image:
            return {"container_configuration": {"container_uri": settings.agent_image}}
        if settings.agent_version:
            # Used only by a first deployment, which has no version to pin: AgentCore's refusal shows this key.
            return _zip(args["artifact_bucket_name"], "agent/no-zip-is-built-while-agentVersion-is-set.zip", "main.py")
        code = agent_bundle.build(settings.agent_code)
        uploaded = aws.s3.BucketObjectv2(
            # New content is a new resource: a replacement would keep the old one's ignored source.
            f"{name}-code-{code.digest[:16]}",
            bucket=args["artifact_bucket_name"],
            key=code.key,
            source=pulumi.FileAsset(str(code.path)),
            source_hash=code.digest,
            # Earlier versions of the runtime may still read their own zip: an endpoint can be pinned to them.
            # Uploaded before the bucket is set up, the first zip would be neither versioned nor encrypted.
            # The same content zipped by another build of zlib must not be uploaded again.
            opts=pulumi.ResourceOptions(
                parent=self,
                retain_on_delete=True,
                ignore_changes=["source"],
                depends_on=[args["artifact_store"]],
            ),
        )
        return _zip(uploaded.bucket, uploaded.key, *code.entry_points)


def _zip(
    bucket: pulumi.Input[str], key: pulumi.Input[str], *entry_points: str
) -> aws.bedrock.AgentcoreAgentRuntimeAgentRuntimeArtifactArgsDict:
    return {
        "code_configuration": {
            "runtime": agent_bundle.RUNTIME,
            "entry_points": list(entry_points),
            "code": {"s3": {"bucket": bucket, "prefix": key}},
        }
    }


def _pinned_inputs(settings: Settings) -> list[str]:
    """The runtime's inputs that stay as deployed."""
    return ["agent_runtime_artifact"] if settings.agent_version and not settings.agent_image else []


def runtime_name_prefix(prefix: str) -> str:
    """The prefix of the names of a stack's runtimes: AgentCore allows letters, digits and underscores only."""
    return f"{prefix.replace('-', '_')}_"


def _suffix() -> str:
    return secrets.token_hex(SUFFIX_LENGTH // 2)


def _fitting(variables: dict[str, pulumi.Input[str]], settings: Settings) -> dict[str, pulumi.Input[str]]:
    """Return the variables.

    :raises pulumi.RunError: if AgentCore would refuse them for their size, names that aren't known yet being long ones
    """
    known = {name: value if isinstance(value, str) else "?" * NAME_BYTES for name, value in variables.items()}
    size = sum(len(f"{name}{value}".encode()) for name, value in known.items())
    limit = VARIABLES_BYTES["image" if settings.agent_image else "zip"][settings.platform_version]
    if size > limit:
        raise pulumi.RunError(
            f"The agent's environment variables take {size:,} bytes; on platformVersion {settings.platform_version} "
            f"AgentCore accepts {limit:,}. Leave some out."
        )
    return variables


def _environment(args: AgentRuntimeArgs) -> dict[str, pulumi.Input[str]]:
    settings = args["settings"]
    return {
        # Lambda sets it; for AgentCore, AWS documents no such thing.
        "AWS_REGION": args["location"].region,
        "JOURNAL_TABLE": args["journal_table_name"],
        "ARTIFACT_BUCKET": args["artifact_bucket_name"],
        "MODEL_ID": settings.model_id,
        "LEASE_SECONDS": str(settings.lease_seconds),
        "JOURNAL_TTL_DAYS": str(settings.journal_ttl_days),
        "PARALLEL_STEPS": str(settings.parallel_steps),
        "MAX_TOKENS": str(settings.max_tokens),
        "COMPLETION": settings.completion,
        # AWS documents nothing by which a process could tell.
        "PLATFORM_VERSION": settings.platform_version,
        # AgentCore checks the agent's health every two seconds; each check would be a trace.
        "OTEL_PYTHON_STARLETTE_EXCLUDED_URLS": "/ping",
        "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": ",".join(_UNUSED_INSTRUMENTATIONS),
        # Spans go to the account's shared log group: one of the agent's own would need logs:PutResourcePolicy in its
        # role, with which it could open its logs to anyone.
        "UNIFIED_TRACES_DESTINATION_ENABLED": "false",
        **({} if settings.capture_model_text else _NO_MODEL_TEXT),
        **(_waits(settings) if settings.max_waits else {}),
    }


def _waits(settings: Settings) -> dict[str, pulumi.Input[str]]:
    return {"MAX_WAITS": str(settings.max_waits), "ANSWER_SECONDS": str(settings.answer_seconds)}
