"""How lists look on a terminal: tables, log lines, costs. The same rules as in `runbook.render`.

Tables have no frames; what is too long for a column has a line of its own below.
"""

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
_LEVEL_STYLES = {"WARNING": "yellow", "ERROR": "red", "CRITICAL": "red"}


class Lines:
    """A table as aligned lines; below each of them, what its record has to say at length."""

    def __init__(self, table: Table[Any]) -> None:
        self._table = table
        self._columns = [column for column in table.columns if column.terminal is Terminal.LINE]
        self._below = [column for column in table.columns if column.terminal is Terminal.BELOW]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield the lines; columns come closer together where they wouldn't fit otherwise."""
        head = [Text(column.heading, "dim") for column in self._columns]
        rows = [[_cell(column, record) for column in self._columns] for record in self._table]
        widths = [max(cell.cell_len for cell in cells) for cells in zip(head, *rows, strict=True)]
        gap = GAP if sum(widths) + GAP * (len(widths) - 1) <= options.max_width else 1
        yield self._line(head, widths, gap)
        for record, row in zip(self._table, rows, strict=True):
            yield self._line(row, widths, gap)
            for column in self._below:
                if text := column.shown(record):
                    yield Padding(Text(text, column.style(record), overflow="fold"), (0, 0, 0, 2))

    def _line(self, cells: list[Text], widths: list[int], gap: int) -> Text:
        for column, cell, width in zip(self._columns, cells, widths, strict=True):
            cell.align("right" if column.is_number else "left", width)
        line = Text(" " * gap, no_wrap=True, overflow="ellipsis").join(cells)
        line.rstrip()
        return line


def _cell(column: Column[Any], record: Any) -> Text:
    return Text(column.shown(record) or NOTHING, column.style(record))


def environments(found: LogStreams) -> RenderableType:
    """Return a table of the execution environments of a run."""
    if not found:
        return Text("No log stream yet: no environment has worked on this run, or its lines are on their way.", "dim")
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
    return Group(Lines(found), total, note, *([missing] if found.unpriced else []))
