"""What the console's page of one run says: all that journal, Step Functions, logs and bucket have of it.

What one of them refuses is left out, with the reason: the others still tell.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Generic, TypeVar

from botocore.exceptions import BotoCoreError, ClientError

from runbook.console.overview import Row, row_of, step_name
from runbook.costs import Cost
from runbook.errors import RunbookError
from runbook.labels import error
from runbook.log_lines import LogLine
from runbook.runbook import Runbook
from runbook.runs import Run
from runbook.stuck import execution_status
from runbook.summary import RunSummary
from runtime.journal.records import Event
from runtime.journal.timestamps import utc_now
from runtime.journal.vocabulary import Status

T = TypeVar("T")
AT_ONCE = 4
MAX_ARTIFACTS = 40
MAX_ARTIFACT_BYTES = 200_000
MAX_LINES = 400
"""Of an environment's log: the first and the last half of them are shown."""


@dataclass(frozen=True, slots=True)
class Found(Generic[T]):
    """What was asked for, or why it is missing.

    :ivar missing: a sentence, empty if nothing is missing
    """

    value: T
    missing: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepView:
    """One step, or one item of it, in the latest attempt that worked on it.

    :ivar name: with the item's number where it is one
    :ivar state: running, completed, failed, skipped or cut off
    :ivar inputs: what had been finished by then, besides the request
    :ivar artifact: the key of what came out, empty if nothing did
    :ivar taken_from: the run that it was taken over from
    """

    name: str
    state: str
    attempt: int | None
    seconds: float | None
    tokens: int | None
    inputs: tuple[str, ...]
    artifact: str
    taken_from: str
    error: str


@dataclass(frozen=True, slots=True)
class ArtifactView:
    """Something that a step wrote.

    :ivar text: its beginning; None if it is no text
    :ivar is_cut: whether there is more
    """

    key: str
    text: str | None
    is_cut: bool


@dataclass(frozen=True, slots=True)
class EnvironmentLog:
    """What one execution environment logged.

    :ivar left_out: how many lines in the middle are not among these
    """

    environment_id: str
    lines: tuple[LogLine, ...]
    left_out: int


@dataclass(frozen=True, slots=True)
class RunDetails:
    """One run in full.

    :ivar traceback: of the error that ended it, empty if nobody logged one
    """

    stack: str
    as_of: datetime
    row: Row
    run: RunSummary
    steps: tuple[StepView, ...]
    logs: Found[tuple[EnvironmentLog, ...]]
    artifacts: Found[tuple[ArtifactView, ...]]
    cost: Found[Cost | None]
    traceback: str


def look_closely(runbook: Runbook, session_id: str, stack: str, now: datetime | None = None) -> RunDetails:
    """Return all that is known of a run.

    :raises RunNotFound: if there is nothing
    """
    now = now or utc_now()
    with ThreadPoolExecutor(AT_ONCE) as threads:
        lines = threads.submit(_or_missing, lambda: list(runbook.log_events(session_id)), [])
        cost = threads.submit(_or_missing, lambda: runbook.cost(session_id), None)
        run = runbook.summary(session_id)
        keys = run.artifacts[:MAX_ARTIFACTS]
        artifacts = _or_missing(lambda: tuple(threads.map(partial(_artifact, runbook), keys)), ())
    logged = lines.result()
    return RunDetails(
        stack=stack,
        as_of=now,
        row=_row(runbook, run, now),
        run=run,
        steps=tuple(_steps(run)),
        logs=Found(tuple(_by_environment(logged.value)), logged.missing),
        artifacts=Found(artifacts.value, run.artifacts_error or artifacts.missing),
        cost=cost.result(),
        traceback=_traceback(logged.value, run.outcome),
    )


def _or_missing(ask: Callable[[], T], otherwise: T) -> Found[T]:
    try:
        return Found(ask())
    except (RunbookError, ClientError, BotoCoreError) as missing:
        return Found(otherwise, str(missing))


def _row(runbook: Runbook, run: RunSummary, now: datetime) -> Row:
    record = Run(run.session_id, run.metadata, run.outcome)
    if run.outcome or run.metadata is None:
        return row_of(record, now)
    status = execution_status(runbook.clients.stepfunctions, run.metadata.execution_arn)
    return row_of(record, now, run.events, status)


def _artifact(runbook: Runbook, key: str) -> ArtifactView:
    answer = runbook.clients.s3.get_object(Bucket=runbook.outputs.artifact_bucket_name, Key=key)
    with closing(answer["Body"]) as body:
        content = body.read(MAX_ARTIFACT_BYTES)
    is_cut = answer["ContentLength"] > len(content)
    try:
        # What is cut off may be in the middle of a character.
        text = content.decode("utf-8", "ignore" if is_cut else "strict")
    except UnicodeDecodeError:
        text = None
    return ArtifactView(key, text, is_cut)


def _by_environment(lines: Sequence[LogLine]) -> Iterator[EnvironmentLog]:
    for environment in dict.fromkeys(line.environment_id for line in lines):
        own = [line for line in lines if line.environment_id == environment]
        half = MAX_LINES // 2
        shown = own if len(own) <= MAX_LINES else [*own[:half], *own[-half:]]
        yield EnvironmentLog(environment, tuple(shown), len(own) - len(shown))


def _traceback(lines: Sequence[LogLine], outcome: Event | None) -> str:
    traced = [line for line in lines if line.stack_trace]
    kind = outcome.error_type if outcome else None
    same = [line for line in traced if kind and (line.error_type == kind or kind in line.stack_trace)]
    return (same or traced)[-1].stack_trace if outcome and outcome.error_type and traced else ""


_STATES = {"STARTED": "running", "COMPLETED": "completed", "FAILED": "failed", "SKIPPED": "skipped"}


def _steps(run: RunSummary) -> Iterator[StepView]:
    """Each step, or item of one, as its latest event has it, in the order in which they first appeared."""
    latest: dict[str, list[Event]] = {}
    finished: list[str] = []
    inputs: dict[str, tuple[str, ...]] = {}
    for event in run.events:
        if event.step is None or not event.status.startswith("TASK_"):
            continue
        name, phase = step_name(event.step, event.item), event.status.rpartition("_")[2]
        if phase in ("STARTED", "SKIPPED"):
            latest[name], inputs[name] = [event], tuple(finished)
        else:
            latest.setdefault(name, []).append(event)
        if phase in ("COMPLETED", "SKIPPED") and name not in finished:
            finished.append(name)
    for name, events in latest.items():
        yield _step(run, name, events, inputs.get(name, ()))


def _step(run: RunSummary, name: str, events: Sequence[Event], inputs: tuple[str, ...]) -> StepView:
    first, last = events[0], events[-1]
    detail, state = last.detail or {}, _STATES.get(last.status.rpartition("_")[2], "")
    if state == "running" and (run.outcome or _is_lost(run, last.attempt)):
        state = "cut off"
    tokens = detail.get("tokens")
    return StepView(
        name=name,
        state=state,
        attempt=last.attempt,
        seconds=(last.created_at - first.created_at).total_seconds() if len(events) > 1 else None,
        tokens=sum(int(number) for number in tokens.values()) if tokens else None,
        inputs=tuple(found for found in inputs if found != name),
        artifact=str(detail.get("artifact", "")),
        taken_from=str(detail.get("takenFrom", "")),
        error=error(last),
    )


def _is_lost(run: RunSummary, attempt: int | None) -> bool:
    return attempt != run.events.attempts or any(
        event.status == Status.AGENT_BACKGROUND_TASK_LOST and event.attempt == attempt for event in run.events
    )
