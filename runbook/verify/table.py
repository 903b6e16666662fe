"""How a report looks on a terminal: a line for each row, and below what failed and what was skipped, in full."""

from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from runbook.labels import duration
from runbook.verify.findings import Report, Row, Verdict

_STYLES = {Verdict.OK: "green", Verdict.FAILED: "red", Verdict.SKIPPED: "dim"}


def table(report: Report) -> RenderableType:
    """Return the table, the explanations and the result."""
    return Group(_lines(report), "", *_explanations(report), _result(report))


def _lines(report: Report) -> Table:
    lines = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False, header_style="dim")
    lines.add_column("", no_wrap=True)
    for name in ("what", "expected"):
        lines.add_column(name)
    lines.add_column("seen", overflow="fold")
    lines.add_column("took", justify="right", no_wrap=True)
    for row in report.rows:
        # What didn't go well is told at length below.
        seen = row.seen if row.verdict == Verdict.OK else "see below"
        took = "" if row.seconds is None else duration(row.seconds)
        lines.add_row(Text(row.verdict, _STYLES[row.verdict]), Text(row.what), Text(row.expected), Text(seen), took)
    return lines


def _explanations(report: Report) -> Iterator[RenderableType]:
    for verdict in (Verdict.SKIPPED, Verdict.FAILED):
        rows = [row for row in report.rows if row.verdict == verdict]
        for row in rows:
            yield from _explanation(row)
        if rows:
            yield ""


def _explanation(row: Row) -> Iterator[RenderableType]:
    yield Text.assemble((f"{row.verdict} ", _STYLES[row.verdict]), f"{row.what}: {row.seen}", overflow="fold")
    if row.do:
        yield Padding(Text(f"do: {row.do}"), (0, 0, 0, 7))


def _result(report: Report) -> Text:
    failed = len(report.failed)
    verdict = f"{failed} of {len(report.rows)} failed" if failed else "everything that could be tried holds"
    style = _STYLES[Verdict.FAILED if failed else Verdict.OK]
    return Text(f"{report.stack}: {verdict}, {duration(report.seconds)}", style)
