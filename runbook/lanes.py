"""A run as lanes: who did what from when to when. What `runbook.figures` draws, without a pixel in it.

Times are seconds from the run's first event.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum

from runbook.events import Events
from runbook.summary import RunSummary
from runtime.journal.records import Event
from runtime.journal.timestamps import utc_now
from runtime.journal.vocabulary import Status


class Kind(StrEnum):
    """How a span ended, or what a mark means; the words are those of the legend."""

    DONE = "done"
    FAILED = "failed"
    CUT_OFF = "cut off"
    GOING_ON = "going on"
    WATCHING = "looks after the run"
    POLL = "poll"
    HEARTBEAT = "heartbeat"
    SKIPPED = "skipped: already there"
    LOST = "found lost"


@dataclass(frozen=True, slots=True)
class Span:
    """Something that took time."""

    begin: float
    end: float
    kind: Kind
    label: str = ""

    @property
    def seconds(self) -> float:
        """How long it took."""
        return self.end - self.begin


@dataclass(frozen=True, slots=True)
class Mark:
    """Something that happened at a moment."""

    at: float
    kind: Kind


@dataclass(frozen=True, slots=True)
class Lane:
    """One actor."""

    name: str
    spans: list[Span] = field(default_factory=list[Span])
    marks: list[Mark] = field(default_factory=list[Mark])


def lanes(run: RunSummary) -> list[Lane]:
    """Return the lanes of a run: state machine, invoker, agent, and one for each step."""
    events, end = run.events, _end(run)
    steps = list(dict.fromkeys(event.step for event in events if event.step))
    return [
        _machine(run, end),
        _invoker(events, end),
        _agent(events, end),
        *(_step(events, step, end) for step in steps),
    ]


def _end(run: RunSummary) -> float:
    if run.outcome:
        return run.events.seconds(run.outcome)
    return max((utc_now() - run.events[0].created_at).total_seconds(), run.events.seconds(run.events[-1]))


def _machine(run: RunSummary, end: float) -> Lane:
    events, polled_at = run.events, run.execution.polled_at if run.execution else ()
    lost = [
        Mark(events.seconds(event), Kind.LOST) for event in events if event.status == Status.AGENT_BACKGROUND_TASK_LOST
    ]
    began = events[0].created_at
    # The machine looks once more after the end, which is not the run's time any more.
    polls = [Mark(at, Kind.POLL) for at in ((at - began).total_seconds() for at in polled_at) if at <= end]
    return Lane("state machine", [Span(0.0, end, Kind.WATCHING)], [*polls, *lost])


def _invoker(events: Events, end: float) -> Lane:
    ends = {Status.AGENT_INVOCATION_SUCCEEDED: Kind.DONE, Status.AGENT_INVOCATION_FAILED: Kind.FAILED}
    lane, begin = Lane("invoker (Lambda)"), None
    for event in events:
        if event.status == Status.AGENT_INVOCATION_STARTED:
            begin = events.seconds(event)
        elif event.status in ends and begin is not None:
            lane.spans.append(Span(begin, events.seconds(event), ends[Status(event.status)]))
            begin = None
    if begin is not None:
        lane.spans.append(Span(begin, end, Kind.CUT_OFF if events.outcome else Kind.GOING_ON))
    return lane


def _agent(events: Events, end: float) -> Lane:
    lane = Lane("agent")
    for started in events:
        if started.status == Status.AGENT_BACKGROUND_TASK_STARTED:
            last, kind = _end_of_attempt(events, started.attempt, end)
            lane.spans.append(Span(events.seconds(started), last, kind, f"attempt {started.attempt}"))
        elif started.status == Status.AGENT_BACKGROUND_TASK_HEARTBEAT:
            lane.marks.append(Mark(events.seconds(started), Kind.HEARTBEAT))
    return lane


def _step(events: Events, step: str, end: float) -> Lane:
    lane, begun = Lane(f"  {step}"), None
    for event in events:
        if event.step != step or not event.status.startswith("TASK_"):
            continue
        at = events.seconds(event)
        if event.status.endswith("_STARTED"):
            if begun:
                lane.spans.append(_unfinished(events, begun, end))
            begun = event
        elif event.status.endswith("_SKIPPED"):
            lane.marks.append(Mark(at, Kind.SKIPPED))
        elif begun:
            kind = Kind.DONE if event.status.endswith("_COMPLETED") else Kind.FAILED
            lane.spans.append(Span(events.seconds(begun), at, kind))
            begun = None
    if begun:
        lane.spans.append(_unfinished(events, begun, end))
    return lane


def _unfinished(events: Events, begun: Event, end: float) -> Span:
    last, kind = _end_of_attempt(events, begun.attempt, end)
    return Span(events.seconds(begun), last, Kind.GOING_ON if kind is Kind.GOING_ON else Kind.CUT_OFF)


def _end_of_attempt(events: Events, attempt: int | None, end: float) -> tuple[float, Kind]:
    """When an attempt ended, and how: with the run, with its last sign of life, or not yet."""
    own = [event for event in events if event.attempt == attempt and event.environment_id]
    outcome = events.outcome
    if outcome and outcome in own:
        completed = outcome.status == Status.AGENT_BACKGROUND_TASK_COMPLETED
        return end, Kind.DONE if completed else Kind.FAILED
    is_over = outcome is not None or attempt != events.attempts or _is_lost(events, attempt)
    return (events.seconds(own[-1]), Kind.CUT_OFF) if is_over else (end, Kind.GOING_ON)


def _is_lost(events: Iterable[Event], attempt: int | None) -> bool:
    return any(event.status == Status.AGENT_BACKGROUND_TASK_LOST and event.attempt == attempt for event in events)
