"""How rows are shown: one table in Markdown, and under it why a row misses its target."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

HEADINGS = ("what", "figure", "target", "verdict", "baseline", "median (min to max)")
UNEXPLAINED = "no reason is known yet"


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return rows, as :meth:`benchmarks.rows.Row.as_json` gives them, as a table with its remarks."""
    cells = [HEADINGS, *map(_cells, rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(HEADINGS))]
    lines = [_line(line, widths) for line in cells]
    lines.insert(1, _line(["-" * width for width in widths], widths))
    return "\n".join([*lines, "", *_remarks(rows)])


def _cells(row: Mapping[str, Any]) -> tuple[str, ...]:
    limit = "" if row["target"] is None else f"{'>=' if row.get('atLeast') else '<='} {_number(row['target'])}"
    return (
        row["what"],
        "" if row["figure"] is None else f"{_number(row['figure'])} {row['unit']}".strip(),
        limit,
        row["verdict"],
        row.get("baseline", ""),
        "; ".join(_measured(row.get("measured", {}))),
    )


def _measured(measured: Mapping[str, Any]) -> Iterable[str]:
    for name, value in measured.items():
        if isinstance(value, Mapping):
            numbers = [_number(value[key]) for key in ("median", "min", "max")]
            yield f"{name}: {numbers[0]} ({numbers[1]} to {numbers[2]}), n {value['n']}"
        else:
            yield f"{name}: {value if isinstance(value, str) else _number(value)}"


def _number(value: float) -> str:
    """Three significant digits, and no exponent where people would not write one."""
    if value == int(value):
        return f"{int(value):,}"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    return f"| {' | '.join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True))} |"


def _remarks(rows: Iterable[Mapping[str, Any]]) -> Iterable[str]:
    for row in rows:
        if row["verdict"] in ("MISSED", "FAILED"):
            yield f"{row['verdict']}: {row['what']}: {row.get('reason') or UNEXPLAINED}"
