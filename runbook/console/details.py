"""What the console's page of one run says: all that journal, Step Functions, logs and bucket have of it.

What one of them refuses is left out, with the reason: the others still tell.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, Generic, TypeVar

from botocore.exceptions import BotoCoreError, ClientError

from runbook.console.overview import Row, row_of
from runbook.costs import Cost
from runbook.errors import RunbookError
from runbook.labels import error
from runbook.log_lines import LogLine
from runbook.runbook import Runbook
from runbook.runs import Run
from runbook.steps import Kind, Work
from runbook.stuck import execution_status
from runbook.summary import RunSummary
from runbook.within import is_routine, phase_of, said
from runtime.journal.records import Event
from runtime.journal.timestamps import utc_now
from runtime.journal.vocabulary import StepPhase

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


@dataclass(frozen=True, slots=True)
class StepView:
    """One step, or one item of it, in the latest attempt that worked on it.

    :ivar inputs: what had been finished by then, besides the request
    """

    work: Work
    inputs: tuple[str, ...]

    @property
    def state(self) -> str:
        """How it ended, or that it goes on: completed, failed, skipped, cut off or running."""
        said = {Kind.DONE: "completed", Kind.GOING_ON: "running"}
        return said.get(self.work.kind) or self.work.kind.word

    @property
    def tokens(self) -> int | None:
        """What it cost; None where that is not known."""
        tokens = self.work.tokens
        return sum(int(number) for number in tokens.values()) if tokens else None

    @property
    def doing(self) -> str:
        """What it did last, where it has not ended well."""
        return said(self.work.within[-1]) if self.work.within and self.work.kind is not Kind.DONE else ""

    @property
    def not_called(self) -> list[str]:
        """The calls of tools that were not made because they may have happened before."""
        unusual = [event for event in self.work.within if phase_of(event) is StepPhase.TOOL and not is_routine(event)]
        return [said(event) for event in unusual]

    @property
    def artifact(self) -> str:
        """The key of what came out, empty if nothing did."""
        return str(self.detail("artifact") or "")

    @property
    def taken_from(self) -> str:
        """The run that it was taken over from."""
        return str(self.detail("takenFrom") or "")

    @property
    def error(self) -> str:
        """What went wrong."""
        return error(self.work.event)

    def detail(self, name: str) -> Any:
        """Return what its last event says besides."""
        return (self.work.event.detail or {}).get(name)


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


def _steps(run: RunSummary) -> Iterator[StepView]:
    """Each step, or item of one, as the latest attempt left it, in the order in which they first appeared."""
    everything = [work for attempt in run.attempts for work in attempt.work]
    for work in {work.name: work for work in everything}.values():
        inputs = [each for each in everything if each.kind in (Kind.DONE, Kind.SKIPPED) and each.end <= work.begin]
        names = dict.fromkeys(each.name for each in sorted(inputs, key=lambda each: each.end))
        yield StepView(work, tuple(name for name in names if name != work.name))
