"""The AWS clients that the runbook works with, and one place that makes them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config

if TYPE_CHECKING:
    from mypy_boto3_bedrock_agentcore import BedrockAgentCoreClient
    from mypy_boto3_bedrock_agentcore_control import BedrockAgentCoreControlClient
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_events import EventBridgeClient
    from mypy_boto3_logs import CloudWatchLogsClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_stepfunctions import SFNClient
    from mypy_boto3_sts import STSClient

_CONFIG = Config(connect_timeout=5, read_timeout=30, retries={"mode": "standard", "total_max_attempts": 4})
# Stopping a session was seen to take up to a minute.
_AGENTCORE_CONFIG = Config(connect_timeout=5, read_timeout=90, retries={"mode": "standard", "total_max_attempts": 2})


_SERVICES = {
    "agentcore": "bedrock-agentcore",
    "agentcore_control": "bedrock-agentcore-control",
    "dynamodb": "dynamodb",
    "events": "events",
    "logs": "logs",
    "s3": "s3",
    "sqs": "sqs",
    "stepfunctions": "stepfunctions",
    "sts": "sts",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Clients:
    """One client for each service that runs leave traces in."""

    agentcore: "BedrockAgentCoreClient"
    agentcore_control: "BedrockAgentCoreControlClient"
    dynamodb: "DynamoDBClient"
    events: "EventBridgeClient"
    logs: "CloudWatchLogsClient"
    s3: "S3Client"
    sqs: "SQSClient"
    stepfunctions: "SFNClient"
    sts: "STSClient"

    @classmethod
    def of_session(cls, session: boto3.Session) -> "Clients":
        """Return clients with the credentials and the region of a session."""

        def make(service: str) -> Any:
            config = _AGENTCORE_CONFIG if service == "bedrock-agentcore" else _CONFIG
            return session.client(service, config=config)  # pyright: ignore[reportCallIssue, reportArgumentType]

        return cls.made_by(make)

    @classmethod
    def made_by(cls, make: Callable[[str], Any]) -> "Clients":
        """Return the clients that a function makes from boto3's names of the services."""
        return cls(**{field: make(service) for field, service in _SERVICES.items()})
