"""A run as lanes: who did what from when to when. What `runbook.figures` draws, without a pixel in it.

Times are seconds from the run's first event.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from runbook.events import Events
from runbook.steps import MANY_ITEMS, AttemptWork, Kind, Work
from runbook.summary import RunSummary
from runbook.waits import WaitStory
from runbook.within import CLAIMED, phase_of
from runtime.journal.records import Event
from runtime.journal.vocabulary import Status, StepPhase

_WORST_FIRST = (Kind.FAILED, Kind.CUT_OFF, Kind.GOING_ON, Kind.ASKED, Kind.DONE)


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
    """Return the lanes of a run: state machine, invoker, agent, who was asked, and one for each step and item."""
    events, end, attempts = run.events, run.end, run.attempts
    work = [each for attempt in attempts for each in attempt.work]
    steps = dict.fromkeys(each.step for each in work)
    return [
        _machine(run, end),
        _invoker(events, end),
        _agent(events, attempts),
        *([_person(run)] if run.waits else []),
        *(lane for step in steps for lane in _step(events, [each for each in work if each.step == step])),
    ]


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


def _agent(events: Events, attempts: Sequence[AttemptWork]) -> Lane:
    heartbeats = (event for event in events if event.status == Status.AGENT_BACKGROUND_TASK_HEARTBEAT)
    return Lane(
        "agent",
        [Span(each.begin, each.end, each.kind, f"attempt {each.number}") for each in attempts],
        [Mark(events.seconds(event), Kind.HEARTBEAT) for event in heartbeats],
    )


def _person(run: RunSummary) -> Lane:
    return Lane("person", [_waited(run, wait, *span) for wait, span in zip(run.waits, run.waited, strict=True)])


def _waited(run: RunSummary, wait: WaitStory, begin: float, end: float) -> Span:
    if wait.answered:
        return Span(begin, end, Kind.EXPIRED if wait.is_expired else Kind.ANSWERED, wait.by)
    return Span(begin, end, Kind.CUT_OFF if run.outcome else Kind.WAITING)


def _step(events: Events, work: Sequence[Work]) -> Iterator[Lane]:
    """Give the lanes of one step: its own, or its items', or one for all items."""
    items = sorted({each.item for each in work}, key=lambda item: -1 if item is None else item)
    if len(items) > MANY_ITEMS:
        yield Lane(f"  {work[0].step} ({len(items)} items)", [*_together(work)], _skipped(work))
        return
    for item in items:
        own = [each for each in work if each.item == item]
        spans = [Span(each.begin, each.end, each.kind) for each in _done(own)]
        yield Lane(f"  {own[0].name}", spans, [*_skipped(own), *_within(events, own)])


def _within(events: Events, work: Iterable[Work]) -> Iterator[Mark]:
    for event in (event for each in work for event in each.within):
        if kind := _mark_of(event):
            yield Mark(events.seconds(event), kind)


def _mark_of(event: Event) -> Kind | None:
    if phase_of(event) is StepPhase.TOOL:
        return Kind.CALLED if (event.detail or {}).get("claim") == CLAIMED else Kind.NOT_CALLED
    # One for each turn, which has more events where it calls tools.
    is_heard = (event.detail or {}).get("after") in ("tools", "question")
    if phase_of(event) is StepPhase.RESUMED:
        return Kind.RESUMED
    return Kind.TURN if phase_of(event) is StepPhase.TURN and not is_heard else None


def _together(work: Iterable[Work]) -> Iterator[Span]:
    """Give a span for each attempt, from the first item's begin to the last one's end."""
    by_attempt: dict[int | None, list[Work]] = {}
    for each in _done(work):
        by_attempt.setdefault(each.attempt, []).append(each)
    for own in by_attempt.values():
        kinds = [each.kind for each in own]
        worst = next(kind for kind in _WORST_FIRST if kind in kinds)
        begin, end = min(each.begin for each in own), max(each.end for each in own)
        yield Span(begin, end, worst, f"{kinds.count(Kind.DONE)} of {len(own)} done")


def _done(work: Iterable[Work]) -> list[Work]:
    # Who is waited for has a lane, and the step's is about what it did until then.
    asked = (replace(each, kind=Kind.ASKED) if each.kind is Kind.WAITING else each for each in work)
    return [each for each in asked if each.kind is not Kind.SKIPPED]


def _skipped(work: Iterable[Work]) -> list[Mark]:
    return [Mark(each.end, Kind.SKIPPED) for each in work if each.kind is Kind.SKIPPED]
