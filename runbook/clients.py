"""The AWS clients that the runbook works with, each made when it is first needed: making one takes a while."""

import threading
from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config

if TYPE_CHECKING:
    from mypy_boto3_bedrock_agentcore import BedrockAgentCoreClient
    from mypy_boto3_bedrock_agentcore_control import BedrockAgentCoreControlClient
    from mypy_boto3_cloudwatch import CloudWatchClient
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_events import EventBridgeClient
    from mypy_boto3_iam import IAMClient
    from mypy_boto3_lambda import LambdaClient
    from mypy_boto3_logs import CloudWatchLogsClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_stepfunctions import SFNClient
    from mypy_boto3_sts import STSClient

_CONFIG = Config(connect_timeout=3, read_timeout=15, retries={"mode": "standard", "total_max_attempts": 3})
_CONFIGS = {
    # The first call of all: an endpoint that says nothing is found out within ten seconds.
    "sts": Config(connect_timeout=3, read_timeout=4, retries={"mode": "standard", "total_max_attempts": 2}),
    # Stopping a session was seen to take up to a minute. Not tried again: the state machine stops it, too.
    "bedrock-agentcore": Config(connect_timeout=3, read_timeout=70, retries={"total_max_attempts": 1}),
}
"""How long an operator waits for a service that accepts calls and says nothing: less than a minute, where it can be."""


def config_of(service: str) -> Config:
    """Return how long calls of a service may take, and how often they are tried."""
    return _CONFIGS.get(service, _CONFIG)


class Clients:
    """One client for each service that runs leave traces in.

    :param make: makes a client from boto3's name of its service
    """

    def __init__(self, make: Callable[[str], Any]) -> None:
        self._make = make

    @classmethod
    def of_session(cls, session: boto3.Session) -> "Clients":
        """Return clients with the credentials and the region of a session."""

        lock = threading.Lock()  # clients are thread-safe, making them is not

        def make(service: str) -> Any:
            with lock:
                return session.client(service, config=config_of(service))  # pyrefly: ignore[no-matching-overload]

        return cls(make)

    @cached_property
    def agentcore(self) -> "BedrockAgentCoreClient":
        """AgentCore's data plane."""
        return self._make("bedrock-agentcore")

    @cached_property
    def agentcore_control(self) -> "BedrockAgentCoreControlClient":
        """AgentCore's control plane."""
        return self._make("bedrock-agentcore-control")

    @cached_property
    def bedrock_runtime(self) -> Any:
        """Bedrock's models."""
        return self._make("bedrock-runtime")

    @cached_property
    def cloudwatch(self) -> "CloudWatchClient":
        """Metrics and alarms."""
        return self._make("cloudwatch")

    @cached_property
    def dynamodb(self) -> "DynamoDBClient":
        """The journal's service."""
        return self._make("dynamodb")

    @cached_property
    def events(self) -> "EventBridgeClient":
        """EventBridge."""
        return self._make("events")

    @cached_property
    def functions(self) -> "LambdaClient":
        """Lambda."""
        return self._make("lambda")

    @cached_property
    def iam(self) -> "IAMClient":
        """Roles and their policies."""
        return self._make("iam")

    @cached_property
    def logs(self) -> "CloudWatchLogsClient":
        """CloudWatch Logs."""
        return self._make("logs")

    @cached_property
    def s3(self) -> "S3Client":
        """The artifacts' service."""
        return self._make("s3")

    @cached_property
    def service_quotas(self) -> Any:
        """What the account may use."""
        return self._make("service-quotas")

    @cached_property
    def sqs(self) -> "SQSClient":
        """The dead-letter queue's service."""
        return self._make("sqs")

    @cached_property
    def stepfunctions(self) -> "SFNClient":
        """Step Functions."""
        return self._make("stepfunctions")

    @cached_property
    def sts(self) -> "STSClient":
        """Who asks."""
        return self._make("sts")
