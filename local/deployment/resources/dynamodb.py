"""DynamoDB tables."""

from __future__ import annotations

from typing import Any

from local.deployment.resources.resource import Created, Inputs, Refused, Resource, pascal, tag_list


def table(new: Resource) -> Created:
    """A table with its indexes, and what needs calls of its own: TTL and recovery."""
    name, inputs, dynamodb = new.physical_name(), new.inputs, new.emulator.client("dynamodb")
    request: dict[str, Any] = {
        "TableName": name,
        "BillingMode": inputs.require("billingMode"),
        "DeletionProtectionEnabled": inputs.take("deletionProtectionEnabled", False),
        "KeySchema": _key_schema(inputs),
        "AttributeDefinitions": [
            {"AttributeName": attribute.require("name"), "AttributeType": attribute.require("type")}
            for attribute in inputs.blocks("attributes")
        ],
        "Tags": tag_list(inputs.take("tags")),
    }
    if request["BillingMode"] != "PAY_PER_REQUEST":
        raise Refused(f"billingMode {request['BillingMode']} is not emulated, only PAY_PER_REQUEST")
    if indexes := [_index(block) for block in inputs.blocks("globalSecondaryIndexes")]:
        request["GlobalSecondaryIndexes"] = indexes
    if encryption := inputs.block("serverSideEncryption"):
        request["SSESpecification"] = _encryption(encryption)
    description = dynamodb.create_table(**request)["TableDescription"]
    if ttl := inputs.block("ttl"):
        specification: Any = {"AttributeName": ttl.require("attributeName"), "Enabled": ttl.require("enabled")}
        dynamodb.update_time_to_live(TableName=name, TimeToLiveSpecification=specification)
    if recovery := inputs.block("pointInTimeRecovery"):
        backups: Any = {"PointInTimeRecoveryEnabled": recovery.require("enabled")}
        backups |= pascal(recovery.some("recoveryPeriodInDays"))
        dynamodb.update_continuous_backups(TableName=name, PointInTimeRecoverySpecification=backups)
    return Created(name, {"name": name, "arn": description.get("TableArn")})


def _encryption(block: Inputs) -> dict[str, Any]:
    specification = {"Enabled": block.require("enabled"), "SSEType": "KMS"}
    key = block.take("kmsKeyArn")
    return specification | ({"KMSMasterKeyId": key} if key else {})


def _index(block: Inputs) -> dict[str, Any]:
    keys = [pascal(key.some("attributeName", "keyType")) for key in block.blocks("keySchemas")]
    projection: dict[str, Any] = {"ProjectionType": block.require("projectionType")}
    if attributes := block.take("nonKeyAttributes"):
        projection["NonKeyAttributes"] = attributes
    return {
        "IndexName": block.require("name"),
        "KeySchema": keys or _key_schema(block),
        "Projection": projection,
    }


def _key_schema(inputs: Inputs) -> list[dict[str, str]]:
    keys = {"HASH": inputs.require("hashKey"), "RANGE": inputs.take("rangeKey")}
    return [{"AttributeName": name, "KeyType": kind} for kind, name in keys.items() if name is not None]
