"""Samples of one quantity, and two quantities measured alternately.

Owns the arithmetic: each benchmark says what a sample is made of.
"""

from __future__ import annotations

import gc
import math
import statistics
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Samples:
    """Measured values of one quantity.

    :raises ValueError: if there are none
    """

    values: tuple[float, ...]

    def __post_init__(self) -> None:
        if not self.values:
            raise ValueError("there are no samples: at least one is needed")

    @classmethod
    def of(cls, values: Iterable[float]) -> Samples:
        """Return samples of any iterable."""
        return cls(tuple(values))

    @property
    def median(self) -> float:
        """The middle value."""
        return statistics.median(self.values)

    @property
    def smallest(self) -> float:
        """The least value."""
        return min(self.values)

    @property
    def largest(self) -> float:
        """The greatest value."""
        return max(self.values)

    def percentile(self, percent: float) -> float:
        """Return the least value that so many percent of the values don't exceed (nearest rank)."""
        rank = math.ceil(percent / 100 * len(self.values))
        return sorted(self.values)[max(rank, 1) - 1]

    def as_json(self) -> dict[str, Any]:
        """Return what is kept of the samples in `results.json`."""
        return {
            "n": len(self.values),
            "median": self.median,
            "min": self.smallest,
            "max": self.largest,
            "p95": self.percentile(95),
        }


Action = Callable[[], object]


def interleaved(first: Action, second: Action, count: int, *, warmup: int = 20) -> tuple[Samples, Samples]:
    """Time two actions in turns, so that whatever slows the machine down slows both, and return seconds.

    Which of the two goes first changes from round to round. Python's garbage collector runs between the rounds only.

    :param count: samples of each
    :param warmup: rounds before the first one that counts
    """
    for _ in range(warmup):
        first()
        second()
    times: tuple[list[float], list[float]] = ([], [])
    for number in range(count):
        gc.collect(0)
        order = (0, 1) if number % 2 == 0 else (1, 0)
        for index in order:
            times[index].append(seconds_of((first, second)[index]))
    return Samples.of(times[0]), Samples.of(times[1])


def seconds_of(action: Action) -> float:
    """Do something and return how long it took, in seconds."""
    gc_was_on = gc.isenabled()
    gc.disable()
    try:
        began = time.perf_counter()
        action()
        return time.perf_counter() - began
    finally:
        if gc_was_on:
            gc.enable()
