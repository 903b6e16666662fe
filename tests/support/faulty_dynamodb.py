"""A DynamoDB client whose writes fail as a test says; everything else goes to the client behind it."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, cast

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
    """

    def __init__(self, client: "DynamoDBClient", decide: Decide = lambda _: None) -> None:
        self._client = client
        self.decide: Decide = decide
        self.tried: list[str] = []

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
            return call(**arguments)

        return write


def written_status(arguments: Mapping[str, Any]) -> str:
    """Return the status of the event that a put or a transaction would add."""
    item = arguments["Item"] if "Item" in arguments else arguments["TransactItems"][0]["Put"]["Item"]
    return str(item["status"]["S"])


def timed_out() -> ReadTimeoutError:
    """Return what botocore raises when a table accepts a call and doesn't answer."""
    return ReadTimeoutError(endpoint_url="http://127.0.0.1")


def throttled() -> ClientError:
    """Return what botocore raises when a table has had too much."""
    return client_error("ThrottlingException", 400)


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
