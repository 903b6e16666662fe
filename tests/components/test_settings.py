"""Configuration: what is refused, and whether the message tells what to do."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
import yaml
from pulumi import RunError
from pulumi.runtime import mocks

from components import settings as settings_module
from components.settings import INTEGERS, LOG_RETENTION_DAYS, TEXTS, Settings, known_keys
from local.deployment.program import PROJECT, run_program, stack_config
from runtime.agent.definition import Workflow
from tests.support.pulumi_program import deploy

DECLARED: dict[str, dict[str, Any]] = {
    key: declared
    for key, declared in yaml.safe_load((PROJECT / "Pulumi.yaml").read_text(encoding="utf-8"))["config"].items()
    if ":" not in key
}
BAD_TEXTS = {
    "agentCode": "zip",
    "agentImage": "docker.io/library/python:3.13",
    "agentVersion": "latest",
    "alarmEmail": "on call",
    "completion": "push",
    "eventSource": "aws.events",
    "maxWaits": "11",
    "modelId": "arn:aws:bedrock:us-east-1:123456789012:inference-profile/x",
    "platformVersion": "2",
    "questionEmail": "someone",
    "schedule": "every day",
}
SHORT = {"idleSessionTimeoutSeconds": 60, "maxRunSeconds": 60, "maxSessionLifetimeSeconds": 600}
REFUSED: list[tuple[dict[str, Any], str]] = [
    *(
        ({key: value}, f"{key} is {value}; allowed is {allowed.start} to {allowed.stop - 1}.")
        for key, allowed in INTEGERS.items()
        for value in (allowed.start - 1, allowed.stop)
    ),
    *(({key: text}, f"{key} is {text!r}; allowed is {TEXTS[key][1]}.") for key, text in BAD_TEXTS.items()),
    ({"logRetentionDays": 10}, "logRetentionDays is 10; allowed is one of 1, 3, 5, 7, 14"),
    # Nothing may take longer than an environment lives.
    *(
        (SHORT | {key: 700}, f"{key} is 700; allowed is at most maxSessionLifetimeSeconds, which is 600.")
        for key in ("idleSessionTimeoutSeconds", "maxRunSeconds")
    ),
    *(
        (
            {"schedule": "rate(1 day)", "scheduledRequest": request},
            f"scheduledRequest is {request}; allowed is an object",
        )
        for request in ({}, {"prompt": " "}, {"prompt": 5})
    ),
    ({"leaseSecond": 60}, "leaseSecond is not a key of this project; the nearest is fire-and-forget:leaseSeconds."),
]


ReadSettings = Callable[..., None]


@pytest.fixture
def read_settings(tmp_path: Path) -> ReadSettings:
    """Read the settings of the stack dev, with some values in place of its own."""
    program = "from components.settings import Settings\n\nSettings.from_config()\n"
    (tmp_path / "__main__.py").write_text(program, encoding="utf-8")
    (tmp_path / "Pulumi.yaml").symlink_to(PROJECT / "Pulumi.yaml")

    def read(overrides: dict[str, Any], **aws: str) -> None:
        configured = stack_config("dev", overrides) | {f"aws:{key}": value for key, value in aws.items()}
        run_program(NoResources(), configured, "dev", project=tmp_path)

    return read


class NoResources(mocks.Mocks):
    """For a program that registers nothing."""

    def new_resource(self, args: mocks.MockResourceArgs) -> tuple[str | None, dict[str, Any]]:
        raise AssertionError(args.name)

    def call(self, args: mocks.MockCallArgs) -> tuple[dict[str, Any], list[tuple[str, str]]]:
        raise AssertionError(args.token)


@pytest.mark.parametrize(("overrides", "sentence"), REFUSED)
def test_a_bad_setting_is_refused_with_what_is_allowed(
    overrides: dict[str, Any], sentence: str, read_settings: ReadSettings
) -> None:
    with pytest.raises(RunError) as refusal:
        read_settings(overrides)
    assert str(refusal.value).startswith(f"fire-and-forget:{sentence}")


@pytest.mark.parametrize(
    ("model_id", "region"),
    [
        ("us.anthropic.claude-x", "us-west-2"),
        ("us.anthropic.claude-x", "ca-central-1"),
        ("eu.anthropic.claude-x", "eu-central-1"),
        ("apac.anthropic.claude-x", "ap-south-1"),
        ("jp.anthropic.claude-x", "ap-northeast-1"),
        ("au.anthropic.claude-x", "ap-southeast-2"),
        ("global.anthropic.claude-x", "sa-east-1"),
        ("anthropic.claude-x", "eu-west-1"),
    ],
)
def test_a_profile_is_taken_where_it_can_be_called(model_id: str, region: str, read_settings: ReadSettings) -> None:
    read_settings({"modelId": model_id}, region=region)


@pytest.mark.parametrize(
    ("model_id", "region", "allowed"),
    [
        ("us.anthropic.claude-x", "eu-west-1", "eu. or global."),
        ("eu.anthropic.claude-x", "us-east-1", "global. or us."),
        ("jp.anthropic.claude-x", "ap-southeast-2", "apac. or au. or global."),
        ("us-gov.anthropic.claude-x", "us-east-1", "global. or us."),
    ],
)
def test_a_profile_of_another_part_of_the_world_is_refused_with_those_of_this_one(
    model_id: str, region: str, allowed: str, read_settings: ReadSettings
) -> None:
    with pytest.raises(RunError, match=f"modelId is '{model_id}'; allowed is in {region} .* begins with {allowed}"):
        read_settings({"modelId": model_id}, region=region)


@pytest.mark.parametrize("region", ["us-gov-west-1", "cn-north-1", "us-iso-east-1", "eusc-de-east-1", "", "useast1"])
def test_a_region_of_another_partition_is_refused(region: str, read_settings: ReadSettings) -> None:
    with pytest.raises(RunError, match=f"aws:region is '{region}'; allowed is a Region of the partition aws"):
        read_settings({}, region=region)


def test_the_keys_that_are_known_are_those_that_are_declared() -> None:
    assert known_keys() == set(DECLARED)


def test_polls_that_do_not_fit_into_an_execution_are_refused_in_a_preview() -> None:
    with pytest.raises(RunError, match=r"pollIntervalSeconds.* 25000"):
        deploy("dev", {"pollIntervalSeconds": 1, "maxRunSeconds": 28800}, preview=True)


@pytest.mark.parametrize(
    ("asks", "chosen", "waits"), [(False, "", 0), (True, "", 3), (False, "2", 2), (True, "10", 10), (False, "0", 0)]
)
def test_runs_may_wait_where_a_workflow_asks_unless_a_number_is_chosen(
    asks: bool, chosen: str, waits: int, read_settings: ReadSettings
) -> None:
    with asking(asks), patch.object(settings_module, "_check_together") as check:
        read_settings({"maxWaits": chosen})
        assert check.call_args[0][0].max_waits == waits
        assert Settings.defaults().max_waits == (3 if asks else 0)


def test_no_waits_are_refused_where_a_workflow_asks(read_settings: ReadSettings) -> None:
    refusal = "maxWaits is 0; allowed is 1 to 10 or empty, because the workflow default asks a person."
    with asking(True), pytest.raises(RunError, match=refusal):
        read_settings({"maxWaits": "0"})
    with asking(True):
        read_settings({"maxWaits": "1"})


def asking(asks: bool) -> Any:
    """Let each workflow ask, or none."""
    return patch.object(Workflow, "asks", property(lambda _: asks))


def test_every_key_has_a_description_and_a_default_of_its_type() -> None:
    types = {"string": str, "integer": int, "boolean": bool, "object": dict}
    for key, declared in DECLARED.items():
        assert len(declared["description"]) > 20, key
        assert type(declared["default"]) is types[declared["type"]], key


def test_the_description_of_a_number_states_its_range() -> None:
    for key, allowed in INTEGERS.items():
        assert f"{allowed.start}\u2013{allowed.stop - 1}" in DECLARED[key]["description"], key


def test_the_description_of_the_log_retention_states_every_value() -> None:
    assert all(str(days) in DECLARED["logRetentionDays"]["description"] for days in LOG_RETENTION_DAYS)


def test_every_number_and_text_is_checked() -> None:
    numbers = {key for key, declared in DECLARED.items() if declared["type"] == "integer"}
    texts = {key for key, declared in DECLARED.items() if declared["type"] == "string"}
    assert numbers == {*INTEGERS, "logRetentionDays"}
    assert texts == set(TEXTS) == set(BAD_TEXTS)


def test_defaults_without_a_stack_are_what_a_stack_gets_that_sets_nothing(tmp_path: Path) -> None:
    program = """
from components.settings import Settings

computed = {"event_source": "fire-and-forget.bare", "platform_version": "V2"}
assert Settings.from_config() == Settings.defaults(**computed)
assert Settings.from_config() != Settings.defaults(**computed, lease_seconds=7)
"""
    (tmp_path / "__main__.py").write_text(program, encoding="utf-8")
    (tmp_path / "Pulumi.yaml").symlink_to(PROJECT / "Pulumi.yaml")
    (tmp_path / "Pulumi.bare.yaml").write_text("", encoding="utf-8")
    configured = stack_config("bare", project=tmp_path) | {"aws:region": "us-east-1"}
    run_program(NoResources(), configured, "bare", project=tmp_path)


@pytest.mark.parametrize(
    ("chosen", "region", "expected"),
    [("", "us-east-1", "V2"), ("", "sa-east-1", "V1"), ("V1", "us-east-1", "V1"), ("V2", "sa-east-1", "V2")],
)
def test_a_platform_version_is_always_said_and_is_the_newest_that_the_region_is_known_to_have(
    chosen: str, region: str, expected: str, tmp_path: Path
) -> None:
    program = (
        f"from components.settings import Settings\n\nassert Settings.from_config().platform_version == '{expected}'"
    )
    (tmp_path / "__main__.py").write_text(program, encoding="utf-8")
    (tmp_path / "Pulumi.yaml").symlink_to(PROJECT / "Pulumi.yaml")
    overrides = {"platformVersion": chosen, "modelId": "anthropic.claude-x"}
    run_program(NoResources(), stack_config("dev", overrides) | {"aws:region": region}, "dev", project=tmp_path)
