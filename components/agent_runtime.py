"""The agent on Amazon Bedrock AgentCore: runtime, endpoint `live`, execution role.

Owns the release: a changed zip gets a new key, which makes a new runtime version, which `live` follows. While `live` is
pinned no zip is built, and the runtime keeps the one that it has. How the zip is made is `agent_bundle`'s. The log
group of the endpoint DEFAULT, which nothing here calls, is made by the service and left to it: declared here, whichever
came second would fail.
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
# Both would export prompts and replies by default: AWS's OpenTelemetry distribution, and Strands, which is told here
# that the list of attributes it may show is empty.
_NO_MODEL_TEXT = {
    "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT": "false",
    "OTEL_SEMCONV_STABILITY_OPT_IN": "gen_ai_unredacted_attributes=",
}


class AgentRuntimeArgs(TypedDict):
    """Arguments of AgentRuntime; `kms_key_arn` None leaves the logs to CloudWatch's own key.

    :ivar artifact_store: what the bucket is made of, settings and policy included; the zip waits for it
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
            environment_variables=_environment(args),
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
                # The name is drawn anew in every deployment, and counts when a runtime is made. One that AgentCore
                # failed to make keeps its name and isn't in the state; the next deployment must not trip over it.
                # A replacement has a name of its own as well, so that it is there before the old one is gone.
                ignore_changes=["agent_runtime_name", *_kept(settings)],
            ),
        )
        self.id = runtime.agent_runtime_id
        self.arn = runtime.agent_runtime_arn
        self.version = runtime.agent_runtime_version
        # Before the endpoint: the service makes the group of an endpoint on first use, without a retention.
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
            # Said explicitly: left out, a custom endpoint stays on the version that it was made with.
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
            # Read by a first deployment only, which has no version to be pinned to: AgentCore's refusal shows the key.
            return _zip(args["artifact_bucket_name"], "agent/no-zip-is-built-while-agentVersion-is-set.zip", "main.py")
        code = agent_bundle.build(settings.agent_code)
        uploaded = aws.s3.BucketObjectv2(
            # Another content is another object: a replacement would take the ignored source from the old one.
            f"{name}-code-{code.digest[:16]}",
            bucket=args["artifact_bucket_name"],
            key=code.key,
            source=pulumi.FileAsset(str(code.path)),
            source_hash=code.digest,
            # Earlier versions of the runtime may still read their own zip: an endpoint can be pinned to them.
            # Put before the bucket has its settings, the first zip would be neither versioned nor encrypted by them.
            # The same content packed by another build of zlib is no reason to upload it again.
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


def _kept(settings: Settings) -> list[str]:
    """The runtime's inputs that stay as they were deployed."""
    return ["agent_runtime_artifact"] if settings.agent_version and not settings.agent_image else []


def runtime_name_prefix(prefix: str) -> str:
    """What the name of each runtime of a stack begins with: AgentCore knows letters, digits and underscores only."""
    return f"{prefix.replace('-', '_')}_"


def _suffix() -> str:
    return secrets.token_hex(SUFFIX_LENGTH // 2)


def _environment(args: AgentRuntimeArgs) -> dict[str, pulumi.Input[str]]:
    settings = args["settings"]
    return {
        # No page of AWS's says that AgentCore sets it, as Lambda does.
        "AWS_REGION": args["location"].region,
        "JOURNAL_TABLE": args["journal_table_name"],
        "ARTIFACT_BUCKET": args["artifact_bucket_name"],
        "MODEL_ID": settings.model_id,
        "LEASE_SECONDS": str(settings.lease_seconds),
        "JOURNAL_TTL_DAYS": str(settings.journal_ttl_days),
        "COMPLETION": settings.completion,
        # AgentCore asks for the agent's health every two seconds; each would be a trace of its own.
        "OTEL_PYTHON_STARLETTE_EXCLUDED_URLS": "/ping",
        # Spans go to the account's shared group: a group of the agent's own needs logs:PutResourcePolicy in its
        # role, with which it could open its logs to anyone.
        "UNIFIED_TRACES_DESTINATION_ENABLED": "false",
        **({} if settings.capture_model_text else _NO_MODEL_TEXT),
    }
