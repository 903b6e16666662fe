"""The journal's table as `components/journal_table.py` deploys it, made with boto3 in any DynamoDB.

Keys and index only: time to live, recovery and protection change nothing that a test of the journal could see.
"""

from typing import TYPE_CHECKING

from runtime.journal.keys import BY_DAY_INDEX

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


def create_journal_table(client: "DynamoDBClient", table_name: str) -> None:
    """Create the table."""
    client.create_table(
        TableName=table_name,
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[
            {"AttributeName": name, "AttributeType": "S"} for name in ("PK", "SK", "day", "createdAt")
        ],
        KeySchema=[{"AttributeName": "PK", "KeyType": "HASH"}, {"AttributeName": "SK", "KeyType": "RANGE"}],
        GlobalSecondaryIndexes=[
            {
                "IndexName": BY_DAY_INDEX,
                "KeySchema": [
                    {"AttributeName": "day", "KeyType": "HASH"},
                    {"AttributeName": "createdAt", "KeyType": "RANGE"},
                ],
                "Projection": {"ProjectionType": "ALL"},
            }
        ],
    )
