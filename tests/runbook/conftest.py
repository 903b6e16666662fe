"""A stack of moto's: its table, bucket and log group, and a runbook on them."""

from __future__ import annotations

import os
import sys
import uuid
from collections.abc import Iterator
from subprocess import PIPE, CompletedProcess, Popen
from typing import Any
from unittest import mock

import boto3
import pytest
from moto import mock_aws

from local import stack_file
from runbook.clients import Clients
from runbook.connection import PROJECT
from runbook.outputs import StackOutputs
from runbook.runbook import Runbook
from tests.runbook.history import History
from tests.support.running_cloud import RunningCloud

REGION = "us-east-1"
ACCOUNT = "123456789012"
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_SESSION_TOKEN": "testing",
    "AWS_DEFAULT_REGION": REGION,
}


COMMAND_SECONDS = 60
TABLE_KEYS = ("PK", "SK", "day", "createdAt")


@pytest.fixture(scope="module")
def clients() -> Iterator[Clients]:
    """Clients of a mocked account. Of a module: making them takes a while."""
    with mock.patch.dict(os.environ, CREDENTIALS), mock_aws():
        yield Clients.of_session(boto3.Session(region_name=REGION))


@pytest.fixture
def outputs(clients: Clients) -> StackOutputs:
    """The outputs of a stack of the test's own, whose table, bucket and log group exist."""
    name = uuid.uuid4().hex[:12]
    outputs = StackOutputs.from_mapping(name, stack_outputs(name))
    clients.dynamodb.create_table(
        TableName=outputs.journal_table_name,
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"} for key in TABLE_KEYS],
        KeySchema=[{"AttributeName": "PK", "KeyType": "HASH"}, {"AttributeName": "SK", "KeyType": "RANGE"}],
        GlobalSecondaryIndexes=[
            {
                "IndexName": "by-day",
                "KeySchema": [
                    {"AttributeName": "day", "KeyType": "HASH"},
                    {"AttributeName": "createdAt", "KeyType": "RANGE"},
                ],
                "Projection": {"ProjectionType": "ALL"},
            }
        ],
    )
    clients.s3.create_bucket(Bucket=outputs.artifact_bucket_name)
    clients.logs.create_log_group(logGroupName=outputs.agent_log_group_name)
    return outputs


def stack_outputs(name: str) -> dict[str, Any]:
    """The outputs of a stack, as `__main__.py` names them."""
    return {
        "journalTableName": f"journal-{name}",
        "artifactBucketName": f"artifacts-{name}",
        "invokerFunctionName": "invoker",
        "stateMachineArn": f"arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:workflow",
        "agentRuntimeArn": f"arn:aws:bedrock-agentcore:{REGION}:{ACCOUNT}:runtime/fire_and_forget_dev-abc",
        "agentRuntimeId": "fire_and_forget_dev-abc",
        "agentLogGroupName": f"/aws/bedrock-agentcore/runtimes/fire_and_forget_dev-abc-{name}",
        "eventSource": "fire-and-forget.dev",
        "eventDetailType": "AgentRunRequested",
        "deadLetterQueueUrl": f"https://sqs.{REGION}.amazonaws.com/{ACCOUNT}/dead-letters-{name}",
        "dashboardName": "not the runbook's",
        "journalTtlDays": "90",
    }


@pytest.fixture
def rb(outputs: StackOutputs, clients: Clients) -> Runbook:
    """The runbook under test."""
    return Runbook(outputs, clients)


@pytest.fixture
def history(outputs: StackOutputs, clients: Clients) -> History:
    """Writes runs into the journal as the state machine, the invoker and agents would."""
    return History(clients.dynamodb, outputs.journal_table_name)


@pytest.fixture(scope="module")
def command(cloud: RunningCloud, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of a process that finds the cloud."""
    path = tmp_path_factory.mktemp("stack") / "stack.json"
    stack_file.write(cloud.stack, path)
    return {**os.environ, "RUNBOOK_STACK_FILE": str(path), "COLUMNS": "80"}


def start_command(environ: dict[str, str], *arguments: str, stdout: Any = PIPE, stderr: Any = PIPE) -> Popen[str]:
    """Start the command line as a process."""
    command = [sys.executable, "-m", "runbook", *arguments]
    return Popen(command, cwd=PROJECT, env=environ, stdout=stdout, stderr=stderr, text=True)


def run_command(environ: dict[str, str], *arguments: str, **streams: Any) -> CompletedProcess[str]:
    """Run the command line as a process."""
    with start_command(environ, *arguments, **streams) as process:
        try:
            out, errors = process.communicate(timeout=COMMAND_SECONDS)
        finally:
            process.kill()
    return CompletedProcess(process.args, process.returncode, out, errors)
