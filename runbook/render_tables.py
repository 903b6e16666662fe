"""How lists look on a terminal: runs, environments, log lines, costs. The same rules as in `runbook.render`.

Tables have no frames and fit into 80 columns; what is too long for a column has a line of its own below.
"""

from collections.abc import Iterable

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from runbook.costs import Cost
from runbook.labels import NOTHING, amount, duration, error, outcome
from runbook.log_lines import LogLine
from runbook.logs import LogStreams
from runbook.render import style
from runbook.runs import Run
from runbook.stuck import StuckRun
from runbook.tables import shortened

_LEVEL_STYLES = {"WARNING": "yellow", "ERROR": "red", "CRITICAL": "red"}


def runs(found: Iterable[Run]) -> RenderableType:
    """Return a line for each run, and a second one with the error where there is one."""
    head = Text(f"{'session':36}  {'began (UTC)':16}  {'outcome':9}  {'took':>13}", "dim")
    return Group(head, *(line for run in found for line in _run_lines(run)))


def _run_lines(run: Run) -> Iterable[Text]:
    began = f"{run.began_at:%Y-%m-%d %H:%M}" if run.began_at else NOTHING
    word = outcome(run.status)
    yield Text.assemble(
        f"{run.session_id:36}  {began:16}  ", (f"{word:9}", style(run.status)), f"  {duration(run.seconds):>13}"
    )
    if run.error_type:
        yield Text(f"  {shortened(error(run.outcome), 150)}", "red", no_wrap=True, overflow="ellipsis")


def stuck(found: Iterable[StuckRun]) -> RenderableType:
    """Return two lines for each stuck run: which, and what is wrong with it."""
    lines: list[RenderableType] = []
    for run in found:
        lines.append(Text(f"{run.session_id:36}  {run.began_at:%Y-%m-%d %H:%M}  {run.last_status}", no_wrap=True))
        lines.append(Padding(Text(f"{run.trouble}: {run.explanation}", "red"), (0, 0, 0, 2)))
    return Group(*lines)


def environments(found: LogStreams) -> RenderableType:
    """Return a table of the execution environments of a run."""
    if not found:
        return Text("No log stream yet: no environment has worked on this run, or its lines are on their way.", "dim")
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False, header_style="dim")
    for name in ("environment", "attempts", "first", "last"):
        table.add_column(name, no_wrap=True)
    for name in ("lines", "errors"):
        table.add_column(name, justify="right")
    for stream in found:
        first, last = (f"{at:%H:%M:%S}" if at else NOTHING for at in (stream.first_at, stream.last_at))
        attempts = ", ".join(map(str, stream.attempts)) or NOTHING
        table.add_row(stream.environment_id, attempts, first, last, str(stream.lines), str(stream.errors))
    return table


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
    table = Table(box=None, padding=(0, 1), pad_edge=False, header_style="dim", show_footer=True)
    table.add_column("item", footer="about")
    table.add_column("quantity", justify="right")
    table.add_column("unit")
    table.add_column("USD", justify="right", footer=f"{found.usd:.6f}")
    for item in found:
        usd = NOTHING if item.usd is None else f"{item.usd:.6f}"
        table.add_row(item.item, amount(item.quantity), item.unit, usd)
    note = Text(f"List prices of {found.as_of}. Processor and memory are assumed: runbook/prices.json.", "dim")
    missing = Text(f"No price known for: {', '.join(found.unpriced)}.", "yellow")
    return Group(table, note, *([missing] if found.unpriced else []))
