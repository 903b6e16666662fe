"""A run as a tree: its attempts, the steps that each worked on, and their items. Made from its events alone.

Times are seconds from the run's first event. Items count from 0, as in the journal and in artifacts' keys.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from runbook.events import Events
from runbook.labels import item_label
from runbook.waits import WaitStory, waits
from runbook.within import is_within, phase_of
from runtime.journal.records import Event
from runtime.journal.vocabulary import Status, StepPhase

MANY_ITEMS = 6
"""A step with more items is shown as one."""
CODE = ("workflowDigest", "codeDigest")
"""What an attempt's first event says of the code that it runs."""


class Kind(StrEnum):
    """How something ended, or what a mark means; the words are for people."""

    DONE = "done"
    FAILED = "failed"
    CUT_OFF = "cut off"
    WAITING = "waiting for a person"
    ASKED = "asked a person"
    GOING_ON = "going on"
    WATCHING = "watches the run"
    POLL = "poll"
    HEARTBEAT = "heartbeat"
    SKIPPED = "skipped: already there"
    LOST = "found lost"
    TURN = "turn"
    RESUMED = "resumed: goes on from a stored turn"
    CALLED = "called: must not happen twice"
    NOT_CALLED = "not called: may have happened"
    ANSWERED = "answered"
    EXPIRED = "expired"

    @property
    def word(self) -> str:
        """The words without what explains them."""
        return self.partition(":")[0]


_ENDS = {StepPhase.COMPLETED: Kind.DONE, StepPhase.FAILED: Kind.FAILED, StepPhase.SKIPPED: Kind.SKIPPED}


@dataclass(frozen=True, slots=True)
class Work:
    """What one attempt did about a step, or about an item of it.

    :ivar item: None for a whole step
    :ivar event: the last of it that is its beginning or its end
    :ivar within: what happened in between: turns, calls of tools, messages, a resume
    :ivar asks: what it ended with asking a person, each question on one line
    """

    attempt: int | None
    step: str
    item: int | None
    begin: float
    end: float
    kind: Kind
    event: Event
    within: tuple[Event, ...] = ()
    asks: tuple[str, ...] = ()

    @property
    def tokens(self) -> Mapping[str, int] | None:
        """What it has cost so far, with what it goes on from; of one that did not end, as its newest turn says."""
        return next((found for event in (self.event, *reversed(self.within)) if (found := _tokens(event))), None)

    @property
    def turns(self) -> int:
        """How many turns of its conversation this attempt has added to."""
        return len({event.turn for event in self.within if phase_of(event) is StepPhase.TURN})

    @property
    def seconds(self) -> float:
        """How long it took."""
        return self.end - self.begin

    @property
    def name(self) -> str:
        """The step's name, with the item where it is one: `investigator [3]`."""
        return self.step + item_label(self.item)

    def as_json(self) -> dict[str, Any]:
        """Return it as plain values."""
        detail = self.event.detail or {}
        return {
            "attempt": self.attempt,
            "step": self.step,
            "item": self.item,
            "state": self.kind.name,
            "seconds": round(self.seconds, 3),
            "turns": self.turns,
            "asks": list(self.asks),
            "tokens": self.tokens,
            "artifact": detail.get("artifact"),
            "takenFrom": detail.get("takenFrom"),
            "error": self.event.error_message,
        }


@dataclass(frozen=True, slots=True)
class AttemptWork:
    """What one attempt did.

    :ivar labels: what its first event says: `workflow`, `workflowDigest`, `codeDigest`
    :ivar work: in the order in which it was begun
    """

    number: int | None
    begin: float
    end: float
    kind: Kind
    labels: Mapping[str, Any]
    work: Sequence[Work]

    def by_step(self) -> dict[str, list[Work]]:
        """Return the work by step, in the order in which the steps were begun; items in their list's order."""
        found: dict[str, list[Work]] = {}
        for each in self.work:
            found.setdefault(each.step, []).append(each)
        return {step: sorted(work, key=lambda each: each.item or 0) for step, work in found.items()}

    def other_code(self, than: "AttemptWork") -> dict[str, tuple[str, str]]:
        """Return how this attempt's code differs from another's: label to before and after."""
        pairs = {label: (than.labels.get(label), self.labels.get(label)) for label in CODE}
        return {label: (str(was), str(now)) for label, (was, now) in pairs.items() if was != now}


def counted(work: Iterable[Work]) -> str:
    """Return how many ended how: `5 done, 2 cut off`."""
    counts = Counter(each.kind for each in work)
    return ", ".join(f"{counts[kind]} {kind.word}" for kind in Kind if counts[kind])


def attempts(events: Events, end: float) -> list[AttemptWork]:
    """Return what each attempt that began has done.

    :param end: of the run, or now
    """
    started = [event for event in events if event.status == Status.AGENT_BACKGROUND_TASK_STARTED]
    ended_by = {wait.attempt: wait for wait in waits(events)}
    found: list[AttemptWork] = []
    for event in started:
        wait = ended_by.get(event.attempt or 0)
        last, kind = _end_of_attempt(events, event, end, wait)
        work = _work(events, event.attempt, last, _kind_of_rest(events, kind, wait), wait)
        found.append(AttemptWork(event.attempt, events.seconds(event), last, kind, event.detail or {}, work))
    return found


def _kind_of_rest(events: Events, kind: Kind, wait: WaitStory | None) -> Kind:
    """What was begun and not ended has ended with its attempt."""
    if wait:
        return Kind.ASKED if wait.answered or events.outcome else Kind.WAITING
    return Kind.GOING_ON if kind is Kind.GOING_ON else Kind.CUT_OFF


def step_tokens(events: Iterable[Event]) -> dict[str, dict[int | None, Mapping[str, int]]]:
    """Return the tokens of each step's items; a whole step is the item None.

    Of the steps and not of the outcome: a run that failed has paid for what it did. Totals stand in each turn and in
    each end of a step, with those of the attempts that it goes on from: the newest counts, and where an attempt has
    begun anew, what was thrown away as well. An attempt that skips what is finished says again what it cost.
    """
    found: dict[str, dict[int | None, list[Mapping[str, int]]]] = {}
    worked_in: dict[tuple[str, int | None], int | None] = {}
    for event in events:
        if event.step is None or (tokens := _tokens(event)) is None:
            continue
        totals = found.setdefault(event.step, {}).setdefault(event.item, [])
        goes_on = phase_of(event) in (StepPhase.RESUMED, StepPhase.SKIPPED)
        before = worked_in.get((event.step, event.item))
        worked_in[event.step, event.item] = event.attempt
        if totals and (goes_on or before == event.attempt):
            totals[-1] = tokens
        else:
            totals.append(tokens)
    return {step: {item: summed(totals) for item, totals in items.items()} for step, items in found.items()}


def summed(totals: Iterable[Mapping[str, int]]) -> dict[str, int]:
    """Return tokens of several together, by kind."""
    found: dict[str, int] = {}
    for tokens in totals:
        for kind, number in tokens.items():
            found[kind] = found.get(kind, 0) + int(number)
    return found


def _tokens(event: Event) -> Mapping[str, int] | None:
    return (event.detail or {}).get("tokens")


def _work(events: Events, attempt: int | None, last: float, rest: Kind, wait: WaitStory | None) -> list[Work]:
    begun: dict[tuple[str, int | None], Event] = {}
    within: dict[tuple[str, int | None], list[Event]] = {}
    found: list[Work] = []
    for event in events:
        phase = phase_of(event)
        if event.step is None or event.attempt != attempt or phase is None:
            continue
        key, at = (event.step, event.item), events.seconds(event)
        if phase is StepPhase.STARTED:
            begun[key] = event
        elif is_within(event):
            within.setdefault(key, []).append(event)
        else:
            first = begun.pop(key, event)
            own = tuple(within.pop(key, ()))
            found.append(Work(attempt, *key, events.seconds(first), at, _ENDS[phase], event, own))
    for key, event in begun.items():
        asks = tuple(wait.asked_of(*key)) if wait else ()
        found.append(Work(attempt, *key, events.seconds(event), last, rest, event, tuple(within.get(key, ())), asks))
    return sorted(found, key=lambda work: work.begin)


def _end_of_attempt(events: Events, started: Event, end: float, wait: WaitStory | None) -> tuple[float, Kind]:
    """When an attempt ended, and how: with a question, with the run, with its last sign of life, or not yet."""
    attempt, outcome = started.attempt, events.outcome
    if wait:
        return events.seconds(wait.asked), Kind.ASKED
    own = [event for event in events if event.attempt == attempt and event.environment_id] or [started]
    if outcome and outcome in own:
        completed = outcome.status == Status.AGENT_BACKGROUND_TASK_COMPLETED
        return end, Kind.DONE if completed else Kind.FAILED
    is_over = outcome is not None or attempt != events.attempts or _is_lost(events, attempt)
    return (events.seconds(own[-1]), Kind.CUT_OFF) if is_over else (end, Kind.GOING_ON)


def _is_lost(events: Iterable[Event], attempt: int | None) -> bool:
    return any(event.status == Status.AGENT_BACKGROUND_TASK_LOST and event.attempt == attempt for event in events)
