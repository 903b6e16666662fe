"""How things look on a terminal."""

from __future__ import annotations

import io
from dataclasses import replace
from datetime import timedelta

import pytest
from rich.console import Console, RenderableType

from runbook import render, render_tables
from runbook.artifacts import Artifact
from runbook.costs import estimate
from runbook.events import Events
from runbook.log_lines import parse_line
from runbook.logs import LogStream, LogStreams
from runbook.render_steps import tree
from runbook.runs import Run, Runs
from runbook.stuck import StuckRun, StuckRuns, Trouble
from runbook.summary import RunSummary
from runtime.journal.records import RunMetadata
from runtime.journal.vocabulary import Status
from tests.runbook.history import ANN, NOON, YES, event, metadata_item
from tests.runbook.test_lanes import answers, asks, at
from tests.runbook.test_steps import RESUMED, asked_run, item

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


LONG_ONE = event(
    ID,
    f"TASK_{'X' * 40}_COMPLETED",
    NOON + timedelta(seconds=16),
    step="x" * 40,
    attempt=2,
    detail={"tokens": {"inputTokens": 10**9, "outputTokens": 10**9}},
)


def shown(renderable: RenderableType) -> str:
    """What a file would get."""
    file = io.StringIO()
    render.console(file).print(renderable)
    return file.getvalue()


BEATS = [event(ID, Status.AGENT_BACKGROUND_TASK_HEARTBEAT, NOON + timedelta(seconds=n)) for n in range(1, 100)]
STUCK = StuckRun(ID, Trouble.SILENT, LONG, NOON, "TASK_ANALYST_STARTED", "Count")
THINGS: dict[str, RenderableType] = {
    "timeline": render.timeline(EVENTS),
    "long timeline": render.timeline(Events(ID, [*EVENTS[:1], *BEATS, ENDED])),
    "summary": render.summary(SUMMARY),
    "report": render.artifact(Artifact("# Clouds\n\n" + "many " * 100)),
    "runs": render_tables.Lines(Runs([Run(ID, METADATA, ENDED), Run(ID, None, ENDED), Run(ID, METADATA, None)])),
    "stuck": render_tables.Lines(StuckRuns([STUCK])),
    "environments": render_tables.environments(
        LogStreams(ID, [LogStream(STREAM, STREAM[-36:], NOON, NOON, (1, 2), 12345, 12)])
    ),
    "no environments": render_tables.environments(LogStreams(ID, [])),
    "cost": render_tables.cost(estimate(SUMMARY, "unknown", 3, 167)),
    "tree": tree(RunSummary(Events(ID, [*RESUMED, LONG_ONE]), None, None, [], [], None)),
    "cost by step": render_tables.cost(estimate(RunSummary(Events(ID, RESUMED), None, None, [], [], None), "", 3, 1)),
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


def test_the_tree_says_what_went_wrong_what_it_took_and_that_the_code_is_another() -> None:
    assert shown(tree(RunSummary(Events(ID, RESUMED), None, None, [], [], None))).splitlines()[:6] == [
        "attempt 1: cut off after 6.0 s, workflow investigate",
        "├── planner                   done, 1.0 s, 10 in, 5 out",
        "└── investigator              1 done, 1 failed, 1 cut off, 3.0 s, 10 in, 5 out",
        "    ├── [0]                   cut off, 3.0 s",
        "    ├── [1]                   done, 2.0 s, 10 in, 5 out",
        "    └── [2]                   failed, 3.0 s",
    ]
    assert "\n    other code than attempt 1: workflow aaaa → bbbb\n" in shown(THINGS["tree"])


def test_of_many_items_those_that_went_well_are_only_counted() -> None:
    items = [item(12, "SKIPPED", number, 2) for number in range(5, 50)]
    text = shown(tree(RunSummary(Events(ID, [*RESUMED, *items, item(13, "STARTED", 99, 2)]), None, None, [], [], None)))
    attempt_2 = text.partition("attempt 2")[2]
    assert "1 done, 1 going on, 46 skipped" in " ".join(attempt_2.split())
    assert [line.split("[")[1][:3] for line in attempt_2.splitlines() if "[" in line] == ["99]"]


def test_what_was_asked_and_many_artifacts_are_said_briefly() -> None:
    metadata = RunMetadata.from_item(
        metadata_item(ID, NOON, {"prompt": "Count", "requestedBy": "billing", "takeFrom": []}, workflow="investigate")
    )
    keys = [f"sessions/{ID}/{name}" for name in ("a.md", *(f"look/{number:04}.md" for number in range(9)), "z.json")]
    lines = shown(render.summary(RunSummary(EVENTS, metadata, None, [], keys, None))).splitlines()
    said = [line.split() for line in lines]
    assert ["workflow", "investigate"] in said
    assert ["requestedBy", "billing"] in said
    assert "takeFrom" not in str(said)
    assert [line.strip() for line in lines[-3:]] == ["a.md", "look/0000.md and 8 more", "z.json"]


def test_columns_for_which_a_terminal_is_too_narrow_are_below_the_line() -> None:
    request = {"prompt": "Count", "requestedBy": "billing"}
    metadata = RunMetadata.from_item(metadata_item(ID, NOON, request, workflow="investigate"))
    lines = render_tables.Lines(Runs([Run(ID, metadata, None), Run("1" * 36, None, ENDED)]))
    narrow = shown(lines).splitlines()
    assert (
        narrow[narrow.index(next(line for line in narrow if ID in line)) + 1].strip()
        == "workflow investigate, requested by billing"
    )
    assert "workflow" not in narrow[0]
    file = io.StringIO()
    Console(file=file, width=120).print(lines)
    head, *rows = file.getvalue().splitlines()
    assert head.split()[-3:] == ["workflow", "requested", "by"]
    assert [row.split()[-2:] for row in rows if ID in row] == [["investigate", "billing"]]


def test_heartbeats_in_a_row_are_one_line_of_a_timeline() -> None:
    assert "99 heartbeats, the last after 1 min 39 s" in shown(THINGS["long timeline"])
    assert "HEARTBEAT" not in shown(THINGS["long timeline"])


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


def test_a_waiting_run_says_since_when_for_whom_and_what_it_asks() -> None:
    began = [event(ID, Status.SESSION_INITIATED, NOON), *asked_run()]
    first = [answers(3600, 1, YES), at(3601, Status.AGENT_BACKGROUND_TASK_STARTED, 2), asks(3700, 2, 2)]
    waiting, again = (replace(SUMMARY, events=Events(ID, [*began, *more])) for more in ([], first))
    since, until = (f"{NOON + timedelta(seconds=6, days=days):%Y-%m-%d %H:%M:%S}" for days in (0, 1))
    text = " ".join(shown(render.summary(waiting)).split())
    assert f"outcome OPEN: waits for a person since {since}, until {until}" in text
    assert "alive until" not in text
    lines = shown(tree(waiting))
    assert "clerk                     waiting for a person, 2.0 s" in lines
    assert 'send_mail({"to": "jo@example.com"})' in lines
    said = shown(render.summary(again))
    assert "person waited for  59 min 54 s, ann" in said
    assert "not answered" in said
    ended = at(3800, Status.AGENT_BACKGROUND_TASK_COMPLETED, 2)
    done = replace(SUMMARY, events=Events(ID, [*began, *first[:2], ended]))
    assert (done.total_seconds, done.waited_seconds, done.task_seconds) == (3800, 3594, 3799 - 3594)
    assert again.as_json()["waits"][0] | {"began": "", "until": "", "answered": ""} == {
        "wait": 1,
        "attempt": 1,
        "began": "",
        "until": "",
        "answered": "",
        "by": ANN,
        "expired": False,
    }
