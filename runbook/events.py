"""The events of one run as a sequence that shows itself, and following them as they arrive."""

import time
from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta

from runbook.errors import RunNotFound, WatchInterrupted, WatchTimeout
from runbook.labels import duration, error, item_label
from runbook.tables import UTC_TIME, WHOLE_NUMBER, Column, Table, Terminal
from runbook.within import counted, is_routine, is_within, said
from runtime.journal.keys import EVENT_PREFIX
from runtime.journal.reader import JournalReader
from runtime.journal.records import Event
from runtime.journal.timestamps import to_timestamp, utc_now
from runtime.journal.vocabulary import TERMINAL, Status

OVERLAP = timedelta(seconds=60)
"""Events come from several clocks: one that arrives late may be stamped earlier than those already seen."""
MAX_WATCH_SECONDS = 30 * 86_400
"""The longest watch: longer than any run may take."""
APPEAR_SECONDS = 60.0
"""An event starts its run within a second; a mistyped session id must not be waited for any longer."""


class Events(Table[Event]):
    """The events of a run in the order of their times. A slice of them still counts from the run's first event."""

    def __init__(self, session_id: str, events: Iterable[Event]) -> None:
        super().__init__(events)
        self.session_id = session_id
        self._began_at = self[0].created_at if self else None
        self.columns = (
            Column("seconds", "float", "seconds", read=self.seconds, text="{:.3f}".format),
            Column("status", "str", "status"),
            Column("step"),
            Column("attempt", WHOLE_NUMBER, "attempt"),
            Column("item", WHOLE_NUMBER, "item"),
            Column("turn", WHOLE_NUMBER),
            Column("said", None, "what", Terminal.BELOW, read=said),
            Column("error_type"),
            Column("error_message"),
            Column("error", None, "error", Terminal.BELOW, read=error),
            Column("created_at", UTC_TIME),
            Column("environment_id"),
            Column("lease_expires_at", UTC_TIME),
            Column("detail"),
        )

    def first(self, *statuses: str) -> Event | None:
        """Return the first event with one of these statuses."""
        return next((event for event in self if event.status in statuses), None)

    @property
    def outcome(self) -> Event | None:
        """The terminal event, None while the run is open."""
        return self.first(*TERMINAL)

    @property
    def open_wait(self) -> Event | None:
        """The question that an open run waits for an answer to, None if it waits for none."""
        asked = [event for event in self if event.status in (Status.RUN_WAITING, Status.RUN_ANSWERED)]
        return asked[-1] if asked and asked[-1].status == Status.RUN_WAITING and not self.outcome else None

    @property
    def attempts(self) -> int:
        """The number of the latest attempt that is mentioned; 0 if the agent was never called."""
        return max((event.attempt or 0 for event in self), default=0)

    def seconds(self, event: Event) -> float:
        """Return how long after the run's first event this one happened."""
        return (event.created_at - (self._began_at or event.created_at)).total_seconds()

    def folded(self) -> list[Event | str]:
        """Return the events with each series of routine ones as one line, such as `23 heartbeats, last 3 s ago`.

        Routine are mere heartbeats, turns of steps, their messages, and the claims of calls that were then made; the
        line has the latest of them.
        """
        rows: list[Event | str] = []
        for series in _series(self):
            rows += [self._in_a_line(series)] if len(series) > 1 else series
        return rows

    def _in_a_line(self, series: list[Event]) -> str:
        last = series[-1]
        is_latest = last is self[-1]
        when = (utc_now() - last.created_at).total_seconds() if is_latest else self.seconds(last)
        line = f"{counted(series)}, {f'last {duration(when)} ago' if is_latest else f'the last after {duration(when)}'}"
        latest = next((event for event in reversed(series) if is_within(event)), None)
        return f"{line}: {latest.step}{item_label(latest.item)} {said(latest)}" if latest else line

    def _readable(self) -> list[Event | str]:
        return self.folded()


def _series(events: Iterable[Event]) -> Iterator[list[Event]]:
    """Routine events that follow one another in one attempt, and each other event alone."""
    series: list[Event] = []
    for event in events:
        if series and not (_is_mere(event) and _is_mere(series[-1]) and event.attempt == series[-1].attempt):
            yield series
            series = []
        series.append(event)
    if series:
        yield series


def _is_mere(event: Event) -> bool:
    is_more = event.status == Status.AGENT_BACKGROUND_TASK_HEARTBEAT and event.detail
    return is_routine(event) and not is_more and not event.error_type


def watch(
    reader: JournalReader,
    session_id: str,
    *,
    timeout_seconds: float,
    poll_seconds: float = 0.5,
    appear_seconds: float = APPEAR_SECONDS,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[Event]:
    """Yield the events of a run as they arrive, and end after its terminal one.

    :param appear_seconds: how long to wait for the first event, where `timeout_seconds` is longer
    :param timeout_seconds: 0 looks once
    :raises ValueError: if the timeout is negative or too long
    :raises RunNotFound: if no event at all appears in time
    :raises WatchTimeout: if the run has no outcome in time
    :raises WatchInterrupted: on a KeyboardInterrupt
    """
    if not 0 <= timeout_seconds <= MAX_WATCH_SECONDS:
        raise ValueError(f"timeout_seconds is {timeout_seconds:g}: it must be 0 to {MAX_WATCH_SECONDS}")
    began = clock()
    seen: dict[str, Event] = {}
    try:
        while True:
            outcome = yield from _read_new(reader, session_id, seen)
            if outcome:
                yield outcome
                return
            limit = timeout_seconds if seen else min(timeout_seconds, appear_seconds)
            remaining = began + limit - clock()
            if remaining <= 0:
                break
            sleep(min(poll_seconds, remaining))
    except KeyboardInterrupt:
        raise WatchInterrupted(session_id) from None
    if not seen:
        raise RunNotFound(session_id, limit)
    latest = max(seen.values(), key=lambda event: event.created_at)
    raise WatchTimeout(session_id, latest.status, timeout_seconds)


def _read_new(reader: JournalReader, session_id: str, seen: dict[str, Event]) -> Iterator[Event]:
    """Yield what is new and not terminal; return the outcome if there is one.

    A poll reads the newest minute only, so that its cost doesn't grow with the run. At the end everything is read
    once more: nothing that was written before the outcome is left out, however wrong its writer's clock is.
    """
    outcome = reader.outcome(session_id)
    after = "" if outcome or not seen else _overlap_start(seen.values())
    for event in reader.events(session_id, after=after):
        if event.event_id not in seen:
            seen[event.event_id] = event
            if event.status not in TERMINAL:
                yield event
    return outcome


def _overlap_start(seen: Iterable[Event]) -> str:
    latest = max(event.created_at for event in seen)
    return f"{EVENT_PREFIX}{to_timestamp(latest - OVERLAP)}"
