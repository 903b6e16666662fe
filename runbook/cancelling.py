"""Closing a run as cancelled."""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from runbook.patience import days_to_live, until_taken
from runtime.contract.errors import InvalidRequest
from runtime.contract.fields import described
from runtime.journal.reader import JournalReader
from runtime.journal.records import ERROR_BYTES, Event, RunMetadata
from runtime.journal.timestamps import utc_now
from runtime.journal.vocabulary import Status
from runtime.journal.writer import JournalWriter

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


def check_reason(reason: str) -> str:
    """Return a reason for a cancel.

    :raises InvalidRequest: if it is empty, longer than what is stored of an error, or no text that UTF-8 has
    """
    allowed = f"a text of 1 to {ERROR_BYTES} bytes"
    if not reason.strip():
        raise InvalidRequest("reason", described(reason), allowed)
    try:
        size = len(reason.encode())
    except UnicodeEncodeError:
        raise InvalidRequest("reason", described(reason), f"{allowed} of UTF-8") from None
    if size > ERROR_BYTES:
        raise InvalidRequest("reason", f"{size} bytes long", allowed)
    return reason


def close(
    client: "DynamoDBClient",
    table_name: str,
    run: RunMetadata,
    reason: str,
    cancelled_by: str,
    *,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Event:
    """Close a run as cancelled, and return its terminal event.

    :raises RunClosed: if the run has its outcome already
    :raises JournalDenied: if the operator's rights don't suffice
    :raises JournalUnavailable: as for :func:`runbook.patience.until_taken`
    """
    newest = max((event.created_at for event in JournalReader(client, table_name).events(run.session_id)), default=None)
    writer = JournalWriter(client, table_name, ttl_days=days_to_live(run))
    event = writer.stamp(
        run.session_id,
        Status.SESSION_CANCELLED,
        # Whoever reads the run by time finds its end at the end, though this machine's clock is slow.
        at=max(filter(None, (newest, utc_now()))),
        error_type="Cancelled",
        error_message=reason,
        detail={"cancelledBy": cancelled_by},
    )
    until_taken(lambda: writer.close(event), clock, sleep)
    return event
