from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, cast

import boto3
import pytest
from botocore.stub import Stubber

from local.agentcore.environments.role_credentials import RoleCredentials, RoleCredentialsStore
from local.agentcore.protocol.errors import RuntimeClientError

if TYPE_CHECKING:
    from mypy_boto3_sts import STSClient

ROLE = "arn:aws:iam::000000000000:role/agent"


@pytest.fixture
def sts() -> Stubber:
    return Stubber(boto3.client("sts", "us-east-1", aws_access_key_id="test", aws_secret_access_key="test"))


def assumed(key: str, lasts: timedelta) -> dict[str, object]:
    credentials = {"AccessKeyId": key, "SecretAccessKey": "secret", "SessionToken": "token"}
    return {"Credentials": {**credentials, "Expiration": datetime.now(UTC) + lasts}}


def keys_asked_twice(sts: Stubber) -> list[str]:
    async def ask_twice() -> list[RoleCredentials]:
        store = RoleCredentialsStore(cast("STSClient", sts.client))
        return [await store.credentials_of(ROLE) for _ in range(2)]

    with sts:
        return [credentials.access_key_id for credentials in asyncio.run(ask_twice())]


def test_a_role_is_assumed_once_while_its_credentials_last(sts: Stubber) -> None:
    sts.add_response("assume_role", assumed("A" * 16, timedelta(hours=1)))
    assert keys_asked_twice(sts) == ["A" * 16] * 2


def test_credentials_are_renewed_before_botocore_would_miss_them(sts: Stubber) -> None:
    sts.add_response("assume_role", assumed("A" * 16, timedelta(minutes=29)))
    sts.add_response("assume_role", assumed("B" * 16, timedelta(hours=1)))
    assert keys_asked_twice(sts) == ["A" * 16, "B" * 16]


def test_a_role_that_cannot_be_assumed_is_named(sts: Stubber) -> None:
    sts.add_client_error("assume_role", "AccessDenied")
    with pytest.raises(RuntimeClientError, match=f"{ROLE} can't be assumed.*AccessDenied"):
        keys_asked_twice(sts)


def test_the_document_is_what_the_container_provider_reads() -> None:
    credentials = RoleCredentials("key", "secret", "token", datetime(2026, 11, 22, 13, 0, 0, tzinfo=UTC))
    assert credentials.as_document() == {
        "AccessKeyId": "key",
        "SecretAccessKey": "secret",
        "Token": "token",
        "Expiration": "2026-11-22T13:00:00Z",
    }
