"""A DynamoDB client whose writes fail as a test says; everything else goes to the client behind it.

As on AWS, and unlike any emulator, transactions that touch one item at the same time cancel each other.
"""

import threading
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

import boto3
from botocore.exceptions import ClientError, ReadTimeoutError

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

WRITES = ("put_item", "transact_write_items")


class NoAnswer(BaseException):
    """Raised for a call that never returns: `tests/support/virtual_time.py` turns it into one."""


class LostAnswer(Exception):
    """A fault: the write is done, and the caller gets a read time-out."""


Fault = BaseException | None
Decide = Callable[[str], Fault]
"""What happens to the write of an event with a given status: None lets it through."""


class FaultyDynamoDB:
    """Wraps a client.

    :ivar decide: asked before every write
    :ivar tried: statuses of all writes that were tried, oldest first
    :ivar transactions: how many events each transaction that was tried had
    :ivar conflicts: how many were cancelled because of another one
    :ivar seconds: how long each write takes
    """

    def __init__(self, client: "DynamoDBClient", decide: Decide = lambda _: None) -> None:
        self._client = client
        self.decide: Decide = decide
        self.tried: list[str] = []
        self.transactions: list[int] = []
        self.conflicts = 0
        self.seconds = 0.0
        self._touched = set[str]()
        self._lock = threading.Lock()

    def as_client(self) -> "DynamoDBClient":
        """Return itself under the type that the code under test asks for."""
        return cast("DynamoDBClient", self)

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._client, name)
        return self._guarded(found) if name in WRITES else found

    def _guarded(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def write(**arguments: Any) -> Any:
            status = written_status(arguments)
            self.tried.append(status)
            fault = self.decide(status)
            if isinstance(fault, LostAnswer):
                call(**arguments)
                raise timed_out()
            if fault is not None:
                raise fault
            with self._alone(arguments.get("TransactItems", [])):
                return call(**arguments)

        return write

    @contextmanager
    def _alone(self, actions: Sequence[Mapping[str, Any]]) -> Generator[None]:
        self.transactions.append(sum("Put" in action for action in actions))
        items = {str(sorted(_key_of(action).items())) for action in actions}
        with self._lock:
            if self._touched & items:
                self.conflicts += 1
                raise conflict()
            self._touched |= items
        try:
            time.sleep(self.seconds)
            yield
        finally:
            with self._lock:
                self._touched -= items


def written_status(arguments: Mapping[str, Any]) -> str:
    """Return the status of the event that a put or a transaction would add."""
    item = arguments["Item"] if "Item" in arguments else arguments["TransactItems"][0]["Put"]["Item"]
    return str(item["status"]["S"])


def _key_of(action: Mapping[str, Any]) -> Mapping[str, Any]:
    [(kind, content)] = action.items()
    found = content["Item"] if kind == "Put" else content["Key"]
    return {name: found[name]["S"] for name in ("PK", "SK")}


def timed_out() -> ReadTimeoutError:
    """Return what botocore raises when a table accepts a call and doesn't answer."""
    return ReadTimeoutError(endpoint_url="http://127.0.0.1")


def throttled() -> ClientError:
    """Return what botocore raises when a table has had too much."""
    return client_error("ThrottlingException", 400)


def conflict() -> ClientError:
    """Return what botocore raises for a transaction that met another one at an item."""
    response: Any = {
        "Error": {"Code": "TransactionCanceledException", "Message": "as scripted"},
        "CancellationReasons": [{"Code": "TransactionConflict"}, {"Code": "None"}],
        "ResponseMetadata": {"HTTPStatusCode": 400},
    }
    return boto3.client("dynamodb", region_name="us-east-1").exceptions.TransactionCanceledException(
        response, "TransactWriteItems"
    )


def client_error(code: str, http_status: int, operation: str = "TransactWriteItems") -> ClientError:
    """Return what botocore raises for an error answer."""
    response: Any = {
        "Error": {"Code": code, "Message": "as scripted"},
        "ResponseMetadata": {"HTTPStatusCode": http_status},
    }
    return ClientError(response, operation)


def first(count: int, fault: Callable[[], BaseException], *, of: str = "") -> Decide:
    """Return a rule by which the first writes fail, of all events or of those whose status contains a text."""
    left = count

    def decide(status: str) -> Fault:
        nonlocal left
        if of not in status or left == 0:
            return None
        left -= 1
        return fault()

    return decide
