"""The bucket for the agents' artifacts and for their code.

Owns the bucket and everything that guards it. The agent chooses the keys `sessions/{session_id}/{step}.md`
and those of turns, AgentRuntime `agent/{digest}.zip`.
"""

from __future__ import annotations

from typing import TypedDict

import pulumi
import pulumi_aws as aws

from components.data_protection import data_options
from components.policies import document
from components.settings import Settings
from runtime.journal.keys import ARTIFACTS_PREFIX, TURNS_PREFIX


class ArtifactStoreArgs(TypedDict):
    """Arguments of ArtifactStore; `kms_key_arn` None means S3's own keys."""

    settings: Settings
    kms_key_arn: pulumi.Input[str] | None


class ArtifactStore(pulumi.ComponentResource):
    """A private, versioned, encrypted bucket whose artifacts expire with the journal's records."""

    name: pulumi.Output[str]
    arn: pulumi.Output[str]

    def __init__(self, name: str, args: ArtifactStoreArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("fire-and-forget:index:ArtifactStore", name, None, opts)
        settings = args["settings"]
        child = data_options(self, settings)
        bucket = aws.s3.Bucket(
            f"{name}-bucket",
            force_destroy=not settings.protect_data,
            opts=child,
        )
        self.name = bucket.bucket
        self.arn = bucket.arn
        public_access = aws.s3.BucketPublicAccessBlock(
            f"{name}-public-access",
            bucket=self.name,
            block_public_acls=True,
            block_public_policy=True,
            ignore_public_acls=True,
            restrict_public_buckets=True,
            opts=child,
        )
        versioning = aws.s3.BucketVersioning(
            f"{name}-versioning",
            bucket=self.name,
            versioning_configuration={"status": "Enabled"},
            opts=child,
        )
        aws.s3.BucketServerSideEncryptionConfiguration(
            f"{name}-encryption", bucket=self.name, rules=[_encryption_rule(args["kms_key_arn"])], opts=child
        )
        aws.s3.BucketLifecycleConfiguration(
            f"{name}-lifecycle",
            bucket=self.name,
            rules=_lifecycle_rules(settings.journal_ttl_days),
            # S3 accepts rules on noncurrent versions only once versioning is on.
            opts=data_options(self, settings, [versioning]),
        )
        if settings.require_tls:
            aws.s3.BucketPolicy(
                f"{name}-tls-only",
                bucket=self.name,
                policy=_tls_only(self.arn),
                # S3 answers two concurrent changes of a bucket's access with OperationAborted.
                opts=data_options(self, settings, [public_access]),
            )
        self.register_outputs({"name": self.name, "arn": self.arn})


def _encryption_rule(
    kms_key_arn: pulumi.Input[str] | None,
) -> aws.s3.BucketServerSideEncryptionConfigurationRuleArgsDict:
    if kms_key_arn is None:
        return {"apply_server_side_encryption_by_default": {"sse_algorithm": "AES256"}}
    return {
        "apply_server_side_encryption_by_default": {
            "sse_algorithm": "aws:kms",
            "kms_master_key_id": kms_key_arn,
        },
        # One data key per bucket, reused for a while, instead of a request to KMS per object.
        "bucket_key_enabled": True,
    }


def _lifecycle_rules(ttl_days: int) -> list[aws.s3.BucketLifecycleConfigurationRuleArgsDict]:
    return [
        {
            "id": "artifacts-expire-with-the-journal",
            "status": "Enabled",
            "filter": {"prefix": ARTIFACTS_PREFIX},
            "expiration": {"days": ttl_days},
        },
        {
            "id": "turns-expire-with-the-journal",
            "status": "Enabled",
            "filter": {"prefix": TURNS_PREFIX},
            "expiration": {"days": ttl_days},
        },
        # Current code is kept: a runtime may be rolled back to an earlier version.
        {
            "id": "leftovers-expire",
            "status": "Enabled",
            "filter": {"prefix": ""},
            "noncurrent_version_expiration": {"noncurrent_days": ttl_days},
            "abort_incomplete_multipart_upload": {"days_after_initiation": 1},
        },
    ]


def _tls_only(bucket_arn: pulumi.Output[str]) -> pulumi.Output[str]:
    return document(
        [
            {
                # Every action of every principal: a narrower Deny lets something through.
                "Effect": "Deny",
                "Principal": "*",
                "Action": "s3:*",
                "Resource": [bucket_arn, pulumi.Output.format("{}/*", bucket_arn)],
                "Condition": {"Bool": {"aws:SecureTransport": "false"}},
            }
        ]
    )
