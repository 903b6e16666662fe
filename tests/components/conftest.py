"""A table in memory for the executions that are played."""

from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from moto import mock_aws


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    """A client of DynamoDB."""
    with mock_aws():
        yield boto3.client("dynamodb", "us-east-1", aws_access_key_id="x", aws_secret_access_key="y")
