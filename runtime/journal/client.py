"""The DynamoDB client of the journal's writers."""

from typing import TYPE_CHECKING

import boto3
from botocore.config import Config

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


CLIENT_CONFIG = Config(
    connect_timeout=1,
    read_timeout=2,
    retries={"mode": "standard", "total_max_attempts": 3},
    tcp_keepalive=True,
)


def connect(region: str | None = None) -> "DynamoDBClient":
    """Return a client whose calls take at most about ten seconds, retries included.

    A table that accepts connections and never answers must not hold up a Lambda or an agent's lease: botocore's
    defaults are 60 seconds and up to ten tries.

    :param region: None if AWS_DEFAULT_REGION is set, the only variable for it that botocore reads
    """
    return boto3.client("dynamodb", region_name=region, config=CLIENT_CONFIG)
