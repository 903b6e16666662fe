"""The journal's table: append-only events of every run, found by session and by day.

Owns the table and its index. The actors' roles decide who may write, `runtime.journal` what a record looks like.
"""

from __future__ import annotations

from typing import TypedDict

import pulumi
import pulumi_aws as aws

from components.data_protection import data_options
from components.settings import Settings


class JournalTableArgs(TypedDict):
    """Arguments of JournalTable; `kms_key_arn` None means a key that AWS owns."""

    settings: Settings
    kms_key_arn: pulumi.Input[str] | None


class JournalTable(pulumi.ComponentResource):
    """An on-demand DynamoDB table with point-in-time recovery and a TTL on `expiresAt`."""

    name: pulumi.Output[str]
    arn: pulumi.Output[str]

    def __init__(self, name: str, args: JournalTableArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("fire-and-forget:index:JournalTable", name, None, opts)
        table = aws.dynamodb.Table(
            f"{name}-table",
            billing_mode="PAY_PER_REQUEST",
            hash_key="PK",
            range_key="SK",
            attributes=[{"name": key, "type": "S"} for key in ("PK", "SK", "day", "createdAt")],
            global_secondary_indexes=[
                {
                    # Sparse: only metadata and outcome records carry a day.
                    "name": "by-day",
                    "projection_type": "ALL",
                    "key_schemas": [
                        {"attribute_name": "day", "key_type": "HASH"},
                        {"attribute_name": "createdAt", "key_type": "RANGE"},
                    ],
                }
            ],
            ttl={"attribute_name": "expiresAt", "enabled": True},
            point_in_time_recovery={"enabled": True},
            server_side_encryption=_encryption(args["kms_key_arn"]),
            deletion_protection_enabled=args["settings"].protect_data,
            opts=data_options(self, args["settings"]),
        )
        self.name = table.name
        self.arn = table.arn
        self.register_outputs({"name": self.name, "arn": self.arn})


def _encryption(kms_key_arn: pulumi.Input[str] | None) -> aws.dynamodb.TableServerSideEncryptionArgsDict | None:
    return None if kms_key_arn is None else {"enabled": True, "kms_key_arn": kms_key_arn}
