"""Pulumi.yaml and the stacks' files: one schema, the same program everywhere, values that differ."""

from __future__ import annotations

import json
import re
from typing import Any

import pulumi_aws as aws
import pytest
import yaml

from local.deployment.program import PROJECT
from tests.support.configuration_table import PAGE, STACKS, render
from tests.support.pulumi_schema import problems_of

PROJECT_FILE: dict[str, Any] = yaml.safe_load((PROJECT / "Pulumi.yaml").read_text(encoding="utf-8"))


def stack_file(stack: str) -> dict[str, Any]:
    return yaml.safe_load((PROJECT / f"Pulumi.{stack}.yaml").read_text(encoding="utf-8"))["config"]


def test_the_page_on_configuration_is_what_the_schema_says() -> None:
    written = PAGE.read_text(encoding="utf-8")
    assert written == render(), "run python -m tests.support.configuration_table"


@pytest.mark.parametrize("stack", STACKS)
def test_a_stack_sets_no_value_that_is_the_default_anyway(stack: str) -> None:
    for key, value in stack_file(stack).items():
        namespace, _, name = key.partition(":")
        if namespace == "fire-and-forget":
            assert value != as_the_engine_writes(PROJECT_FILE["config"][name]["default"]), key


def as_the_engine_writes(value: Any) -> Any:
    return json.dumps(value) if isinstance(value, int) else value


@pytest.mark.parametrize("stack", STACKS)
def test_pulumi_would_write_a_stacks_file_as_it_stands(stack: str) -> None:
    # `pulumi stack init` writes the file anew, every plain value as text: a clone's diff is then the salt alone.
    assert [value for value in stack_file(stack).values() if not isinstance(value, (str, list, dict))] == []


@pytest.mark.parametrize("stack", ["dev", "staging", "prod"])
def test_every_resource_of_a_stack_is_tagged_with_project_and_stack(stack: str) -> None:
    assert stack_file(stack)["aws:defaultTags"] == {"tags": {"project": "fire-and-forget", "stack": stack}}


@pytest.mark.parametrize("stack", STACKS)
def test_the_provider_knows_what_a_stack_configures_it_with(stack: str) -> None:
    given = {key.removeprefix("aws:"): value for key, value in stack_file(stack).items() if key.startswith("aws:")}
    configured = {key: json.loads(value) if value in ("true", "false") else value for key, value in given.items()}
    assert "region" in configured
    assert problems_of(aws.ProviderArgs, configured) == []


def test_prod_shows_how_to_bind_it_to_one_account() -> None:
    text = (PROJECT / "Pulumi.prod.yaml").read_text(encoding="utf-8")
    shown = re.search(r"(?m)^  # aws:allowedAccountIds:\n  #   - .*$", text)
    assert shown
    configured = yaml.safe_load(shown[0].replace("  # ", ""))
    assert problems_of(aws.ProviderArgs, {"allowedAccountIds": configured["aws:allowedAccountIds"]}) == []


def test_the_provider_of_local_reaches_every_service_of_the_program_on_this_machine_only() -> None:
    [endpoints] = stack_file("local")["aws:endpoints"]
    assert {"dynamodb", "s3", "lambda", "sfn", "events", "iam", "sts", "logs", "bedrockagentcore"} <= set(endpoints)
    assert set(endpoints.values()) == {"http://127.0.0.1:4566"}


def test_physical_names_tell_project_and_stack() -> None:
    pattern = PROJECT_FILE["config"]["pulumi:autonaming"]["value"]["pattern"]
    # The hex keeps replacements apart: the new one exists before the old one is gone.
    assert pattern == "${project}-${stack}-${name}-${hex(6)}"
