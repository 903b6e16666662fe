"""Where the moments of a run are drawn along a line: long waits for people are drawn short.

A run that works for a minute and waits for a day would be two hairlines otherwise.
"""

from collections.abc import Sequence

import numpy as np

from runbook.labels import duration

SHARE = 0.25
"""Of the time that the run works: the most that is drawn of a wait; where it waits often, of all waits together."""
LONG = 2.0
"""How many times the time that the run works it has to wait before waits are drawn short."""
APART = 0.1
"""What lies between two ticks at least, of the whole."""


class TimeAxis:
    """The places of a run's moments.

    :param end: of the run, or now, in seconds from its first event
    :param waits: from when to when it waited, in order
    :ivar is_shortened: whether waits are drawn shorter than they were
    """

    def __init__(self, end: float, waits: Sequence[tuple[float, float]] = ()) -> None:
        waited = sum(until - began for began, until in waits)
        works = max(end - waited, 1.0)
        self.is_shortened = waited > LONG * works
        longest = min(SHARE * works, works / len(waits)) if self.is_shortened else end
        edges, places = [0.0], [0.0]
        for moment, is_waited in [*((each, n == 1) for wait in waits for n, each in enumerate(wait)), (end, False)]:
            took = max(0.0, moment - edges[-1])
            edges.append(edges[-1] + took)
            places.append(places[-1] + (min(took, longest) if is_waited else took))
        self._edges, self._places = edges, places

    @property
    def length(self) -> float:
        """The place of the end."""
        return self._places[-1]

    def at(self, seconds: float) -> float:
        """Return the place of a moment."""
        return float(np.interp(seconds, self._edges, self._places))

    def ticks(self) -> list[tuple[float, str]]:
        """Return the places where waits begin and end, with their times, but for those too close to the one before."""
        found: list[tuple[float, str]] = []
        for moment, place in zip(self._edges, self._places, strict=True):
            if not found or place - found[-1][0] > APART * self.length:
                found.append((place, duration(moment) if moment else "0"))
        return found
