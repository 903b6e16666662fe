"""One row of the table: a figure, what it must not exceed, and what it was made of.

Owns the verdict. How rows are printed and kept is `report.py`'s.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from benchmarks.samples import Samples


class Verdict(StrEnum):
    """What came of a row."""

    MET = "met"
    MISSED = "MISSED"
    FAILED = "FAILED"
    PRINTED = "-"


@dataclass(frozen=True, slots=True)
class Row:
    """One measured figure.

    :ivar what: what was measured
    :ivar figure: None if it could not be measured; `reason` says why
    :ivar unit: `x` for a ratio to the baseline
    :ivar target: the most that the figure may be; None for one that is printed only
    :ivar baseline: what it is compared with, in words
    :ivar at_least: the target is a lower limit
    :ivar measured: what the figure was made of
    :ivar reason: why it misses, or what one has to know to read it
    """

    what: str
    figure: float | None
    unit: str = "x"
    target: float | None = None
    baseline: str = ""
    at_least: bool = False
    measured: Mapping[str, Samples | float | str] = field(default_factory=dict[str, "Samples | float | str"])
    reason: str = ""

    @property
    def verdict(self) -> Verdict:
        """Whether the target was met."""
        if self.figure is None:
            return Verdict.FAILED
        if self.target is None:
            return Verdict.PRINTED
        met = self.figure >= self.target if self.at_least else self.figure <= self.target
        return Verdict.MET if met else Verdict.MISSED

    def as_json(self) -> dict[str, Any]:
        """Return the row as plain values, the verdict included."""
        return {
            "what": self.what,
            "figure": self.figure,
            "unit": self.unit,
            "target": self.target,
            "atLeast": self.at_least,
            "baseline": self.baseline,
            "verdict": str(self.verdict),
            "measured": {
                name: value.as_json() if isinstance(value, Samples) else value for name, value in self.measured.items()
            },
            "reason": self.reason,
        }


def ratio_row(
    what: str,
    ours: Samples,
    baseline: Samples,
    *,
    target: float,
    baseline_is: str,
    percent: float = 50,
    reason: str = "",
) -> Row:
    """Return the row of a ratio: median to median, or percentile to the same percentile.

    :param percent: 50 is the median, 100 the worst
    """
    return Row(
        what=what,
        figure=ours.percentile(percent) / baseline.percentile(percent),
        target=target,
        baseline=baseline_is,
        measured={"ours, s": ours, "baseline, s": baseline},
        reason=reason,
    )
