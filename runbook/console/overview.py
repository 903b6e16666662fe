"""What the console's first page says: the runs since a moment, what the open ones are doing, how many of which kind."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime

from runbook import labels
from runbook.events import Events
from runbook.labels import OPEN
from runbook.runbook import STUCK_WINDOW, Runbook
from runbook.runs import Run, request_text, waits_for
from runbook.steps import Kind, attempts
from runbook.stuck import deadline, diagnose, execution_status
from runtime.journal.timestamps import from_timestamp, utc_now

AT_ONCE = 8
STUCK = "stuck"
DEFAULT_WORKFLOW = "default"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One run, as a list shows it.

    :ivar status: the terminal status, or `OPEN`
    :ivar seconds: how long it took; its age while it is open
    :ivar steps: what is being worked on; only of open runs, like `last_sign_at`, `deadline` and `trouble`
    :ivar waiting: since when and until when an open run waits for a person, in a sentence
    :ivar trouble: what is wrong with an open run, in a sentence
    :ivar retried_as: the newest run that tries it again
    """

    session_id: str
    status: str
    began_at: datetime | None
    ended_at: datetime | None
    seconds: float | None
    workflow: str
    requested_by: str
    prompt: str
    error: str
    steps: tuple[str, ...] = ()
    last_sign_at: datetime | None = None
    deadline: datetime | None = None
    waiting: str = ""
    trouble: str | None = None
    retry_of: str = ""
    retried_as: str = ""

    @property
    def is_open(self) -> bool:
        """Whether it has no outcome yet."""
        return self.status == OPEN

    @property
    def is_failure(self) -> bool:
        """Whether it failed or timed out; a cancelled run is no failure."""
        return self.status in labels.FAILURES

    @property
    def word(self) -> str:
        """How it stands, in a word or two."""
        return STUCK if self.trouble else "waiting" if self.waiting else labels.outcome(self.status)

    def has(self, text: str) -> bool:
        """Whether a text is in it, in any case."""
        fields = (self.session_id, self.prompt, self.error, self.trouble or "", self.workflow, self.requested_by)
        return text.casefold() in " ".join((*fields, *self.steps, self.retry_of, self.retried_as)).casefold()


@dataclass(frozen=True, slots=True)
class Overview:
    """The runs of a stack that began or ended since a moment, and all open ones, the newest first.

    :ivar stack: names the stack, its account and its region
    """

    stack: str
    since: datetime
    as_of: datetime
    rows: tuple[Row, ...]

    @property
    def failed(self) -> int:
        """How many failed or timed out."""
        return sum(row.is_failure for row in self.rows)

    @property
    def open(self) -> int:
        """How many have no outcome yet, stuck ones included."""
        return sum(row.is_open for row in self.rows)

    @property
    def stuck(self) -> int:
        """How many of the open ones something is wrong with."""
        return sum(row.trouble is not None for row in self.rows)

    @property
    def words(self) -> list[str]:
        """The words for how runs stand that there are."""
        return sorted({row.word for row in self.rows})

    @property
    def workflows(self) -> list[str]:
        """The names of the workflows that there are."""
        return sorted({row.workflow for row in self.rows})

    def only(self, word: str = "", workflow: str = "", text: str = "") -> tuple[Row, ...]:
        """Return some of the rows.

        :param word: how they stand, anyhow if empty; a timed out run counts as failed, a stuck one as open as well
        :param workflow: any if empty
        :param text: a part of what is known of them, in any case
        """
        return tuple(
            row for row in self.rows if _stands(row, word) and workflow in ("", row.workflow) and row.has(text.strip())
        )


def look(runbook: Runbook, since: datetime, now: datetime | None = None) -> Overview:
    """Return the runs since a moment, and the open ones of the last days.

    :raises botocore.exceptions.ClientError: if AWS refuses
    """
    now = now or utc_now()
    found = [
        run
        for run in runbook.runs(min(since, now - STUCK_WINDOW))
        if run.outcome is None or max(filter(None, (run.began_at, run.ended_at))) >= since
    ]

    def row(run: Run) -> Row:
        return row_of(run, now) if run.outcome else _open_row(runbook, run, now)

    with ThreadPoolExecutor(AT_ONCE) as threads:
        rows = list(threads.map(row, found))
    rows.sort(key=lambda row: row.began_at or row.ended_at or now, reverse=True)
    return Overview(runbook.outputs.title, since, now, tuple(rows))


def row_of(run: Run, now: datetime, events: Events | None = None, execution: str = "") -> Row:
    """Return a run as a row.

    :param events: of an open run
    :param execution: the status of an open run's execution
    """
    seconds = run.seconds
    steps: tuple[str, ...] = ()
    last_sign_at = deadline_at = trouble = None
    waiting = ""
    if run.outcome is None and run.metadata:
        seconds = (now - run.metadata.created_at).total_seconds()
        found = diagnose(run.metadata, events, execution, now) if events is not None else None
        trouble = f"{found[0]}: {found[1]}" if found else None
        if events:
            steps, last_sign_at, deadline_at = running_steps(events), events[-1].created_at, deadline(events)
            if asked := events.open_wait:
                waiting = waits_for(asked.created_at, from_timestamp((asked.detail or {})["until"]))
    return Row(
        session_id=run.session_id,
        status=run.status,
        began_at=run.began_at,
        ended_at=run.ended_at,
        seconds=seconds,
        workflow=run.workflow or DEFAULT_WORKFLOW,
        requested_by=request_text(run.metadata, "requestedBy"),
        prompt=run.prompt,
        error=labels.error(run.outcome),
        steps=steps,
        last_sign_at=last_sign_at,
        deadline=deadline_at,
        waiting=waiting,
        trouble=trouble,
        retry_of=run.retry_of or "",
        retried_as=run.retried_as or "",
    )


def running_steps(events: Events) -> tuple[str, ...]:
    """Return what is being worked on: names of steps, with the item's number where it is one."""
    work = (work for attempt in attempts(events, events.seconds(events[-1])) for work in attempt.work)
    return tuple(each.name for each in work if each.kind is Kind.GOING_ON)


def _open_row(runbook: Runbook, run: Run, now: datetime) -> Row:
    # The index lags behind the table: a run may have ended since.
    outcome = runbook.outcome(run.session_id)
    if outcome or run.metadata is None:
        return row_of(replace(run, outcome=outcome), now)
    execution = execution_status(runbook.clients.stepfunctions, run.metadata.execution_arn)
    return row_of(run, now, runbook.events(run.session_id), execution)


def _stands(row: Row, word: str) -> bool:
    stands = {row.word, labels.outcome(row.status), *(["failed"] if row.is_failure else [])}
    return not word or word in stands
