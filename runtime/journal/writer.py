"""The append-only writer: every write is conditional, and nothing is ever updated or deleted.

Owns the conditions under which each writer may add to a run. Waiting and retrying belong to the callers,
who know how much time they have; `connect` in `runtime/journal/client.py` bounds a single call.

A write that is tried again after its answer was lost finds its own event there. Event ids are unique, so an
event key that exists can only mean that this very write was done before: that is success.
"""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from runtime.journal.errors import (
    AlreadyAnswered,
    AttemptClaimed,
    AttemptSuperseded,
    JournalConflict,
    JournalDenied,
    JournalError,
    JournalUnavailable,
    NotAnswered,
    NotAsked,
    NotTheOwner,
    RunClosed,
    RunWaiting,
    ToolClaimed,
)
from runtime.journal.keys import METADATA, OUTCOME, answer_key, attempt_sort_key, record_key, wait_sort_key
from runtime.journal.records import Event, Item, ToolClaim, expiry, new_event_id, to_item
from runtime.journal.timestamps import to_timestamp, utc_now

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

    # The invoker, which neither asks nor answers, does without it.
    from runtime.journal.waits import AnsweredWait, Wait

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
"""Of one transaction, which takes 100 actions and 4 MB; the guards of ten attempts and a wait are among them.

https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html
"""

Guard = tuple[dict[str, Any], JournalError]
"""One more action of a transaction, and the error that its refusal means."""


@dataclass(frozen=True, slots=True)
class Standing:
    """What an attempt may write under: as long as there is no later attempt, and its run doesn't wait.

    :ivar attempt: 1, 2, …
    :ivar last_attempt: the last one that may follow it
    :ivar wait: the wait that would end it; None for a run that can't wait
    """

    attempt: int
    last_attempt: int
    wait: int | None = None


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

    def append_while_open(self, event: Event, wait: int | None = None) -> None:
        """Add an event unless the run has its outcome.

        :param wait: the run may not have begun this wait either
        :raises RunClosed: if the run has its outcome
        :raises RunWaiting: if it waits
        :raises JournalUnavailable: as for :meth:`append`
        :raises JournalDenied: as for :meth:`append`
        """
        self._commit(event, [self._no_outcome(event), *self._no_wait(event, wait)])

    def append_as_attempt(self, events: Sequence[Event], standing: Standing) -> None:
        """Add events of a background task, all or none: its attempt must be the latest, and the run open.

        A try after one whose answer was lost must be of the same events.

        :param events: of one run, :data:`MAX_EVENTS` at most
        :raises AttemptSuperseded: if a later attempt has been claimed
        :raises RunClosed: if the run has its outcome
        :raises JournalUnavailable: as for :meth:`append`
        :raises JournalDenied: as for :meth:`append`
        """
        first, *others = events
        self._commit(first, self._guards(first, standing), others)

    def claim_attempt(self, event: Event, standing: Standing) -> None:
        """Claim an attempt and add its start event in one transaction.

        :raises AttemptClaimed: if somebody else has claimed it
        :raises NotAnswered: if it follows a wait that has no answer
        :raises AttemptSuperseded: if a later attempt has been claimed
        :raises RunClosed: if the run has its outcome
        :raises JournalUnavailable: as for :meth:`append`
        :raises JournalDenied: as for :meth:`append`
        """
        claim = to_item(event.session_id, attempt_sort_key(standing.attempt), event.attributes())
        claimed: Guard = ({"Put": self._put(claim)}, AttemptClaimed(event.session_id, standing.attempt))
        guards = self._guards(event, standing)
        if standing.wait and standing.wait > 1:
            answered = standing.wait - 1
            there = self._check(answer_key(event.session_id, answered), ConditionExpression="attribute_exists(PK)")
            guards.append((there, NotAnswered(event.session_id, answered)))
        self._commit(event, [*guards, claimed])

    def claim_tool(self, event: Event, claim: ToolClaim, standing: Standing) -> None:
        """Claim a tool's call for an attempt and add an event about it in one transaction.

        :raises ToolClaimed: if an earlier attempt has claimed it
        :raises AttemptSuperseded: if a later attempt has been claimed
        :raises RunClosed: if the run has its outcome
        :raises JournalUnavailable: as for :meth:`append`
        :raises JournalDenied: as for :meth:`append`
        """
        record = to_item(event.session_id, claim.sort_key, event.attributes() | claim.attributes())
        claimed: Guard = ({"Put": self._put(record)}, ToolClaimed(event.session_id, claim.tool))
        self._commit(event, [*self._guards(event, standing), claimed])

    def open_wait(self, event: Event, wait: "Wait", standing: Standing) -> None:
        """Let a run wait for a person: the attempt that asks is over with it.

        :param wait: its number is the standing's
        :raises RunWaiting: if another has begun this wait
        :raises AttemptSuperseded: if a later attempt has been claimed
        :raises RunClosed: if the run has its outcome
        :raises JournalUnavailable: as for :meth:`append`
        :raises JournalDenied: as for :meth:`append`
        """
        later = self._no_later_attempt(event, standing)
        # It is put, so it is not checked: DynamoDB refuses one item twice.
        opened: Guard = ({"Put": self._put(wait.to_item(event))}, RunWaiting(event.session_id))
        self._commit(event, [self._no_outcome(event), *later, opened])

    def answer(self, event: Event, wait: "Wait", answered: "AnsweredWait") -> None:
        """Answer all questions of a wait.

        :param wait: as it was read: what was not read can't be answered
        :raises RunClosed: if the run has its outcome
        :raises AlreadyAnswered: if the wait has its answers
        :raises NotAsked: if the run has no such wait, or one with other questions
        :raises JournalUnavailable: as for :meth:`append`
        :raises JournalDenied: as for :meth:`append`
        """
        read = self._check(
            record_key(wait.session_id, wait_sort_key(wait.number)),
            ConditionExpression="digest = :digest",
            ExpressionAttributeValues={":digest": {"S": wait.digest}},
        )
        refused = wait.session_id, wait.number
        self._commit(
            event,
            [
                self._no_outcome(event),
                (read, NotAsked(*refused)),
                ({"Put": self._put(answered.to_item(event))}, AlreadyAnswered(*refused)),
            ],
        )

    def close(self, event: Event, standing: Standing | None = None) -> None:
        """Add a terminal event and the run's outcome in one transaction.

        :param standing: of the attempt that closes, where it is a background task that does
        :raises AttemptSuperseded: if a later attempt than that has been claimed
        :raises RunWaiting: if the run has begun to wait
        :raises RunClosed: if the run has its outcome; this one then changes nothing
        :raises JournalUnavailable: as for :meth:`append`
        :raises JournalDenied: as for :meth:`append`
        """
        outcome: Guard = ({"Put": self._put(event.to_outcome_item())}, RunClosed(event.session_id))
        guards = [] if standing is None else self._guards(event, standing)[1:]
        self._commit(event, [outcome, *guards])

    def close_for_execution(self, event: Event, execution_arn: str) -> None:
        """Close a run whose execution ended without closing it.

        :raises NotTheOwner: if the run was never claimed, or by another execution
        :raises RunClosed: if the run has its outcome; this one then changes nothing
        :raises JournalUnavailable: as for :meth:`append`
        :raises JournalDenied: as for :meth:`append`
        """
        outcome: Guard = ({"Put": self._put(event.to_outcome_item())}, RunClosed(event.session_id))
        claimed = self._check(
            record_key(event.session_id, METADATA),
            ConditionExpression="executionArn = :execution",
            ExpressionAttributeValues={":execution": {"S": execution_arn}},
        )
        owner: Guard = (claimed, NotTheOwner(event.session_id, execution_arn))
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

    def _check(self, key: Item, **condition: Any) -> dict[str, Any]:
        return {"ConditionCheck": {"TableName": self._table_name, "Key": key, **condition}}

    def _absent(self, event: Event, sort_key: str, error: JournalError) -> Guard:
        return self._check(record_key(event.session_id, sort_key), ConditionExpression=NOT_THERE), error

    def _guards(self, event: Event, standing: Standing) -> list[Guard]:
        return [
            self._no_outcome(event),
            *self._no_wait(event, standing.wait),
            *self._no_later_attempt(event, standing),
        ]

    def _no_outcome(self, event: Event) -> Guard:
        return self._absent(event, OUTCOME, RunClosed(event.session_id))

    def _no_wait(self, event: Event, wait: int | None) -> list[Guard]:
        return [] if wait is None else [self._absent(event, wait_sort_key(wait), RunWaiting(event.session_id))]

    def _no_later_attempt(self, event: Event, standing: Standing) -> list[Guard]:
        # All later ones and not just the next: attempt 2 may have died before it could claim anything.
        superseded = AttemptSuperseded(event.session_id, standing.attempt)
        return [
            self._absent(event, attempt_sort_key(later), superseded)
            for later in range(standing.attempt + 1, standing.last_attempt + 1)
        ]


def _cancellation(event: Event, guards: list[Guard], error: ClientError) -> JournalError | None:
    reasons: list[dict[str, Any]] = error.response.get("CancellationReasons", [])  # pyrefly: ignore[bad-assignment]
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
