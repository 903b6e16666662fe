"""The stack's own KMS key, for those who must control and audit the key of their data.

Owns the key and who may use it through which service, so that the actors' roles need no KMS permissions. A stack
without it is still encrypted, with keys that AWS owns.
"""

from __future__ import annotations

from typing import TypedDict

import pulumi
import pulumi_aws as aws

from components.data_protection import data_options
from components.location import Location
from components.policies import Statement, document
from components.settings import Settings

# What a service does with the key on behalf of its caller.
_USE = ["kms:Encrypt", "kms:Decrypt", "kms:ReEncrypt*", "kms:GenerateDataKey*", "kms:DescribeKey"]


class EncryptionKeyArgs(TypedDict):
    """Arguments of EncryptionKey."""

    settings: Settings
    location: Location


class EncryptionKey(pulumi.ComponentResource):
    """A KMS key that rotates every year, for table, bucket, queue and log groups."""

    arn: pulumi.Output[str]

    def __init__(self, name: str, args: EncryptionKeyArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("fire-and-forget:index:EncryptionKey", name, None, opts)
        location, child = args["location"], data_options(self, args["settings"])
        key = aws.kms.Key(
            f"{name}-key",
            description=f"Journal, artifacts, dead letters and logs of {location.prefix}",
            enable_key_rotation=True,
            # The maximum: whatever it encrypted is lost with it.
            deletion_window_in_days=30,
            policy=document([_administer(location), _data(location), _logs(location), _events(location)]),
            opts=child,
        )
        aws.kms.Alias(
            f"{name}-alias",
            name=f"alias/{location.prefix}",
            target_key_id=key.key_id,
            opts=child,
        )
        self.arn = key.arn
        self.register_outputs({"arn": self.arn})


# In a key policy, the resource * means this key.


def _administer(location: Location) -> Statement:
    # Lets IAM decide who in the account administers the key; without this statement nobody ever could.
    # https://docs.aws.amazon.com/kms/latest/developerguide/key-policy-default.html
    root = pulumi.Output.format("arn:aws:iam::{}:root", location.account_id)
    return {"Effect": "Allow", "Principal": {"AWS": root}, "Action": "kms:*", "Resource": "*"}


def _data(location: Location) -> Statement:
    # Anyone in this account who may use the table, bucket or queue, but only through these services.
    services = [
        pulumi.Output.format("{}.{}.amazonaws.com", service, location.region) for service in ("dynamodb", "s3", "sqs")
    ]
    return {
        "Effect": "Allow",
        "Principal": {"AWS": "*"},
        # DynamoDB needs a grant for its background work on a table.
        "Action": [*_USE, "kms:CreateGrant"],
        "Resource": "*",
        "Condition": {"StringEquals": {"kms:CallerAccount": location.account_id, "kms:ViaService": services}},
    }


def _logs(location: Location) -> Statement:
    # CloudWatch Logs as itself, for this account's log groups.
    # https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/encrypt-log-data-kms.html
    groups = location.arn("logs", "log-group:*")
    return {
        "Effect": "Allow",
        "Principal": {"Service": pulumi.Output.format("logs.{}.amazonaws.com", location.region)},
        "Action": _USE,
        "Resource": "*",
        "Condition": {"ArnLike": {"kms:EncryptionContext:aws:logs:arn": groups}},
    }


def _events(location: Location) -> Statement:
    # EventBridge as itself, to send dead letters to the encrypted queue.
    # https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-rule-dlq.html
    return {
        "Effect": "Allow",
        "Principal": {"Service": "events.amazonaws.com"},
        "Action": ["kms:Decrypt", "kms:GenerateDataKey"],
        "Resource": "*",
        "Condition": {"StringEquals": {"aws:SourceAccount": location.account_id}},
    }
