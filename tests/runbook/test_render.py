"""How things look on a terminal."""

from __future__ import annotations

import io
from datetime import timedelta

import pytest
from rich.console import RenderableType

from runbook import render, render_tables
from runbook.artifacts import Artifact
from runbook.costs import estimate
from runbook.events import Events
from runbook.log_lines import parse_line
from runbook.logs import LogStream, LogStreams
from runbook.runs import Run, Runs
from runbook.stuck import StuckRun, StuckRuns, Trouble
from runbook.summary import RunSummary
from runtime.journal.records import RunMetadata
from runtime.journal.vocabulary import Status
from tests.runbook.history import NOON, event, metadata_item

ID = "0" * 36
LONG = "the model stopped at its limit [bold]and[/bold] said nothing more " * 20
ENDED = event(
    ID,
    Status.AGENT_BACKGROUND_TASK_FAILED,
    NOON + timedelta(seconds=167),
    attempt=2,
    error_type="StepStopped",
    error_message=LONG,
)
EVENTS = Events(ID, [event(ID, Status.SESSION_INITIATED, NOON), ENDED])
METADATA = RunMetadata.from_item(metadata_item(ID, NOON, {"prompt": "Count [red]clouds"}))
STREAM = f"2026/11/22/[runtime-logs-{ID}]f3a95c1e-0cb4-4a6f-8f9f-0d6f5a8f0001"
SUMMARY = RunSummary(EVENTS, METADATA, None, [STREAM], [f"sessions/{ID}/analyst.md"], None)


def shown(renderable: RenderableType) -> str:
    """What a file would get."""
    file = io.StringIO()
    render.console(file).print(renderable)
    return file.getvalue()


STUCK = StuckRun(ID, Trouble.SILENT, LONG, NOON, "TASK_ANALYST_STARTED", "Count")
THINGS: dict[str, RenderableType] = {
    "timeline": render.timeline(EVENTS),
    "summary": render.summary(SUMMARY),
    "report": render.artifact(Artifact("# Clouds\n\n" + "many " * 100)),
    "runs": render_tables.Lines(Runs([Run(ID, METADATA, ENDED), Run(ID, None, ENDED), Run(ID, METADATA, None)])),
    "stuck": render_tables.Lines(StuckRuns([STUCK])),
    "environments": render_tables.environments(
        LogStreams(ID, [LogStream(STREAM, STREAM[-36:], NOON, NOON, (1, 2), 12345, 12)])
    ),
    "no environments": render_tables.environments(LogStreams(ID, [])),
    "cost": render_tables.cost(estimate(SUMMARY, "unknown", 3, 167)),
}


@pytest.mark.parametrize("name", THINGS)
def test_everything_fits_into_80_columns_without_colour_codes(name: str) -> None:
    text = shown(THINGS[name])
    assert max(map(len, text.splitlines())) <= 80
    assert "\x1b" not in text
    assert text.strip()


@pytest.mark.parametrize("name", ["timeline", "summary", "stuck"])
def test_what_runs_say_is_not_taken_for_markup(name: str) -> None:
    assert "[bold]and[/bold]" in " ".join(shown(THINGS[name]).split())


def test_nothing_is_cut_off_in_the_table_of_environments() -> None:
    assert "…" not in shown(THINGS["environments"])


def test_a_log_line_is_one_line_with_its_environment_and_its_traceback_below() -> None:
    line = parse_line(
        0, '{"message": "broke [red]", "level": "ERROR", "stackTrace": ["a\\n", "b\\n"]}', "f3a95c1e-0cb4"
    )
    assert render_tables.log_line(line).plain == "00:00:00.000 f3a95c1e ERROR    broke [red]\na\nb"


def test_an_open_run_says_until_when_its_agent_counts_as_alive() -> None:
    beat = event(ID, Status.AGENT_BACKGROUND_TASK_HEARTBEAT, NOON, lease_expires_at=NOON + timedelta(seconds=20))
    found = RunSummary(Events(ID, [beat]), METADATA, None, [], [], None)
    assert f"{NOON + timedelta(seconds=20):%H:%M:%S} UTC, as far as" in shown(render.summary(found))
