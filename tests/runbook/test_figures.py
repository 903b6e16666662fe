"""Pictures of runs: that they are there, and that they say what the records say."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta

import pytest

from runbook import figures
from runbook.events import Events
from runbook.executions import Execution
from runbook.log_lines import LogLines, parse_line
from runbook.logs import LogStream, LogStreams
from runbook.runs import Run, Runs
from runbook.summary import RunSummary
from runtime.journal.records import RunMetadata
from runtime.journal.vocabulary import Status
from tests.runbook.history import NOON, YES, event, metadata_item, new_session_id
from tests.runbook.test_lanes import ID, RESUMED, answers, asks, at

EXECUTION = Execution("arn", "SUCCEEDED", NOON, NOON, (NOON + timedelta(seconds=10),), 40, 0.5)
RUN = RunSummary(Events(ID, RESUMED), None, EXECUTION, [], [], None)
PNG = b"\x89PNG"


def said(picture: figures.Picture) -> str:
    """All text in a picture."""
    axes = picture.axes[0]
    labels = [label.get_text() for label in (*axes.get_yticklabels(), *axes.texts, axes.title, axes.xaxis.label)]
    legends = [text.get_text() for legend in picture.legends for text in legend.get_texts()]
    # Titles may stand on the left.
    return " | ".join([*labels, *legends, axes.get_title("left")])


def runs(*statuses: str, seconds: float = 100) -> Runs:
    """Runs that ended like that, each a second longer than the one before."""
    found: list[Run] = []
    for number, status in enumerate(statuses):
        session_id = new_session_id()
        metadata = RunMetadata.from_item(metadata_item(session_id, NOON, {"prompt": "Count"}))
        error = None if status == Status.AGENT_BACKGROUND_TASK_COMPLETED else "AgentLost"
        ended = event(session_id, status, NOON + timedelta(seconds=seconds + number), error_type=error)
        found.append(Run(session_id, metadata, ended))
    return Runs(found)


def test_a_timeline_shows_who_was_waited_for_and_draws_long_waits_short() -> None:
    hour = 3600
    events = [*RESUMED[:8], asks(18, 1, 1), answers(20 * hour, 1, YES), at(20 * hour + 9, Status.SESSION_CANCELLED)]
    picture = figures.timeline(replace(RUN, events=Events(ID, events)))
    text = said(picture)
    for part in (
        "person",
        "ann, 19 h 59 min",
        "asked a person",
        "answered",
        "waits for people are drawn short",
    ):
        assert part in text
    assert "lost" not in text
    assert picture.axes[0].get_xlim()[1] < 60
    assert [label.get_text() for label in picture.axes[0].get_xticklabels()] == [
        "0",
        "18.0 s",
        "20 h 00 min",
        "20 h 00 min",
    ]
    waiting = figures.timeline(replace(RUN, events=Events(ID, events[:-2])))
    assert f"{ID}: waiting after" in said(waiting)


def test_a_legend_fits_into_its_picture_whatever_has_happened() -> None:
    claims = [at(9, "TASK_ANALYST_TOOL", 1, turn=1, detail={"claim": claim}) for claim in ("claimed", "unknown")]
    more = [at(9, "TASK_ANALYST_TURN", 1, turn=1), *claims, at(9, "TASK_ANALYST_RESUMED", 1, turn=1)]
    waited = [asks(50, 1, 1), answers(60, 1, YES), asks(70, 2, 2), answers(80, 2), asks(90, 3, 2)]
    picture = figures.timeline(replace(RUN, events=Events(ID, [*RESUMED[:7], *more, *RESUMED[7:-1], *waited])))
    picture._repr_png_()
    (legend,), frame = picture.legends, picture.bbox
    box = legend.get_window_extent()
    assert (box.x0 >= frame.x0, box.x1 <= frame.x1) == (True, True)


def test_a_timeline_names_actors_steps_and_what_happened() -> None:
    picture = figures.timeline(RUN)
    text = said(picture)
    for part in (
        "state machine",
        "invoker (Lambda)",
        "analyst",
        "completed after 41.0 s",
        "cut off",
        "skipped",
        "poll",
    ):
        assert part in text
    assert picture._repr_png_().startswith(PNG)


def test_a_picture_takes_on_the_theme_s_colours_and_says_what_it_is() -> None:
    html = figures.timeline(RUN)._repr_html_()
    assert html.startswith(f'<svg role="img" aria-label="Timeline of a run: {ID}: completed after 41.0 s"')
    assert 'width="648pt"' in html
    # Text, which matplotlib leaves black by saying nothing.
    assert re.match(r"<svg [^>]*;fill:var\(--jp-content-font-color0, ", html)
    for colour in ("#1a1a1a", "#ffffff", "#000000"):
        assert f", {colour})" in html
        assert not re.search(rf"(?<!, ){colour}", html)


def test_an_open_run_has_a_timeline() -> None:
    open_run = RunSummary(Events(ID, RESUMED[:7]), None, None, [], [], None)
    assert "open after" in said(figures.timeline(open_run))


@pytest.mark.parametrize(
    ("run", "text"),
    [
        (RUN, "Lambda waited for 1.4% of the agent's time"),
        (RunSummary(Events(ID, RESUMED[:2]), None, None, [], [], None), "no agent has begun"),
        (RunSummary(Events(ID, RESUMED[:7]), None, EXECUTION, [], [], None), "of the agent's time so far"),
    ],
)
def test_what_lambda_waited_for_is_next_to_what_the_agent_worked(run: RunSummary, text: str) -> None:
    assert text in said(figures.held_and_worked(run))


def test_environments_are_lanes_with_their_attempts_and_the_loss_between_them() -> None:
    streams = LogStreams(
        ID, [LogStream(f"s{number}", f"environment-{number}", NOON, NOON, (number,), 2, 1) for number in (1, 2)]
    )
    first = int(NOON.timestamp() * 1000)
    lines = LogLines(
        ID,
        [
            parse_line(first + 1000 * number, text, f"environment-{number % 2 + 1}")
            for number, text in enumerate(["hello", "WARNING: slow", "ERROR: broke", "bye"])
        ],
    )
    picture = figures.environments(streams, lines, RUN)
    assert said(picture).count("environm…") == 2
    assert "attempt 1: 2 lines, 1 errors" in said(picture)
    assert "found lost" in said(picture)
    assert picture._repr_png_().startswith(PNG)


def test_a_run_without_environments_has_a_picture_too() -> None:
    assert "none yet" in said(figures.environments(LogStreams(ID, []), LogLines(ID, []), RUN))


def test_durations_have_median_and_95th_percentile() -> None:
    picture = figures.durations(runs(*[Status.AGENT_BACKGROUND_TASK_COMPLETED] * 21, Status.SESSION_FAILED))
    assert "median 1 min 50 s (dashed), p95 1 min 59 s (dotted)" in said(picture)
    assert picture._repr_png_().startswith(PNG)


def test_outcomes_are_counted_by_cause() -> None:
    completed, failed = Status.AGENT_BACKGROUND_TASK_COMPLETED, Status.SESSION_FAILED
    text = said(figures.outcomes(runs(completed, completed, failed, Status.SESSION_CANCELLED)))
    for part in ("completed", "failed: AgentLost", "cancelled |", "  2"):
        assert part in text


def test_open_failed_and_cancelled_runs_have_bars_of_their_own() -> None:
    statuses = Status.AGENT_BACKGROUND_TASK_COMPLETED, Status.SESSION_FAILED, Status.SESSION_CANCELLED
    found = Runs([*runs(*statuses), Run(new_session_id(), None, None)])
    bars = figures.outcomes(found).axes[0].patches
    assert len({bar.get_hatch() for bar in bars}) == 4


def test_nothing_to_show_is_said() -> None:
    assert "no completed runs" in said(figures.durations(Runs([])))
    assert "no runs" in said(figures.outcomes(Runs([])))


def test_a_dollar_in_a_name_is_no_formula() -> None:
    (run,) = runs(Status.SESSION_FAILED)
    assert run.outcome
    # As a formula it is none that could be drawn.
    named = Run(run.session_id, run.metadata, replace(run.outcome, error_type="Cost$^$Error"))
    assert figures.outcomes(Runs([named]))._repr_png_().startswith(PNG)
