"""moto's DynamoDB and S3 for all tests of `runtime/`: a journal and a session id of its own for each."""

import itertools
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.awsrequest import AWSPreparedRequest
from moto import mock_aws
from moto.core.models import botocore_stubber

from runtime.journal.reader import JournalReader
from runtime.journal.writer import JournalWriter
from tests.support.journal_table import create_journal_table

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_s3 import S3Client

TABLE = "journal"
BUCKET = "artifacts"
TTL_DAYS = 30
_numbers = itertools.count(1)


@pytest.fixture(scope="module", autouse=True)
def aws() -> Iterator[None]:
    """No call leaves the machine, whatever credentials it has.

    For a module at a time: other tests of this process have mocks of their own, which would share these tables.
    """
    with pytest.MonkeyPatch.context() as environ:
        for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL", "AWS_LAMBDA_FUNCTION_NAME"):
            environ.delenv(name, raising=False)
        environ.setenv("AWS_DEFAULT_REGION", "us-east-1")
        environ.setenv("AWS_REGION", "us-east-1")
        _one_call_at_a_time(environ)
        with mock_aws():
            yield


def _one_call_at_a_time(patch: pytest.MonkeyPatch) -> None:
    # moto copies a table for each transaction, and fails if another thread writes meanwhile.
    lock, process = threading.RLock(), botocore_stubber.process_request

    def process_alone(request: AWSPreparedRequest) -> Any:
        with lock:
            return process(request)

    patch.setattr(botocore_stubber, "process_request", process_alone)


@pytest.fixture(scope="module")
def dynamodb_client(aws: None) -> "DynamoDBClient":
    """A client of a DynamoDB."""
    return boto3.client("dynamodb")


@pytest.fixture
def dynamodb(dynamodb_client: "DynamoDBClient") -> Iterator["DynamoDBClient"]:
    """A client of a DynamoDB that has an empty journal."""
    create_journal_table(dynamodb_client, TABLE)
    yield dynamodb_client
    dynamodb_client.delete_table(TableName=TABLE)


@pytest.fixture(scope="module")
def s3(aws: None) -> "S3Client":
    """A client of the S3 that has the artifact bucket."""
    client = boto3.client("s3")
    client.create_bucket(Bucket=BUCKET)
    return client


@pytest.fixture
def session_id() -> str:
    """The id of a run that no other test has."""
    return f"00000000-0000-4000-8000-{next(_numbers):012d}"


@pytest.fixture
def writer(dynamodb: "DynamoDBClient") -> JournalWriter:
    """A writer by this machine's clock."""
    return JournalWriter(dynamodb, TABLE, ttl_days=TTL_DAYS)


@pytest.fixture
def reader(dynamodb: "DynamoDBClient") -> JournalReader:
    """A reader of the same table."""
    return JournalReader(dynamodb, TABLE)
