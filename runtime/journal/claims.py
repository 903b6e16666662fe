"""Reads which calls of tools are claimed. Apart from the other readers: the agent may query, and do no more."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from runtime.journal.keys import TOOL_PREFIX, partition_key, tool_prefix
from runtime.journal.records import ToolClaim

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


def tool_claims(
    client: "DynamoDBClient", table_name: str, session_id: str, step: str = "", item: int | None = None
) -> Iterator[ToolClaim]:
    """Yield a run's claimed calls of tools, or those of one step or item (strongly consistent).

    :raises botocore.exceptions.ClientError: if the table refuses
    """
    pages = client.get_paginator("query").paginate(
        TableName=table_name,
        KeyConditionExpression="PK = :pk AND begins_with(SK, :prefix)",
        ExpressionAttributeValues={
            ":pk": {"S": partition_key(session_id)},
            ":prefix": {"S": tool_prefix(step, item) if step else TOOL_PREFIX},
        },
        ConsistentRead=True,
    )
    for page in pages:
        for found in page["Items"]:
            yield ToolClaim.from_item(found)
