"""The append-only writer: every write is conditional, and nothing is ever updated or deleted.

Owns the conditions under which each writer may add to a run. Waiting and retrying belong to the callers,
who know how much time they have; `connect` in `runtime/journal/client.py` bounds a single call.

A write that is tried again after its answer was lost finds its own event there. Event ids are unique, so an
event key that exists can only mean that this very write was done before: that is success.
"""

import threading
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from runtime.journal.errors import (
    AttemptClaimed,
    AttemptSuperseded,
    JournalConflict,
    JournalDenied,
    JournalError,
    JournalUnavailable,
    NotTheOwner,
    RunClosed,
    ToolClaimed,
)
from runtime.journal.keys import METADATA, OUTCOME, attempt_sort_key, partition_key
from runtime.journal.records import Event, Item, ToolClaim, expiry, new_event_id, to_item
from runtime.journal.timestamps import to_timestamp, utc_now

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

NOT_THERE = "attribute_not_exists(PK)"
CONDITION_FAILED = "ConditionalCheckFailed"
CONFLICT = "TransactionConflict"
TRANSIENT_REASONS = {
    CONFLICT,
    "ThrottlingError",
    "ProvisionedThroughputExceeded",
    "InternalServerError",
}
TRANSIENT_ERRORS = {
    "ThrottlingException",
    "ProvisionedThroughputExceededException",
    "RequestLimitExceeded",
    "TransactionInProgressException",
}

MAX_EVENTS = 80
"""Of one transaction, which takes 100 actions and 4 MB; the guards of ten attempts are among them.

https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html
"""

Guard = tuple[dict[str, Any], JournalError]
"""One more action of a transaction, and the error that its refusal means."""


class JournalWriter:
    """Writes events of runs into one journal table.

    :param client: a DynamoDB client, see :func:`runtime.journal.client.connect`
    :param ttl_days: days after which DynamoDB may forget what is written
    :param now: this machine's clock
    """

    def __init__(
        self,
        client: "DynamoDBClient",
        table_name: str,
        *,
        ttl_days: int,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        self._client = client
        self._table_name = table_name
        self._ttl_days = ttl_days
        self._now = now
        self._latest = datetime.min.replace(tzinfo=utc_now().tzinfo)
        self._lock = threading.Lock()

    def stamp(
        self,
        session_id: str,
        status: str,
        *,
        at: datetime | None = None,
        lease_seconds: float | None = None,
        **fields: Any,
    ) -> Event:
        """Return a new event; nothing is written.

        :param at: when it happened; now, if left out: such times never run backwards within a writer, so that its
            events keep their order when the clock is set back
        :param lease_seconds: how long from now the event's writer counts as alive
        :param fields: further attributes of :class:`~runtime.journal.records.Event`
        """
        created_at = at or self._moment()
        return Event(
            session_id=session_id,
            event_id=new_event_id(),
            status=status,
            created_at=created_at,
            expires_at=expiry(created_at, self._ttl_days),
            lease_expires_at=None if lease_seconds is None else created_at + timedelta(seconds=lease_seconds),
            **fields,
        )

    def _moment(self) -> datetime:
        with self._lock:
            self._latest = max(self._latest, self._now())
            return self._latest

    def append(self, event: Event) -> None:
        """Add an event, whatever the state of its run.

        :raises JournalUnavailable: if the table didn't answer or asked to try again
        :raises JournalDenied: if the table refuses this writer
        """
        try:
            self._client.put_item(TableName=self._table_name, Item=event.to_item(), ConditionExpression=NOT_THERE)
        except ClientError as error:
            if _code(error) != "ConditionalCheckFailedException":
                raise _refusal(event, error) from error
        except BotoCoreError as error:
            raise JournalUnavailable(_not_taken(event, error)) from error

    def append_while_open(self, event: Event) -> None:
        """Add an event unless the run has its outcome.

        :raises RunClosed: if the run has its outcome
        :raises JournalUnavailable: as for :meth:`append`
        :raises JournalDenied: as for :meth:`append`
        """
        self._commit(event, [self._no_outcome(event)])

    def append_as_attempt(self, events: Sequence[Event], attempt: int, max_attempts: int) -> None:
        """Add events of a background task, all or none: its attempt must be the latest, and the run open.

        A try after one whose answer was lost must be of the same events.

        :param events: of one run, :data:`MAX_EVENTS` at most
        :raises AttemptSuperseded: if a later attempt has been claimed
        :raises RunClosed: if the run has its outcome
        :raises JournalUnavailable: as for :meth:`append`
        :raises JournalDenied: as for :meth:`append`
        """
        first, *others = events
        guards = [self._no_outcome(first), *self._no_later_attempt(first, attempt, max_attempts)]
        self._commit(first, guards, others)

    def claim_attempt(self, event: Event, attempt: int, max_attempts: int) -> None:
        """Claim an attempt and add its start event in one transaction.

        :raises AttemptClaimed: if somebody else has claimed it
        :raises AttemptSuperseded: if a later attempt has been claimed
        :raises RunClosed: if the run has its outcome
        :raises JournalUnavailable: as for :meth:`append`
        :raises JournalDenied: as for :meth:`append`
        """
        claim = to_item(event.session_id, attempt_sort_key(attempt), event.attributes())
        self._commit(
            event,
            [
                self._no_outcome(event),
                *self._no_later_attempt(event, attempt, max_attempts),
                ({"Put": self._put(claim)}, AttemptClaimed(event.session_id, attempt)),
            ],
        )

    def claim_tool(self, event: Event, claim: ToolClaim, attempt: int, max_attempts: int) -> None:
        """Claim a tool's call for an attempt and add an event about it in one transaction.

        :raises ToolClaimed: if an earlier attempt has claimed it
        :raises AttemptSuperseded: if a later attempt has been claimed
        :raises RunClosed: if the run has its outcome
        :raises JournalUnavailable: as for :meth:`append`
        :raises JournalDenied: as for :meth:`append`
        """
        record = to_item(event.session_id, claim.sort_key, event.attributes() | claim.attributes())
        self._commit(
            event,
            [
                self._no_outcome(event),
                *self._no_later_attempt(event, attempt, max_attempts),
                ({"Put": self._put(record)}, ToolClaimed(event.session_id, claim.tool)),
            ],
        )

    def close(self, event: Event, attempt: int | None = None, max_attempts: int = 0) -> None:
        """Add a terminal event and the run's outcome in one transaction.

        :param attempt: the attempt that closes, where it is a background task that does
        :raises AttemptSuperseded: if a later attempt than that has been claimed
        :raises RunClosed: if the run has its outcome; this one then changes nothing
        :raises JournalUnavailable: as for :meth:`append`
        :raises JournalDenied: as for :meth:`append`
        """
        outcome: Guard = ({"Put": self._put(event.to_outcome_item())}, RunClosed(event.session_id))
        later = [] if attempt is None else self._no_later_attempt(event, attempt, max_attempts)
        self._commit(event, [outcome, *later])

    def close_for_execution(self, event: Event, execution_arn: str) -> None:
        """Close a run whose execution ended without closing it.

        :raises NotTheOwner: if the run was never claimed, or by another execution
        :raises RunClosed: if the run has its outcome; this one then changes nothing
        :raises JournalUnavailable: as for :meth:`append`
        :raises JournalDenied: as for :meth:`append`
        """
        outcome: Guard = ({"Put": self._put(event.to_outcome_item())}, RunClosed(event.session_id))
        claimed = {
            "TableName": self._table_name,
            "Key": {"PK": {"S": partition_key(event.session_id)}, "SK": {"S": METADATA}},
            "ConditionExpression": "executionArn = :execution",
            "ExpressionAttributeValues": {":execution": {"S": execution_arn}},
        }
        owner: Guard = ({"ConditionCheck": claimed}, NotTheOwner(event.session_id, execution_arn))
        self._commit(event, [owner, outcome])

    def _commit(self, event: Event, guards: list[Guard], others: Sequence[Event] = ()) -> None:
        """Write an event under its guards, and others with it.

        They are all there or none is, so that the first alone tells whether an earlier try was taken.
        """
        actions: list[Any] = [
            {"Put": self._put(event.to_item())},
            *(action for action, _ in guards),
            *({"Put": self._put(other.to_item())} for other in others),
        ]
        try:
            self._client.transact_write_items(TransactItems=actions)
        except self._client.exceptions.TransactionCanceledException as error:
            raised = _cancellation(event, guards, error)
            if raised:
                raise raised from error
        except ClientError as error:
            raise _refusal(event, error) from error
        except BotoCoreError as error:
            raise JournalUnavailable(_not_taken(event, error)) from error

    def _put(self, item: Item) -> dict[str, Any]:
        return {"TableName": self._table_name, "Item": item, "ConditionExpression": NOT_THERE}

    def _absent(self, session_id: str, sort_key: str, error: JournalError) -> Guard:
        key = {"PK": {"S": partition_key(session_id)}, "SK": {"S": sort_key}}
        check = {"TableName": self._table_name, "Key": key, "ConditionExpression": NOT_THERE}
        return {"ConditionCheck": check}, error

    def _no_outcome(self, event: Event) -> Guard:
        return self._absent(event.session_id, OUTCOME, RunClosed(event.session_id))

    def _no_later_attempt(self, event: Event, attempt: int, max_attempts: int) -> list[Guard]:
        # All later ones and not just the next: attempt 2 may have died before it could claim anything.
        superseded = AttemptSuperseded(event.session_id, attempt)
        return [
            self._absent(event.session_id, attempt_sort_key(later), superseded)
            for later in range(attempt + 1, max_attempts + 1)
        ]


def _cancellation(event: Event, guards: list[Guard], error: ClientError) -> JournalError | None:
    reasons: list[dict[str, Any]] = error.response.get("CancellationReasons", [])  # type: ignore[assignment]
    own, *others = [str(reason.get("Code")) for reason in reasons] or [""]
    if own == CONDITION_FAILED:
        return None
    # Only an earlier try of this write can be at the own event. While it is not done, what stands in the way of
    # this try, a claim for instance, may be this writer's own: the next try will tell.
    refusals = [refusal for code, (_, refusal) in zip(others, guards, strict=False) if code == CONDITION_FAILED]
    if refusals and own not in TRANSIENT_REASONS:
        return refusals[0]
    transient = TRANSIENT_REASONS.intersection((own, *others))
    raised = JournalConflict if transient == {CONFLICT} else JournalUnavailable if transient else JournalDenied
    return raised(_not_taken(event, error))


def _refusal(event: Event, error: ClientError) -> JournalError:
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    transient = status >= 500 or _code(error) in TRANSIENT_ERRORS
    return (JournalUnavailable if transient else JournalDenied)(_not_taken(event, error))


def _code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


def _not_taken(event: Event, error: Exception) -> str:
    return f"the journal did not take {event.status} at {to_timestamp(event.created_at)}: {error}"
