"""A simulated run for each test that asks for one."""

from typing import TYPE_CHECKING

import pytest

from tests.runtime.agent.simulation import Simulation

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_s3 import S3Client


@pytest.fixture
def simulation(dynamodb: "DynamoDBClient", s3: "S3Client", session_id: str) -> Simulation:
    """The world around one run, at its beginning."""
    return Simulation(dynamodb, s3, session_id)
