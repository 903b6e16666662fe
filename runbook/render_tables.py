"""How lists look on a terminal: tables, log lines, costs. The same rules as in `runbook.render`.

Tables have no frames; what is too long for a column has a line of its own below.
"""

from collections.abc import Sequence
from typing import Any

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.padding import Padding
from rich.text import Text

from runbook.costs import Cost
from runbook.labels import NOTHING
from runbook.log_lines import LogLine
from runbook.logs import LogStreams
from runbook.tables import Column, Table, Terminal

GAP = 2
_IN_LINE = (Terminal.LINE, Terminal.WIDE)
_LEVEL_STYLES = {"WARNING": "yellow", "ERROR": "red", "CRITICAL": "red"}


class Lines:
    """A table as aligned lines; below each of them, what its record has to say at length."""

    def __init__(self, table: Table[Any]) -> None:
        self._table = table
        self._wide = [column for column in table.columns if column.terminal is Terminal.WIDE]
        self._below = [column for column in table.columns if column.terminal is Terminal.BELOW]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield the lines; columns come closer together where they wouldn't fit otherwise."""
        columns, wide = [column for column in self._table.columns if column.terminal in _IN_LINE], []
        if _width(self._cells(columns)) > options.max_width:
            columns, wide = [column for column in columns if column.terminal is Terminal.LINE], self._wide
        head, *rows = cells = self._cells(columns)
        gap, widths = (GAP if _width(cells) <= options.max_width else 1), _widths(cells)
        yield _line(columns, head, widths, gap)
        for record, row in zip(self._table, rows, strict=True):
            yield _line(columns, row, widths, gap)
            said = [f"{column.heading} {text}" for column in wide if (text := column.shown(record))]
            if said:
                yield _indented(Text(", ".join(said), "dim", overflow="fold"))
            for column in self._below:
                if text := column.shown(record):
                    yield _indented(Text(text, column.style(record), overflow="fold"))

    def _cells(self, columns: Sequence[Column[Any]]) -> list[list[Text]]:
        head = [Text(column.heading, "dim") for column in columns]
        return [head, *([_cell(column, record) for column in columns] for record in self._table)]


def _widths(cells: list[list[Text]]) -> list[int]:
    return [max(cell.cell_len for cell in column) for column in zip(*cells, strict=True)]


def _width(cells: list[list[Text]]) -> int:
    return sum(_widths(cells)) + GAP * (len(cells[0]) - 1)


def _line(columns: Sequence[Column[Any]], cells: list[Text], widths: list[int], gap: int) -> Text:
    for column, cell, width in zip(columns, cells, widths, strict=True):
        cell.align("right" if column.is_number else "left", width)
    line = Text(" " * gap, no_wrap=True, overflow="ellipsis").join(cells)
    line.rstrip()
    return line


def _indented(text: Text) -> Padding:
    return Padding(text, (0, 0, 0, 2))


def _cell(column: Column[Any], record: Any) -> Text:
    return Text(column.shown(record) or NOTHING, column.style(record))


def environments(found: LogStreams) -> RenderableType:
    """Return a table of the execution environments of a run."""
    if not found:
        return Text(found.nothing, "dim")
    return Lines(found)


def log_line(line: LogLine) -> Text:
    """Return a log line with its time, the start of its environment's id and its level; the traceback follows."""
    at = f"{line.at:%H:%M:%S}.{line.at.microsecond // 1000:03d}"
    level = line.level or ""
    text = Text.assemble(
        (f"{at} {line.environment_id[:8]} ", "dim"), (f"{level:8} ", _LEVEL_STYLES.get(level, "")), line.message
    )
    if line.stack_trace:
        text.append(f"\n{line.stack_trace.rstrip()}", "dim")
    return text


def cost(found: Cost) -> RenderableType:
    """Return what a run cost as a table with its sum."""
    total = Text(f"about {found.usd:.6f} USD in all")
    note = Text(f"List prices of {found.as_of}. Processor and memory are assumed: runbook/prices.json.", "dim")
    missing = Text(f"No price known for: {', '.join(found.unpriced)}.", "yellow")
    steps = ["", Lines(found.steps)] if found.steps else []
    return Group(Lines(found), total, note, *([missing] if found.unpriced else []), *steps)
