"""Runs as records: what was asked, how it ended, how long it took, whether it waits for a person.

Owns finding them by day and joining their parts: metadata and outcome, which may lie on two days, and the newest wait.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

from runbook import labels
from runbook.labels import OPEN
from runbook.tables import UTC_TIME, WHOLE_NUMBER, Column, Table, Terminal, camel_case, shortened
from runtime.contract.errors import InvalidRequest
from runtime.contract.request import parse_request
from runtime.journal.keys import METADATA, OUTCOME, answer_key, record_key
from runtime.journal.reader import JournalReader
from runtime.journal.records import Event, Item, RunMetadata, from_item
from runtime.journal.timestamps import to_timestamp, utc_now
from runtime.journal.vocabulary import Status
from runtime.journal.waits import Wait

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

CLOCK_SKEW = timedelta(minutes=5)
"""How far clocks may be apart: just before midnight, the next day is looked at, too."""
OVERDUE = timedelta(days=7)
"""How long after its time DynamoDB may still have a record; "within a few days", it says.

Source: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/TTL.html
"""
WAITING = "WAITING"
"""What an open run does that a person has been asked and has not answered."""


@dataclass(frozen=True, slots=True)
class Run:
    """One run, as far as the journal's index by day knows it.

    :ivar metadata: None if it has expired, or was never written
    :ivar outcome: the terminal event, None while the run is open
    :ivar retried_as: the newest run, of those that were found with it, that retries it
    :ivar waiting: what an open run waits for a person with, None if it doesn't
    """

    session_id: str
    metadata: RunMetadata | None
    outcome: Event | None
    retried_as: str | None = None
    waiting: Wait | None = None

    @property
    def status(self) -> str:
        """The terminal status, or `OPEN`, while it waits for a person as well."""
        return self.outcome.status if self.outcome else OPEN

    @property
    def state(self) -> str:
        """How it stands, in a word or two: how it ended, `open` or `waiting`."""
        return "waiting" if self.waiting else labels.outcome(self.status)

    @property
    def waiting_since(self) -> datetime | None:
        """When it began to wait for a person, if it does."""
        return self.waiting.created_at if self.waiting else None

    @property
    def waiting_until(self) -> datetime | None:
        """When its questions expire, if it waits."""
        return self.waiting.until if self.waiting else None

    @property
    def began_at(self) -> datetime | None:
        """When the run was claimed."""
        return self.metadata.created_at if self.metadata else None

    @property
    def ended_at(self) -> datetime | None:
        """When the run was closed."""
        return self.outcome.created_at if self.outcome else None

    @property
    def seconds(self) -> float | None:
        """From the claim to the outcome. None for an open run."""
        if self.began_at is None or self.ended_at is None:
            return None
        return (self.ended_at - self.began_at).total_seconds()

    @property
    def attempt(self) -> int | None:
        """The attempt that ended the run, where it was an attempt that did."""
        return self.outcome.attempt if self.outcome else None

    @property
    def error_type(self) -> str | None:
        """The class of what ended the run badly."""
        return self.outcome.error_type if self.outcome else None

    @property
    def error_message(self) -> str | None:
        """What the error said."""
        return self.outcome.error_message if self.outcome else None

    @property
    def tokens(self) -> Mapping[str, int] | None:
        """The tokens of a run that its agent ended, well or badly."""
        return (self.outcome.detail or {}).get("tokens") if self.outcome else None

    @property
    def prompt(self) -> str:
        """What the agents were asked, or an empty text if the request had none."""
        return request_text(self.metadata, "prompt")

    @property
    def workflow(self) -> str | None:
        """The name of its workflow."""
        return workflow_of(self.metadata)

    @property
    def retry_of(self) -> str | None:
        """The run that this one retries."""
        return request_text(self.metadata, "retryOf") or None

    @property
    def can_be_retried(self) -> bool:
        """Whether it ended otherwise than completed, with a request that can be run."""
        return can_be_retried(self.metadata, self.outcome)


def can_be_retried(metadata: RunMetadata | None, outcome: Event | None) -> bool:
    """Return whether a run ended otherwise than completed, with a request that can be run."""
    if metadata is None or outcome is None or outcome.status == Status.AGENT_BACKGROUND_TASK_COMPLETED:
        return False
    try:
        parse_request(metadata.request)
    except InvalidRequest:
        return False
    return True


def workflow_of(metadata: RunMetadata | None) -> str | None:
    """Return the name of a run's workflow: as it was journalled, otherwise as it was asked for."""
    return (metadata.workflow if metadata else None) or request_text(metadata, "workflow") or None


def request_text(metadata: RunMetadata | None, field: str) -> str:
    """Return a field of a run's request as text, an empty one where it is not known or has no such field."""
    request: object = metadata.request if metadata else None
    value = request.get(field) if isinstance(request, Mapping) else None
    return "" if value is None else str(value)


def _error(run: Run) -> str:
    return shortened(labels.error(run.outcome))


def waits_for(began: datetime, until: datetime) -> str:
    """Return how it is said that a run waits for a person."""
    return f"waits for a person since {began:%Y-%m-%d %H:%M:%S}, until {until:%Y-%m-%d %H:%M:%S}"


def _waits(run: Run) -> str | None:
    return waits_for(run.waiting.created_at, run.waiting.until) if run.waiting else None


def _asked(name: str, heading: str) -> Column[Run]:
    """Return the column of an optional text of the request."""

    def read(run: Run) -> str | None:
        return request_text(run.metadata, camel_case(name)) or None

    return Column(name, "object", heading, Terminal.WIDE, read=read, text=lambda text: shortened(text, 30))


def _advice(run: Run) -> str | None:
    if run.retried_as:
        return f"retried as {run.retried_as}"
    if run.status in labels.FAILURES and run.metadata and not run.can_be_retried:
        return "not to be retried: whoever sent this request must change it"
    return None


def _state_style(run: Run) -> str:
    return "yellow" if run.waiting else labels.style(run.status)


class Runs(Table[Run]):
    """Runs in the order in which they began; those whose beginning is not known come first.

    They are shown the other way round.
    """

    newest_first = True
    nothing = "No such runs."

    columns: Sequence[Column[Run]] = (
        Column("session_id", "str", "session", Terminal.LINE),
        Column("began_at", UTC_TIME, "began (UTC)", Terminal.LINE),
        Column("ended_at", UTC_TIME),
        Column("status", "str"),
        Column("state", None, "outcome", Terminal.LINE, style=_state_style),
        Column("seconds", "float", "took", Terminal.LINE, text=labels.duration),
        Column("attempt", WHOLE_NUMBER, "attempt"),
        Column("error_type"),
        Column("error_message"),
        Column("error", None, "error", Terminal.BELOW, read=_error, style=lambda _: "red"),
        Column("waiting_since", UTC_TIME),
        Column("waiting_until", UTC_TIME),
        Column("waits", None, "waits", Terminal.BELOW, read=_waits, style=lambda _: "yellow"),
        Column("advice", None, "advice", Terminal.BELOW, read=_advice, style=lambda _: "yellow"),
        Column("retry_of"),
        Column("retried_as"),
        Column("tokens"),
        Column("workflow", "object", "workflow", Terminal.WIDE),
        _asked("requested_by", "requested by"),
        Column("prompt", "str", "prompt"),
    )

    def __init__(self, runs: Iterable[Run]) -> None:
        earliest = datetime.min.replace(tzinfo=UTC)
        super().__init__(sorted(runs, key=lambda run: run.began_at or earliest))

    def only(self, session_ids: Collection[str]) -> "Runs":
        """Return those of the runs that have one of these ids."""
        return Runs(run for run in self if run.session_id in session_ids)

    def having(self, *statuses: str) -> "Runs":
        """Return those of the runs that have one of these statuses.

        :param statuses: terminal ones; `OPEN` for runs without an outcome, `WAITING` for those of them that wait for a
            person
        """
        return Runs(run for run in self if run.status in statuses or (run.waiting and WAITING in statuses))

    def where(self, **values: str | None) -> "Runs":
        """Return those of the runs whose columns of these names have these values; None is any value.

        :raises ValueError: if there is no such column
        """
        columns = {column.name: column for column in self.columns}
        if unknown := values.keys() - columns.keys():
            raise ValueError(f"runs have no {', '.join(sorted(unknown))}: it must be one of {', '.join(columns)}")
        wanted = [(columns[name], value) for name, value in values.items() if value is not None]
        return Runs(run for run in self if all(column.value(run) == value for column, value in wanted))

    @property
    def failed(self) -> "Runs":
        """Those that failed or timed out. What somebody cancelled is no failure."""
        return self.having(*labels.FAILURES)


@dataclass(frozen=True, slots=True)
class RunFinder:
    """Finds the runs of one journal.

    :ivar ttl_days: after which DynamoDB forgets records
    """

    client: "DynamoDBClient"
    table_name: str
    ttl_days: int

    def find(self, since: datetime, until: datetime | None = None, outcome: str | None = None) -> Runs:
        """Return the runs that began or ended within a span of time, or began to wait in it and still do.

        :param outcome: only runs of that status; `OPEN` for those that have none, `WAITING` for those of them that wait
        :raises ValueError: if a time has no time zone, or `until` is not after `since`
        """
        _check_span(since, until)
        latest = utc_now() + CLOCK_SKEW
        # Every day of the span is a query, and outside of these there is nothing to be found.
        since = min(max(since, latest - timedelta(days=self.ttl_days) - OVERDUE), latest)
        until = min(until, latest) if until else None
        metadata: dict[str, RunMetadata] = {}
        outcomes: dict[str, Event] = {}
        waits: dict[str, Wait] = {}
        for record in self._records(since, until or latest):
            if isinstance(record, RunMetadata):
                metadata[record.session_id] = record
            elif isinstance(record, Event):
                outcomes[record.session_id] = record
            else:
                waits[record.session_id] = record
        # The other parts of a run that crosses an edge of the span lie outside of it.
        sessions = metadata.keys() | outcomes.keys()
        ended_after = (metadata.keys() | waits.keys()) - outcomes.keys() if until else set[str]()
        outcomes |= {ended.session_id: ended for ended in map(Event.from_item, self._look_up(ended_after, OUTCOME))}
        if until:
            later = map(self._reader.newest_wait, metadata.keys() - outcomes.keys())
            waits |= {wait.session_id: wait for wait in later if wait}
        waits = self._unanswered(wait for wait in waits.values() if wait.session_id not in outcomes)
        sessions |= waits.keys()
        begun_before = map(RunMetadata.from_item, self._look_up(sessions - metadata.keys(), METADATA))
        metadata |= {found.session_id: found for found in begun_before}
        runs = [
            Run(session_id, metadata.get(session_id), outcomes.get(session_id), waiting=waits.get(session_id))
            for session_id in sessions
        ]
        retried_as = {run.retry_of: run.session_id for run in Runs(runs) if run.retry_of}
        found = Runs(replace(run, retried_as=retried_as.get(run.session_id)) for run in runs)
        return found if outcome is None else found.having(outcome)

    @property
    def _reader(self) -> JournalReader:
        return JournalReader(self.client, self.table_name)

    def _records(self, since: datetime, until: datetime) -> Iterator[RunMetadata | Event | Wait]:
        first = to_timestamp(since)
        for day in days(since, until):
            for record in self._reader.by_day(day, since=first if day == since.astimezone(UTC).date() else ""):
                if record.created_at > until:
                    break
                yield record

    def _look_up(self, session_ids: Iterable[str], sort_key: str) -> Iterator[Item]:
        return self._reader.records(record_key(session_id, sort_key) for session_id in session_ids)

    def _unanswered(self, waits: Iterable[Wait]) -> dict[str, Wait]:
        """Return the waits that have no answer, by run."""
        found = {wait.session_id: wait for wait in waits}
        answers = self._reader.records(answer_key(wait.session_id, wait.number) for wait in found.values())
        for answer in answers:
            del found[from_item(answer)["sessionId"]]
        return found


def _check_span(since: datetime, until: datetime | None) -> None:
    for name, moment in (("since", since), ("until", until)):
        if moment is not None and moment.tzinfo is None:
            raise ValueError(f"{name} is {moment.isoformat()} without a time zone: give one, such as datetime.now(UTC)")
    if until is not None and until <= since:
        raise ValueError(f"until is {until.isoformat()}: it must be later than since, {since.isoformat()}")


def days(since: datetime, until: datetime) -> Iterator[date]:
    """Yield every day, in UTC, that a span of time touches."""
    day, last = since.astimezone(UTC).date(), until.astimezone(UTC).date()
    while day <= last:
        yield day
        day += timedelta(days=1)
