"""The whole Pulumi program, for every stack, under mocks."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest
from pulumi.output import Unknown

from local.deployment.program import PROJECT
from tests.support.pulumi_program import VARIANTS, Deployment, deployed
from tests.support.pulumi_schema import problems

STACKS = ("dev", "staging", "prod", "local")
# What the runbook reads, fixed by the design.
OUTPUTS = {
    "journalTableName",
    "artifactBucketName",
    "invokerFunctionName",
    "stateMachineArn",
    "agentRuntimeArn",
    "agentRuntimeId",
    "agentLogGroupName",
    "eventSource",
    "eventDetailType",
    "deadLetterQueueUrl",
    "dashboardName",
    "alarmNames",
    "journalTtlDays",
    "workflows",
}


@pytest.fixture(params=STACKS)
def stack(request: pytest.FixtureRequest) -> Deployment:
    return deployed(request.param)


def test_there_is_a_file_for_each_stack_and_a_test_for_each_file() -> None:
    assert {path.name.split(".")[1] for path in PROJECT.glob("Pulumi.*.yaml")} == set(STACKS)


def test_every_stack_exports_what_the_runbook_reads(stack: Deployment) -> None:
    assert set(stack.outputs) == OUTPUTS
    assert all(isinstance(value, (str, int, list)) and value for value in stack.outputs.values())


def test_every_resource_belongs_to_a_component(stack: Deployment) -> None:
    by_urn = {found.urn: found for found in stack.registrations}
    for found in stack.resources:
        parent = by_urn[found.parent_urn]
        expected = "pulumi:pulumi:Stack" if found.type.startswith("fire-and-forget:") else "fire-and-forget:index:"
        assert parent.type.startswith(expected), found.name


def test_every_component_registers_outputs(stack: Deployment) -> None:
    components = [found for found in stack.resources if found.type.startswith("fire-and-forget:")]
    assert components
    for component in components:
        assert component.urn in stack.registered_outputs, component.name


def test_children_are_named_after_their_component(stack: Deployment) -> None:
    by_urn = {found.urn: found for found in stack.registrations}
    for found in stack.resources:
        if not found.type.startswith("fire-and-forget:"):
            assert found.name.startswith(f"{by_urn[found.parent_urn].name}-")


def test_no_two_resources_share_a_name(stack: Deployment) -> None:
    names = Counter((found.type, found.name) for found in stack.resources)
    assert not [name for name, count in names.items() if count > 1]


@pytest.mark.parametrize("name", [*STACKS, *VARIANTS])
def test_the_provider_knows_every_input(name: str) -> None:
    for found in deployed(name).resources:
        if found.type.startswith("aws:"):
            assert problems(found.type, found.inputs) == []


@pytest.mark.parametrize("name", STACKS)
def test_a_preview_plans_the_same_resources_before_anything_exists(name: str) -> None:
    planned = deployed(name, preview=True)
    assert {(r.type, r.name) for r in planned.resources} == {(r.type, r.name) for r in deployed(name).resources}


def test_a_preview_knows_only_what_the_configuration_says() -> None:
    outputs = deployed("dev", preview=True).outputs
    known = {name for name, value in outputs.items() if not isinstance(value, Unknown)}
    assert known == {"eventSource", "eventDetailType", "dashboardName", "journalTtlDays", "alarmNames", "workflows"}


def test_the_program_asks_for_account_and_region_and_nothing_else() -> None:
    # Each question has to be answered by the local deployment as well.
    assert set(deployed("prod").invokes) == {
        "aws:index/getCallerIdentity:getCallerIdentity",
        "aws:index/getRegion:getRegion",
    }


def test_two_stacks_of_one_account_share_no_fixed_name() -> None:
    names = [
        {(r.type, r.inputs[key]) for r in deployed(stack).resources for key in _NAMES if key in r.inputs}
        for stack in ("dev", "staging")
    ]
    assert {name for _, name in names[0] & names[1]} <= {"live"}


_NAMES = ("name", "agentRuntimeName", "dashboardName", "policyName")


def test_two_stacks_of_one_account_do_not_start_each_others_runs() -> None:
    patterns = {deployed(name).one("EventRule", "trigger-rule").inputs["eventPattern"] for name in STACKS}
    assert len(patterns) == len(STACKS)


def test_resources_that_hold_data_survive_in_prod_only() -> None:
    for stack, protected in (("prod", True), ("dev", False)):
        table, bucket = deployed(stack).one("Table"), deployed(stack).one("Bucket")
        assert table.inputs["deletionProtectionEnabled"] is protected
        assert bucket.inputs["forceDestroy"] is not protected
        for found in (table, bucket):
            assert found.options["protect"] is found.options["retainOnDelete"] is protected


def test_what_guards_the_data_and_makes_it_readable_survives_with_it() -> None:
    prod = deployed("prod")
    kept = {found.type.rpartition(":")[2] for found in prod.resources if found.options.get("retainOnDelete")}
    assert kept == {
        *("Table", "Bucket", "BucketPublicAccessBlock", "BucketPolicy", "BucketVersioning"),
        *("BucketServerSideEncryptionConfiguration", "BucketLifecycleConfiguration", "Key", "Alias", "BucketObjectv2"),
    }
    assert kept - {"BucketObjectv2"} == {f.type.rpartition(":")[2] for f in prod.resources if f.options.get("protect")}


def test_every_log_group_has_a_retention(stack: Deployment) -> None:
    groups = stack.all("LogGroup")
    assert {group.parent_urn.rpartition("::")[2] for group in groups} >= {"agent", "invoker", "workflow"}
    assert all(group.inputs["retentionInDays"] > 0 for group in groups)


def test_with_a_key_of_its_own_every_log_group_is_encrypted_with_it() -> None:
    assert {group.inputs["kmsKeyId"] for group in deployed("prod").all("LogGroup")} == {
        "arn:aws:kms:us-east-1:123456789012:key/encryption-key"
    }


def test_the_program_can_be_read_at_once() -> None:
    lines = Path(PROJECT, "__main__.py").read_text(encoding="utf-8").splitlines()
    assert len(lines) < 130
    assert not [line for line in lines if re.match(r"\s*def ", line)]
