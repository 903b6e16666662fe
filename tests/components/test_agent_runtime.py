"""The agent's runtime, endpoint and role."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from unittest.mock import Mock

import pytest
from pulumi import RunError

from components import agent_execution_role, agent_runtime
from runtime.agent.definition import Step, Workflow, table
from tests.support import pulumi_program
from tests.support.pulumi_program import ACCOUNT_ID, REGION, deploy, deployed

TEXT_SWITCHES = {"OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", "OTEL_SEMCONV_STABILITY_OPT_IN"}


def test_an_image_may_be_pulled_from_its_own_repository() -> None:
    stack = deployed("everything")
    pulls = [s for s in stack.statements("agent") if s["Action"][0].startswith("ecr:")]
    assert pulls[0]["Resource"] == [f"arn:aws:ecr:{REGION}:{ACCOUNT_ID}:repository/agents/mine"]


def test_the_first_zip_comes_after_everything_that_the_bucket_is_made_of() -> None:
    stack = deployed("dev")
    guards = {found.urn for found in stack.resources if found.name.startswith("artifacts-")}
    assert len(guards) == 6
    assert guards <= set(stack.one("BucketObjectv2").depends_on)


def runtime_name() -> str:
    return deploy("dev").one("AgentcoreAgentRuntime").inputs["agentRuntimeName"]


def test_a_runtime_is_never_made_under_a_name_that_an_earlier_one_may_have_kept() -> None:
    # What the engine does with the name is in docs/decisions.md: an existing runtime keeps its own.
    names = {runtime_name(), runtime_name()}
    assert len(names) == 2
    assert all(re.fullmatch(r"fire_and_forget_dev_[0-9a-f]{6}", name) for name in names)
    assert deployed("dev").one("AgentcoreAgentRuntime").options["ignoreChanges"] == ["agentRuntimeName"]


def test_a_pinned_stack_builds_nothing_and_its_runtime_keeps_the_zip_that_it_has() -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pulumi_program, "_no_bundle", Mock(side_effect=AssertionError("it is built")))
        stack = deploy("dev", {"agentVersion": "3"})
    assert "agentRuntimeArtifact" in stack.one("AgentcoreAgentRuntime").options["ignoreChanges"]


def test_the_endpoints_log_group_is_there_before_the_endpoint() -> None:
    stack = deployed("dev")
    logs = stack.one("LogGroup", "agent-logs")
    assert logs.inputs["name"] == f"/aws/bedrock-agentcore/runtimes/{stack.outputs['agentRuntimeId']}-live"
    assert logs.urn in stack.one("AgentcoreAgentRuntimeEndpoint").depends_on
    assert stack.outputs["agentLogGroupName"] == logs.inputs["name"]


def test_prompts_and_replies_are_not_exported_unless_the_configuration_says_so() -> None:
    def environment(capture: bool) -> dict[str, str]:
        stack = deployed("everything" if capture else "dev")
        return stack.one("AgentcoreAgentRuntime").inputs["environmentVariables"]

    hidden = environment(False)
    assert hidden["OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"] == "false"
    assert hidden["OTEL_SEMCONV_STABILITY_OPT_IN"] == "gen_ai_unredacted_attributes="
    assert not TEXT_SWITCHES & set(environment(True))


def test_the_runtime_and_its_agent_are_told_the_same_platform_version() -> None:
    for stack, version in (("dev", "V2"), ("everything", "V1")):
        runtime = deployed(stack).one("AgentcoreAgentRuntime").inputs
        assert runtime["platformVersion"] == runtime["environmentVariables"]["PLATFORM_VERSION"] == version


def test_more_variables_than_a_snapshot_may_have_are_refused_in_a_preview(monkeypatch: pytest.MonkeyPatch) -> None:
    size = sum(
        len(f"{k}{v}") for k, v in deployed("dev").one("AgentcoreAgentRuntime").inputs["environmentVariables"].items()
    )
    assert size < agent_runtime.VARIABLES_BYTES["zip"]["V2"] - 500
    monkeypatch.setitem(agent_runtime.VARIABLES_BYTES["zip"], "V2", 500)
    with pytest.raises(RunError, match=r"variables take \d+ bytes; on platformVersion V2 AgentCore accepts 500"):
        deploy("dev", preview=True)


def test_a_start_loads_no_instrumentation_that_no_agent_uses_and_keeps_those_that_link_its_spans() -> None:
    left_out = (
        deployed("dev")
        .one("AgentcoreAgentRuntime")
        .inputs["environmentVariables"]["OTEL_PYTHON_DISABLED_INSTRUMENTATIONS"]
        .split(",")
    )
    assert "aws_mcp" in left_out
    assert not {"botocore", "starlette", "threading", "logging"} & set(left_out)


def test_the_agent_reads_and_writes_artifacts_and_turns_of_sessions_only() -> None:
    on_bucket = [s for s in deployed("dev").statements("agent") if s["Action"][0].startswith("s3:")]
    assert on_bucket == [
        {
            "Effect": "Allow",
            "Action": ["s3:GetObject", "s3:PutObject"],
            "Resource": ["arn:aws:s3:::artifacts-bucket/sessions/*", "arn:aws:s3:::artifacts-bucket/turns/*"],
        },
        {
            "Effect": "Allow",
            "Action": ["s3:ListBucket"],
            "Resource": ["arn:aws:s3:::artifacts-bucket"],
            "Condition": {"StringLike": {"s3:prefix": ["sessions/*", "turns/*"]}},
        },
    ]


@pytest.mark.parametrize(
    ("stack", "resources"),
    [
        (
            "dev",
            [
                "arn:aws:bedrock:*::foundation-model/anthropic.claude-sonnet-4-6",
                f"arn:aws:bedrock:{REGION}:{ACCOUNT_ID}:inference-profile/us.anthropic.claude-sonnet-4-6",
            ],
        ),
        ("pinned", [f"arn:aws:bedrock:{REGION}::foundation-model/amazon.nova-lite-v1:0"]),
    ],
)
def test_the_agent_calls_the_configured_model_only(stack: str, resources: list[str]) -> None:
    [statement] = [s for s in deployed(stack).statements("agent") if s["Action"][0].startswith("bedrock:")]
    assert statement["Resource"] == resources


def test_the_agent_also_calls_the_models_that_its_steps_name(monkeypatch: pytest.MonkeyPatch) -> None:
    models = (None, "eu.anthropic.claude-haiku-4-5", "amazon.nova-lite-v1:0", "amazon.nova-lite-v1:0")
    steps = tuple(Step(f"step{number}", "analyst.md", model=model) for number, model in enumerate(models))
    monkeypatch.setattr(agent_execution_role, "WORKFLOWS", table(Workflow("several", steps)))
    [statement] = [s for s in deploy("dev").statements("agent") if s["Action"][0].startswith("bedrock:")]
    assert statement["Resource"][2:] == [
        "arn:aws:bedrock:*::foundation-model/anthropic.claude-haiku-4-5",
        f"arn:aws:bedrock:{REGION}:{ACCOUNT_ID}:inference-profile/eu.anthropic.claude-haiku-4-5",
        f"arn:aws:bedrock:{REGION}::foundation-model/amazon.nova-lite-v1:0",
    ]


def test_the_agent_is_told_its_stacks_budget() -> None:
    for overrides, told in (({}, "0"), ({"maxTokens": 2_000_000}, "2000000")):
        stack = deploy("dev", overrides)
        assert stack.one("AgentcoreAgentRuntime").inputs["environmentVariables"]["MAX_TOKENS"] == told


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
