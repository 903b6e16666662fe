"""What guards the bucket and the key: who never gets in, and what is never lost."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support.pulumi_program import ACCOUNT_ID, REGION, deployed

DATA_SERVICES = ("dynamodb", "s3", "sqs")


def test_nothing_in_the_bucket_can_be_made_public() -> None:
    block = deployed("dev").one("BucketPublicAccessBlock").inputs
    guards = ("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets")
    assert all(block[guard] is True for guard in guards)


def test_requests_without_tls_are_refused_whoever_sends_them() -> None:
    [statement] = json.loads(deployed("dev").one("BucketPolicy").inputs["policy"])["Statement"]
    assert statement == {
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:*",
        "Resource": ["arn:aws:s3:::artifacts-bucket", "arn:aws:s3:::artifacts-bucket/*"],
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }


def test_artifacts_and_turns_expire_together_with_the_journal_and_current_code_never() -> None:
    stack = deployed("everything")
    artifacts, turns, leftovers = stack.one("BucketLifecycleConfiguration").inputs["rules"]
    days = int(stack.one("AgentcoreAgentRuntime").inputs["environmentVariables"]["JOURNAL_TTL_DAYS"])
    assert (artifacts["filter"], artifacts["expiration"]) == ({"prefix": "sessions/"}, {"days": days})
    assert (turns["filter"], turns["expiration"]) == ({"prefix": "turns/"}, {"days": days})
    assert leftovers["noncurrentVersionExpiration"] == {"noncurrentDays": days}
    assert "expiration" not in leftovers


@pytest.mark.parametrize(
    ("principal", "condition"),
    [
        (
            "*",
            {
                "StringEquals": {
                    "kms:CallerAccount": ACCOUNT_ID,
                    "kms:ViaService": [f"{service}.{REGION}.amazonaws.com" for service in DATA_SERVICES],
                }
            },
        ),
        (
            f"logs.{REGION}.amazonaws.com",
            {"ArnLike": {"kms:EncryptionContext:aws:logs:arn": f"arn:aws:logs:{REGION}:{ACCOUNT_ID}:log-group:*"}},
        ),
        ("events.amazonaws.com", {"StringEquals": {"aws:SourceAccount": ACCOUNT_ID}}),
    ],
)
def test_the_key_serves_this_account_only(principal: str, condition: dict[str, Any]) -> None:
    statement = key_statement(principal)
    assert statement["Condition"] == condition
    assert set(statement["Action"]) <= {
        *("kms:Encrypt", "kms:Decrypt", "kms:ReEncrypt*", "kms:GenerateDataKey*", "kms:DescribeKey"),
        *("kms:GenerateDataKey", "kms:CreateGrant"),
    }


def test_the_account_administers_the_key() -> None:
    assert key_statement(f"arn:aws:iam::{ACCOUNT_ID}:root")["Action"] == "kms:*"


def key_statement(principal: str) -> dict[str, Any]:
    statements = json.loads(deployed("prod").one("Key").inputs["policy"])["Statement"]
    [found] = [statement for statement in statements if principal in statement["Principal"].values()]
    return found
