"""Open runs that something is wrong with, and what. A run that merely takes long is not among them.

Owns telling trouble from patience; what to do about it is the operator's decision (cancel, retry, wait).
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING

from runbook.events import Events
from runbook.executions import RUNNING
from runbook.labels import OPEN
from runbook.runs import Runs, days, request_text
from runbook.tables import UTC_TIME, Column, Table, Terminal
from runbook.waits import WaitStory, waits
from runtime.journal.keys import OUTCOME, record_key
from runtime.journal.reader import JournalReader
from runtime.journal.records import Event, RunMetadata, from_item
from runtime.journal.timestamps import from_timestamp, to_timestamp
from runtime.journal.vocabulary import Status
from runtime.journal.waits import Wait

if TYPE_CHECKING:
    from mypy_boto3_stepfunctions import SFNClient

GRACE = timedelta(seconds=30)
"""What the parts may need to write down what happened."""
START_GRACE = timedelta(minutes=5)
WAITS_WINDOW = timedelta(days=35)
"""How far back waits are looked for: the longest, 30 days, with its last turn, and some days to notice that it is over.

Each day is a query that reads all that began or ended on it.
"""
AT_ONCE = 8
FORGOTTEN = "unknown to Step Functions"


class Trouble(StrEnum):
    """What is wrong with an open run."""

    EXECUTION_ENDED = "EXECUTION_ENDED"
    OVERDUE = "OVERDUE"
    SILENT = "SILENT"
    NOT_STARTED = "NOT_STARTED"
    WAIT_EXPIRED = "WAIT_EXPIRED"


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
    """Return the runs that are open and in trouble: of some, and of all that have waited for a person lately."""

    def look(session_id: str) -> StuckRun | None:
        return _look(reader, stepfunctions, session_id, now)

    with ThreadPoolExecutor(AT_ONCE) as threads:
        some = {run.session_id: None for run in runs.having(OPEN) if run.metadata}
        waited = dict.fromkeys(_open_runs_that_waited(reader, threads, now))
        found = filter(None, threads.map(look, some | waited))
        return StuckRuns(sorted(found, key=lambda run: run.began_at))


def _open_runs_that_waited(reader: JournalReader, threads: ThreadPoolExecutor, now: datetime) -> Iterator[str]:
    def read(day: date) -> list[Wait]:
        return list(reader.waits(day))

    found = threads.map(read, days(now - WAITS_WINDOW, now))
    waited = {wait.session_id: None for waits in found for wait in waits}
    ended = reader.records(record_key(session_id, OUTCOME) for session_id in waited)
    yield from waited.keys() - {from_item(outcome)["sessionId"] for outcome in ended}


def _look(reader: JournalReader, stepfunctions: "SFNClient", session_id: str, now: datetime) -> StuckRun | None:
    # The index lags behind the table: a run may have ended since.
    metadata = None if reader.outcome(session_id) else reader.metadata(session_id)
    if metadata is None:
        return None
    events = Events(session_id, reader.events(session_id))
    found = diagnose(metadata, events, execution_status(stepfunctions, metadata.execution_arn), now)
    last_status, prompt = events[-1].status if events else "", request_text(metadata, "prompt")
    return StuckRun(session_id, *found, metadata.created_at, last_status, prompt) if found else None


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
    last_at = events[-1].created_at if events else metadata.created_at
    if status != RUNNING and now > last_at + GRACE:
        return Trouble.EXECUTION_ENDED, f"nobody watches it: its execution is {status}"
    wait = _newest_wait(events)
    if wait and wait.answered is None:
        late = now > wait.until + wait.turn + START_GRACE
        explanation = f"its questions expired at {to_timestamp(wait.until)}, and nobody acted on it"
        return (Trouble.WAIT_EXPIRED, explanation) if late else None
    return _diagnose_segment(metadata, wait, _since(events, wait), now)


def _diagnose_segment(
    metadata: RunMetadata, wait: WaitStory | None, events: list[Event], now: datetime
) -> tuple[Trouble, str] | None:
    """Return what is wrong with a run that doesn't wait.

    :param wait: the newest one, which is answered
    :param events: since its answer
    """
    lease = timedelta(seconds=metadata.bounds["leaseSeconds"])
    until = _deadline(events)
    if until is None and wait and wait.answered:
        age = now - wait.answered.created_at
        # An answer whose wake-up was lost is found at the end of a turn.
        return _not_started(events, age, "since its question was answered") if age > wait.turn + START_GRACE else None
    if until is None and now > metadata.created_at + START_GRACE:
        return _not_started(events, now - metadata.created_at)
    if until and now > until + lease + GRACE:
        return Trouble.OVERDUE, f"its deadline was {to_timestamp(until)}"
    leases = [event.lease_expires_at for event in events if event.lease_expires_at]
    if leases and now > max(leases) + lease + GRACE:
        return Trouble.SILENT, f"its agent's lease ran out at {to_timestamp(max(leases))}, and nobody acted on it"
    return None


def deadline(events: Events) -> datetime | None:
    """Return until when an open run may take.

    :return: None if no agent has acknowledged it since its beginning or its newest answer, and while it waits for a
        person: its time stands still
    """
    return _deadline(_since(events, _newest_wait(events)))


def _deadline(events: list[Event]) -> datetime | None:
    acknowledged = (event for event in reversed(events) if event.status == Status.AGENT_INVOCATION_SUCCEEDED)
    found = next(((event.detail or {}).get("deadline") for event in acknowledged), None)
    return from_timestamp(found) if found else None


def _newest_wait(events: Events) -> WaitStory | None:
    return next(reversed(waits(events)), None)


def _since(events: Events, wait: WaitStory | None) -> list[Event]:
    """Return the events of the attempts that came after a wait: told by number, as clocks differ."""
    return [event for event in events if wait is None or (event.attempt or 0) > wait.attempt]


def _not_started(events: list[Event], age: timedelta, since: str = "") -> tuple[Trouble, str]:
    failures = [event for event in events if event.status == Status.AGENT_INVOCATION_FAILED]
    last = f", at last {failures[-1].error_type}: {failures[-1].error_message}" if failures else ""
    when = f"{round(age.total_seconds())} s{' ' if since else ''}{since}"
    return Trouble.NOT_STARTED, f"no agent in {when}; {len(failures)} failed calls{last}"
