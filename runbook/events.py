"""The events of one run as a sequence that shows itself, and following them as they arrive."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, overload

from runbook.errors import RunNotFound, WatchTimeout
from runtime.journal.keys import EVENT_PREFIX
from runtime.journal.reader import JournalReader
from runtime.journal.records import Event
from runtime.journal.timestamps import to_timestamp
from runtime.journal.vocabulary import TERMINAL

if TYPE_CHECKING:
    from pandas import DataFrame

OVERLAP = timedelta(seconds=60)
"""Events come from several clocks: one that arrives late may be stamped earlier than those already seen."""


class Events(Sequence[Event]):
    """The events of a run in the order of their times."""

    def __init__(self, session_id: str, events: Iterable[Event]) -> None:
        self.session_id = session_id
        self._events = tuple(events)

    @overload
    def __getitem__(self, index: int) -> Event: ...
    @overload
    def __getitem__(self, index: slice) -> "Events": ...
    def __getitem__(self, index: int | slice) -> "Event | Events":
        return Events(self.session_id, self._events[index]) if isinstance(index, slice) else self._events[index]

    def __len__(self) -> int:
        return len(self._events)

    def first(self, *statuses: str) -> Event | None:
        """Return the first event with one of these statuses."""
        return next((event for event in self._events if event.status in statuses), None)

    @property
    def outcome(self) -> Event | None:
        """The terminal event, None while the run is open."""
        return self.first(*TERMINAL)

    @property
    def attempts(self) -> int:
        """The number of the latest attempt that is mentioned; 0 if the agent was never called."""
        return max((event.attempt or 0 for event in self._events), default=0)

    def seconds(self, event: Event) -> float:
        """Return how long after the run's first event this one happened."""
        return (event.created_at - self._events[0].created_at).total_seconds() if self._events else 0.0

    def to_frame(self) -> "DataFrame":
        """Return a table with a row for each event; `seconds` counts from the run's first event."""
        import pandas as pd

        rows: list[dict[str, Any]] = [
            {
                "seconds": round(self.seconds(event), 3),
                "status": event.status,
                "step": event.step,
                "attempt": event.attempt,
                "error_type": event.error_type,
                "error_message": event.error_message,
                "created_at": event.created_at,
                "environment_id": event.environment_id,
                "lease_expires_at": event.lease_expires_at,
                "detail": dict(event.detail) if event.detail else None,
            }
            for event in self._events
        ]
        columns = ["seconds", "status", "step", "attempt", "error_type", "error_message", "created_at"]
        frame = pd.DataFrame(rows, columns=[*columns, "environment_id", "lease_expires_at", "detail"])
        return frame.astype({"attempt": "Int64"})

    def __repr__(self) -> str:
        lines = [f"{self.seconds(event):9.3f} s  {event.status}" for event in self._events]
        return "\n".join([f"<Events of {self.session_id}: {len(self)}>", *lines])

    def _repr_html_(self) -> str:
        columns = ["seconds", "status", "step", "attempt", "error_type", "error_message"]
        frame = self.to_frame()[columns].astype({"attempt": "object"})
        return str(frame.to_html(index=False, na_rep=""))  # pyright: ignore[reportAttributeAccessIssue, reportCallIssue]


def watch(
    reader: JournalReader,
    session_id: str,
    *,
    timeout_seconds: float,
    poll_seconds: float = 0.5,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[Event]:
    """Yield the events of a run as they arrive, and end after its terminal one.

    :raises RunNotFound: if no event at all appears in time
    :raises WatchTimeout: if the run has no outcome in time
    """
    give_up = clock() + timeout_seconds
    seen: dict[str, Event] = {}
    while True:
        outcome = yield from _arrived(reader, session_id, seen)
        if outcome:
            yield outcome
            return
        remaining = give_up - clock()
        if remaining <= 0:
            break
        sleep(min(poll_seconds, remaining))
    if not seen:
        raise RunNotFound(session_id, timeout_seconds)
    latest = max(seen.values(), key=lambda event: event.created_at)
    raise WatchTimeout(session_id, latest.status, timeout_seconds)


def _arrived(reader: JournalReader, session_id: str, seen: dict[str, Event]) -> Iterator[Event]:
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
