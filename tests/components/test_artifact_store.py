"""The bucket for artifacts and code, and what guards it."""

from __future__ import annotations

import json

from tests.support.pulumi_program import deploy, deployed

DEV = deployed("dev")


def test_nothing_in_the_bucket_can_be_made_public() -> None:
    block = DEV.one("BucketPublicAccessBlock").inputs
    guards = ("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets")
    assert all(block[guard] is True for guard in guards)


def test_requests_without_tls_are_refused_whoever_sends_them() -> None:
    [statement] = json.loads(DEV.one("BucketPolicy").inputs["policy"])["Statement"]
    assert statement == {
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:*",
        "Resource": ["arn:aws:s3:::artifacts-bucket", "arn:aws:s3:::artifacts-bucket/*"],
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }


def test_the_embedded_clouds_endpoint_without_tls_is_not_refused() -> None:
    assert deployed("local").all("BucketPolicy") == []


def test_every_object_is_encrypted_and_versioned() -> None:
    [rule] = DEV.one("BucketServerSideEncryptionConfiguration").inputs["rules"]
    assert rule == {"applyServerSideEncryptionByDefault": {"sseAlgorithm": "AES256"}}
    assert DEV.one("BucketVersioning").inputs["versioningConfiguration"] == {"status": "Enabled"}


def test_artifacts_expire_together_with_the_journal() -> None:
    stack = deploy("dev", {"journalTtlDays": 17})
    artifacts, leftovers = stack.one("BucketLifecycleConfiguration").inputs["rules"]
    assert artifacts["filter"] == {"prefix": "sessions/"}
    assert artifacts["expiration"] == {"days": 17}
    assert leftovers["noncurrentVersionExpiration"] == {"noncurrentDays": 17}
    assert stack.one("AgentcoreAgentRuntime").inputs["environmentVariables"]["JOURNAL_TTL_DAYS"] == "17"


def test_current_code_never_expires() -> None:
    for rule in DEV.one("BucketLifecycleConfiguration").inputs["rules"]:
        assert "expiration" not in rule or rule["filter"]["prefix"] == "sessions/"


def test_rules_on_old_versions_come_after_versioning() -> None:
    assert DEV.one("BucketVersioning").urn in DEV.one("BucketLifecycleConfiguration").depends_on
