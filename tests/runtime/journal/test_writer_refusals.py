"""What the table's own refusals become: something to try again, or something to give up."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.exceptions import (
    ConnectionClosedError,
    ConnectTimeoutError,
    EndpointConnectionError,
    NoCredentialsError,
    ReadTimeoutError,
)
from botocore.stub import Stubber

from runtime.journal.errors import (
    AttemptClaimed,
    AttemptSuperseded,
    JournalConflict,
    JournalDenied,
    JournalError,
    JournalUnavailable,
    RunClosed,
)
from runtime.journal.vocabulary import Status
from runtime.journal.writer import JournalWriter, Standing
from tests.support.faulty_dynamodb import FaultyDynamoDB

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

SESSION = "s" * 36
NONE: dict[str, Any] = {"Code": "None"}
FAILED: dict[str, Any] = {"Code": "ConditionalCheckFailed", "Message": "The conditional request failed"}


@pytest.fixture(scope="module")
def client(aws: None) -> "DynamoDBClient":
    return boto3.client("dynamodb")


@pytest.fixture
def stubber(client: "DynamoDBClient") -> Iterator[Stubber]:
    with Stubber(client) as stubber:
        yield stubber


@pytest.fixture
def stubbed(client: "DynamoDBClient") -> JournalWriter:
    return JournalWriter(client, "journal", ttl_days=1)


def append(writer: JournalWriter) -> None:
    writer.append(writer.stamp(SESSION, Status.AGENT_INVOCATION_STARTED))


def claim(writer: JournalWriter) -> None:
    """A transaction of event, no outcome, no attempt 2, no attempt 3, claim."""
    writer.claim_attempt(writer.stamp(SESSION, Status.AGENT_BACKGROUND_TASK_STARTED, attempt=1), Standing(1, 3))


def cancel(stubber: Stubber, *reasons: dict[str, Any]) -> None:
    codes = ", ".join(reason["Code"] for reason in reasons)
    stubber.add_client_error(
        "transact_write_items",
        "TransactionCanceledException",
        f"Transaction cancelled, please refer cancellation reasons for specific reasons [{codes}]",
        http_status_code=400,
        modeled_fields={"CancellationReasons": list(reasons)},
    )


@pytest.mark.parametrize(
    ("code", "http_status", "becomes"),
    [
        ("AccessDeniedException", 400, JournalDenied),
        ("ResourceNotFoundException", 400, JournalDenied),
        ("ValidationException", 400, JournalDenied),
        ("UnrecognizedClientException", 400, JournalDenied),
        ("ExpiredTokenException", 400, JournalDenied),
        ("ItemCollectionSizeLimitExceededException", 400, JournalDenied),
        ("ThrottlingException", 400, JournalUnavailable),
        ("ProvisionedThroughputExceededException", 400, JournalUnavailable),
        ("RequestLimitExceeded", 400, JournalUnavailable),
        ("InternalServerError", 500, JournalUnavailable),
        ("ServiceUnavailable", 503, JournalUnavailable),
        ("", 504, JournalUnavailable),
    ],
)
@pytest.mark.parametrize(("write", "operation"), [(append, "put_item"), (claim, "transact_write_items")])
def test_an_error_of_the_table_is_transient_or_final(
    write: Any,
    operation: str,
    code: str,
    http_status: int,
    becomes: type[JournalError],
    stubber: Stubber,
    stubbed: JournalWriter,
) -> None:
    stubber.add_client_error(operation, code, "it says", http_status_code=http_status)
    with pytest.raises(becomes, match=r"the journal did not take AGENT_.* at 20.*Z: .*it says") as refused:
        write(stubbed)
    assert type(refused.value) is becomes


@pytest.mark.parametrize(
    "error",
    [
        ReadTimeoutError(endpoint_url="x"),
        ConnectTimeoutError(endpoint_url="x"),
        EndpointConnectionError(endpoint_url="x"),
        ConnectionClosedError(endpoint_url="x"),
        NoCredentialsError(),
    ],
    ids=lambda error: type(error).__name__,
)
@pytest.mark.parametrize("write", [append, claim])
def test_a_table_that_is_not_reached_is_unavailable(write: Any, error: Exception, client: "DynamoDBClient") -> None:
    faulty = FaultyDynamoDB(client, lambda _: error)
    with pytest.raises(JournalUnavailable):
        write(JournalWriter(faulty.as_client(), "journal", ttl_days=1))


@pytest.mark.parametrize(
    ("reasons", "becomes"),
    [
        ([NONE, FAILED, NONE, NONE, NONE], RunClosed),
        ([NONE, NONE, FAILED, NONE, NONE], AttemptSuperseded),
        ([NONE, NONE, NONE, FAILED, NONE], AttemptSuperseded),
        ([NONE, NONE, NONE, NONE, FAILED], AttemptClaimed),
        ([NONE, FAILED, FAILED, FAILED, FAILED], RunClosed),
        ([NONE, NONE, NONE, FAILED, FAILED], AttemptSuperseded),
        ([NONE, {"Code": "TransactionConflict"}, NONE, NONE, NONE], JournalConflict),
        ([{"Code": "ThrottlingError"}, {"Code": "TransactionConflict"}, NONE, NONE, NONE], JournalUnavailable),
        ([NONE, NONE, NONE, NONE, {"Code": "ThrottlingError"}], JournalUnavailable),
        ([{"Code": "ProvisionedThroughputExceeded"}, NONE, NONE, NONE, NONE], JournalUnavailable),
        ([{"Code": "ValidationError"}, NONE, NONE, NONE, NONE], JournalDenied),
        ([{"Code": "ItemCollectionSizeLimitExceeded"}, NONE, NONE, NONE, NONE], JournalDenied),
    ],
    ids=str,
)
def test_the_reasons_of_a_cancelled_transaction_say_what_was_there(
    reasons: list[dict[str, Any]], becomes: type[JournalError], stubber: Stubber, stubbed: JournalWriter
) -> None:
    cancel(stubber, *reasons)
    with pytest.raises(becomes) as refused:
        claim(stubbed)
    assert type(refused.value) is becomes


def test_an_own_event_that_is_there_is_a_success_whatever_else_is_there(
    stubber: Stubber, stubbed: JournalWriter
) -> None:
    cancel(stubber, FAILED, FAILED, FAILED, FAILED, FAILED)
    claim(stubbed)


def test_a_conflict_on_the_own_event_is_an_earlier_try_that_is_not_done_yet(
    stubber: Stubber, stubbed: JournalWriter
) -> None:
    # The claim that stands there may be this writer's own: only another try can tell.
    cancel(stubber, {"Code": "TransactionConflict"}, NONE, NONE, NONE, FAILED)
    with pytest.raises(JournalUnavailable):
        claim(stubbed)
