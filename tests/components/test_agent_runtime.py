"""The agent's runtime, endpoint and role."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from unittest.mock import Mock

import pytest

from tests.support import pulumi_program
from tests.support.pulumi_program import ACCOUNT_ID, REGION, deploy, deployed

TEXT_SWITCHES = {"OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", "OTEL_SEMCONV_STABILITY_OPT_IN"}


def test_the_runtime_runs_the_zip_under_its_content_key() -> None:
    stack = deployed("dev")
    uploaded = stack.one("BucketObjectv2")
    assert uploaded.inputs["key"] == "agent/bbbbbbbbbbbbbbbb.zip"
    assert stack.one("AgentcoreAgentRuntime").inputs["agentRuntimeArtifact"] == {
        "codeConfiguration": {
            "runtime": "PYTHON_3_13",
            "entryPoints": ["opentelemetry-instrument", "main.py"],
            "code": {"s3": {"bucket": "artifacts-bucket", "prefix": uploaded.inputs["key"]}},
        }
    }


def test_the_code_of_earlier_versions_stays_in_the_bucket() -> None:
    assert deployed("dev").one("BucketObjectv2").options["retainOnDelete"] is True


def test_our_code_alone_is_started_without_instrumentation() -> None:
    artifact = deployed("local").one("AgentcoreAgentRuntime").inputs["agentRuntimeArtifact"]
    assert artifact["codeConfiguration"]["entryPoints"] == ["main.py"]


def test_an_image_replaces_the_zip_and_may_be_pulled() -> None:
    image = f"{ACCOUNT_ID}.dkr.ecr.{REGION}.amazonaws.com/agents/mine:1.2"
    stack = deploy("dev", {"agentImage": image})
    assert stack.one("AgentcoreAgentRuntime").inputs["agentRuntimeArtifact"] == {
        "containerConfiguration": {"containerUri": image}
    }
    assert stack.all("BucketObjectv2") == []
    pulls = [s for s in stack.statements("agent") if s["Action"][0].startswith("ecr:")]
    assert pulls[0]["Resource"] == [f"arn:aws:ecr:{REGION}:{ACCOUNT_ID}:repository/agents/mine"]


def test_the_first_zip_comes_after_everything_that_the_bucket_is_made_of() -> None:
    stack = deployed("dev")
    guards = {found.urn for found in stack.resources if found.name.startswith("artifacts-")}
    assert len(guards) == 6
    assert guards <= set(stack.one("BucketObjectv2").depends_on)


def test_the_runtime_waits_for_its_roles_policy() -> None:
    stack = deployed("dev")
    assert stack.one("RolePolicy", "agent-policy").urn in stack.one("AgentcoreAgentRuntime").depends_on


def runtime_name() -> str:
    return deploy("dev").one("AgentcoreAgentRuntime").inputs["agentRuntimeName"]


def test_a_runtime_is_never_made_under_a_name_that_an_earlier_one_may_have_kept() -> None:
    # What the engine does with the name is in docs/decisions.md: an existing runtime keeps its own.
    names = {runtime_name(), runtime_name()}
    assert len(names) == 2
    assert all(re.fullmatch(r"fire_and_forget_dev_[0-9a-f]{6}", name) for name in names)
    assert deployed("dev").one("AgentcoreAgentRuntime").options["ignoreChanges"] == ["agentRuntimeName"]


def test_a_replacement_is_there_before_the_old_runtime_is_gone() -> None:
    assert deployed("dev").one("AgentcoreAgentRuntime").options["deleteBeforeReplace"] is False


def test_the_endpoint_is_called_live_and_follows_the_version() -> None:
    endpoint = deployed("dev").one("AgentcoreAgentRuntimeEndpoint").inputs
    assert (endpoint["name"], endpoint["agentRuntimeVersion"]) == ("live", "7")


def test_the_endpoint_can_be_pinned_to_an_earlier_version() -> None:
    stack = deploy("dev", {"agentVersion": "3"})
    assert stack.one("AgentcoreAgentRuntimeEndpoint").inputs["agentRuntimeVersion"] == "3"


def test_a_pinned_stack_builds_nothing_and_its_runtime_keeps_the_zip_that_it_has() -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pulumi_program, "_no_bundle", Mock(side_effect=AssertionError("it is built")))
        stack = deploy("dev", {"agentVersion": "3"})
    assert stack.all("BucketObjectv2") == []
    runtime = stack.one("AgentcoreAgentRuntime")
    assert "agentRuntimeArtifact" in runtime.options["ignoreChanges"]
    # What a first deployment is refused with.
    code = runtime.inputs["agentRuntimeArtifact"]["codeConfiguration"]["code"]["s3"]
    assert code == {"bucket": "artifacts-bucket", "prefix": "agent/no-zip-is-built-while-agentVersion-is-set.zip"}


def test_the_artifact_of_a_stack_that_is_not_pinned_follows_what_is_built() -> None:
    assert "agentRuntimeArtifact" not in deployed("dev").one("AgentcoreAgentRuntime").options["ignoreChanges"]


def test_another_zip_is_another_object_whose_bytes_are_compared_with_nothing() -> None:
    uploaded = deployed("dev").one("BucketObjectv2")
    assert uploaded.name == "agent-code-bbbbbbbbbbbbbbbb"
    assert uploaded.options["ignoreChanges"] == ["source"]


def test_the_endpoints_log_group_is_there_before_the_endpoint() -> None:
    stack = deployed("dev")
    logs = stack.one("LogGroup", "agent-logs")
    assert logs.inputs["name"] == f"/aws/bedrock-agentcore/runtimes/{stack.outputs['agentRuntimeId']}-live"
    assert logs.urn in stack.one("AgentcoreAgentRuntimeEndpoint").depends_on
    assert stack.outputs["agentLogGroupName"] == logs.inputs["name"]


def test_prompts_and_replies_are_not_exported_unless_the_configuration_says_so() -> None:
    def environment(capture: bool) -> dict[str, str]:
        stack = deploy("dev", {"captureModelText": capture})
        return stack.one("AgentcoreAgentRuntime").inputs["environmentVariables"]

    hidden = environment(False)
    assert hidden["OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"] == "false"
    assert hidden["OTEL_SEMCONV_STABILITY_OPT_IN"] == "gen_ai_unredacted_attributes="
    assert not TEXT_SWITCHES & set(environment(True))


def test_pings_leave_no_traces() -> None:
    environment = deployed("dev").one("AgentcoreAgentRuntime").inputs["environmentVariables"]
    assert environment["OTEL_PYTHON_STARLETTE_EXCLUDED_URLS"] == "/ping"


def test_the_agent_is_told_where_its_state_lives() -> None:
    environment = deployed("dev").one("AgentcoreAgentRuntime").inputs["environmentVariables"]
    assert environment["JOURNAL_TABLE"] == "journal-table"
    assert environment["ARTIFACT_BUCKET"] == "artifacts-bucket"
    assert environment["AWS_REGION"] == REGION
    assert set(environment) >= {"MODEL_ID", "LEASE_SECONDS", "JOURNAL_TTL_DAYS"}


def test_lifecycle_limits_reach_the_runtime() -> None:
    stack = deploy("dev", {"idleSessionTimeoutSeconds": 120, "maxSessionLifetimeSeconds": 7200})
    assert stack.one("AgentcoreAgentRuntime").inputs["lifecycleConfigurations"] == [
        {"idleRuntimeSessionTimeout": 120, "maxLifetime": 7200}
    ]


def test_the_agent_reads_and_writes_artifacts_of_sessions_only() -> None:
    on_bucket = [s for s in deployed("dev").statements("agent") if s["Action"][0].startswith("s3:")]
    assert on_bucket == [
        {
            "Effect": "Allow",
            "Action": ["s3:GetObject", "s3:PutObject"],
            "Resource": ["arn:aws:s3:::artifacts-bucket/sessions/*"],
        },
        {
            "Effect": "Allow",
            "Action": ["s3:ListBucket"],
            "Resource": ["arn:aws:s3:::artifacts-bucket"],
            "Condition": {"StringLike": {"s3:prefix": "sessions/*"}},
        },
    ]


@pytest.mark.parametrize(
    ("model_id", "resources"),
    [
        (
            "global.anthropic.claude-x-v1:0",
            [
                "arn:aws:bedrock:*::foundation-model/anthropic.claude-x-v1:0",
                f"arn:aws:bedrock:{REGION}:{ACCOUNT_ID}:inference-profile/global.anthropic.claude-x-v1:0",
            ],
        ),
        ("amazon.nova-lite-v1:0", [f"arn:aws:bedrock:{REGION}::foundation-model/amazon.nova-lite-v1:0"]),
    ],
)
def test_the_agent_calls_the_configured_model_only(model_id: str, resources: list[str]) -> None:
    stack = deploy("dev", {"modelId": model_id})
    [statement] = [s for s in stack.statements("agent") if s["Action"][0].startswith("bedrock:")]
    assert statement["Resource"] == resources


def test_the_agent_writes_its_own_log_groups_only() -> None:
    stack = deployed("dev")
    groups = f"arn:aws:logs:{REGION}:{ACCOUNT_ID}:log-group:/aws/bedrock-agentcore/runtimes/"
    [[pattern]] = [s["Resource"] for s in stack.statements("agent") if "logs:PutLogEvents" in s["Action"]]
    own = f"{groups}{stack.outputs['agentRuntimeId']}-live:log-stream:x"
    another_stacks = own.replace("_dev_", "_dev_2_")
    # IAM's * and ? mean what they mean in file names.
    assert fnmatchcase(own, pattern)
    assert not fnmatchcase(another_stacks, pattern)


def test_the_agent_puts_metrics_into_one_namespace_only() -> None:
    [statement] = [s for s in deployed("dev").statements("agent") if s["Action"] == ["cloudwatch:PutMetricData"]]
    assert statement["Condition"] == {"StringEquals": {"cloudwatch:namespace": "bedrock-agentcore"}}
