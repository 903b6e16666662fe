"""Open runs that something is wrong with, and what. A run that merely takes long is not among them.

Owns telling trouble from patience; what to do about it is the operator's decision (cancel, retry, wait).
"""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING

from runbook.events import Events
from runbook.executions import RUNNING
from runbook.labels import OPEN
from runbook.runs import Run, Runs
from runbook.tables import UTC_TIME, Column, Table, Terminal
from runtime.journal.reader import JournalReader
from runtime.journal.records import RunMetadata
from runtime.journal.timestamps import from_timestamp, to_timestamp
from runtime.journal.vocabulary import Status

if TYPE_CHECKING:
    from mypy_boto3_stepfunctions import SFNClient

GRACE = timedelta(seconds=30)
"""What the parts may need to write down what happened."""
START_GRACE = timedelta(minutes=5)
AT_ONCE = 8
FORGOTTEN = "unknown to Step Functions"


class Trouble(StrEnum):
    """What is wrong with an open run."""

    EXECUTION_ENDED = "EXECUTION_ENDED"
    OVERDUE = "OVERDUE"
    SILENT = "SILENT"
    NOT_STARTED = "NOT_STARTED"


@dataclass(frozen=True, slots=True)
class StuckRun:
    """An open run that will not, or may not, end by itself.

    :ivar explanation: one sentence with the numbers
    """

    session_id: str
    trouble: Trouble
    explanation: str
    began_at: datetime
    last_status: str
    prompt: str


def _diagnosis(run: StuckRun) -> str:
    return f"{run.trouble}: {run.explanation}"


class StuckRuns(Table[StuckRun]):
    """Stuck runs, the oldest first."""

    nothing = "No run is stuck."

    columns = (
        Column("session_id", "str", "session", Terminal.LINE),
        Column("trouble", "str"),
        Column("explanation", "str"),
        Column("diagnosis", None, "diagnosis", Terminal.BELOW, read=_diagnosis, style=lambda _: "red"),
        Column("began_at", UTC_TIME, "began (UTC)", Terminal.LINE),
        Column("last_status", "str", "last event", Terminal.LINE),
        Column("prompt", "str", "prompt"),
    )


def find(reader: JournalReader, stepfunctions: "SFNClient", runs: Runs, now: datetime) -> StuckRuns:
    """Return those of the runs that are open and in trouble."""

    def look(run: Run) -> StuckRun | None:
        return _look(reader, stepfunctions, run, now)

    with ThreadPoolExecutor(AT_ONCE) as threads:
        return StuckRuns(filter(None, threads.map(look, runs.having(OPEN))))


def _look(reader: JournalReader, stepfunctions: "SFNClient", run: Run, now: datetime) -> StuckRun | None:
    metadata = run.metadata
    # The index lags behind the table: a run may have ended since.
    if metadata is None or reader.outcome(run.session_id):
        return None
    events = Events(run.session_id, reader.events(run.session_id))
    found = diagnose(metadata, events, execution_status(stepfunctions, metadata.execution_arn), now)
    last_status = events[-1].status if events else ""
    return StuckRun(run.session_id, *found, metadata.created_at, last_status, run.prompt) if found else None


def execution_status(client: "SFNClient", arn: str) -> str:
    """Return the status of an execution, or that Step Functions doesn't know it."""
    try:
        return client.describe_execution(executionArn=arn)["status"]
    except client.exceptions.ExecutionDoesNotExist:
        return FORGOTTEN


def diagnose(metadata: RunMetadata, events: Events, status: str, now: datetime) -> tuple[Trouble, str] | None:
    """Return what is wrong with an open run, if anything is.

    :param status: of its execution
    """
    lease = timedelta(seconds=metadata.bounds["leaseSeconds"])
    last_at = events[-1].created_at if events else metadata.created_at
    if status != RUNNING and now > last_at + GRACE:
        return Trouble.EXECUTION_ENDED, f"nobody watches it: its execution is {status}"
    until = deadline(events)
    if until is None and now > metadata.created_at + START_GRACE:
        return Trouble.NOT_STARTED, _why_not_started(events, now - metadata.created_at)
    if until and now > until + lease + GRACE:
        return Trouble.OVERDUE, f"its deadline was {to_timestamp(until)}"
    leases = [event.lease_expires_at for event in events if event.lease_expires_at]
    if leases and now > max(leases) + lease + GRACE:
        return Trouble.SILENT, f"its agent's lease ran out at {to_timestamp(max(leases))}, and nobody acted on it"
    return None


def deadline(events: Events) -> datetime | None:
    """Return until when an open run may take; None if no agent has acknowledged it."""
    acknowledged = events.first(Status.AGENT_INVOCATION_SUCCEEDED)
    found = (acknowledged.detail or {}).get("deadline") if acknowledged else None
    return from_timestamp(found) if found else None


def _why_not_started(events: Events, age: timedelta) -> str:
    failures = [event for event in events if event.status == Status.AGENT_INVOCATION_FAILED]
    last = f", at last {failures[-1].error_type}: {failures[-1].error_message}" if failures else ""
    return f"no agent in {round(age.total_seconds())} s; {len(failures)} failed calls{last}"
