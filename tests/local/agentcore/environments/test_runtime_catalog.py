from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from local.agentcore.environments.runtime_catalog import RuntimeCatalog, RuntimeVersion
from local.agentcore.protocol.errors import NotFoundError, RuntimeClientError
from local.agentcore.protocol.requests import Endpoint
from local.emulator.process import Emulator
from tests.support.agentcore_account import AgentCoreAccount


@pytest.fixture(scope="module")
def account(emulator: Emulator) -> AgentCoreAccount:
    return AgentCoreAccount(emulator)


@pytest.fixture
def catalog(emulator: Emulator, tmp_path: Path) -> RuntimeCatalog:
    return RuntimeCatalog(emulator.client("bedrock-agentcore-control"), emulator.client("s3"), tmp_path)


def looked_up(catalog: RuntimeCatalog, runtime_arn: str, endpoint_name: str = "DEFAULT") -> RuntimeVersion:
    return asyncio.run(catalog.version_behind(Endpoint(runtime_arn, endpoint_name)))


def test_a_version_has_its_code_and_what_it_was_given(catalog: RuntimeCatalog, account: AgentCoreAccount) -> None:
    role = account.role()
    arn = account.runtime(
        "the code", role=role, environment={"A": "1"}, idleRuntimeSessionTimeout=120, maxLifetime=3600
    )
    version = looked_up(catalog, arn)
    assert (version.runtime_arn, version.version, version.role_arn) == (arn, "1", role)
    assert (version.idle_seconds, version.max_lifetime_seconds, version.environment["A"]) == (120, 3600, "1")
    assert (version.code_directory / "main.py").read_text() == "the code"


def test_limits_that_were_not_given_are_those_of_aws(catalog: RuntimeCatalog, account: AgentCoreAccount) -> None:
    version = looked_up(catalog, account.runtime(""))
    assert (version.idle_seconds, version.max_lifetime_seconds) == (900, 28_800)


@pytest.mark.parametrize("entry_point", [("main.py",), ("opentelemetry-instrument", "main.py")])
def test_the_platforms_wrapper_is_no_part_of_the_entry_point(
    catalog: RuntimeCatalog, account: AgentCoreAccount, entry_point: tuple[str, ...]
) -> None:
    assert looked_up(catalog, account.runtime("", entry_point=entry_point)).entry_point == ("main.py",)


def test_what_does_not_exist_is_not_found(catalog: RuntimeCatalog, account: AgentCoreAccount) -> None:
    arn = account.runtime("")
    for missing in ((arn, "other"), (arn[:-10] + "0123456789", "DEFAULT")):
        with pytest.raises(NotFoundError, match=f"qualifier '{missing[1]}' for agent '{missing[0]}'"):
            looked_up(catalog, *missing)


def test_code_that_is_missing_or_no_zip_is_a_failed_start(catalog: RuntimeCatalog, account: AgentCoreAccount) -> None:
    broken, missing = account.runtime(""), account.runtime("")
    s3 = account.client("s3")
    s3.put_object(Bucket=account.bucket, Key=account.code_key(broken), Body=b"not a zip")
    s3.delete_object(Bucket=account.bucket, Key=account.code_key(missing))
    with pytest.raises(RuntimeClientError, match=f"s3://{account.bucket}/.* is not a zip file"):
        looked_up(catalog, broken)
    with pytest.raises(RuntimeClientError, match="NoSuchKey"):
        looked_up(catalog, missing)


def test_a_container_is_refused(catalog: RuntimeCatalog, account: AgentCoreAccount) -> None:
    artifact: Any = {"containerConfiguration": {"containerUri": "1.dkr.ecr.us-east-1.amazonaws.com/agent:1"}}
    arn = account.client("bedrock-agentcore-control").create_agent_runtime(
        agentRuntimeName="contained",
        agentRuntimeArtifact=artifact,
        roleArn=account.role(),
        networkConfiguration={"networkMode": "PUBLIC"},
    )["agentRuntimeArn"]
    with pytest.raises(RuntimeClientError, match="not containers"):
        looked_up(catalog, arn)
