"""Pictures of runs for notebooks, legible without colour: place, hatching and words carry the meaning.

Nothing here asks AWS anything; it is given records and returns matplotlib figures.
"""

import re
from collections.abc import Iterable, Sequence
from html import escape
from io import BytesIO, StringIO
from itertools import accumulate, pairwise
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backend_bases import RendererBase
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.text import Text
from matplotlib.ticker import MaxNLocator

from runbook.labels import duration, outcome
from runbook.lanes import Lane, Span, lanes
from runbook.log_lines import LogLines
from runbook.logs import LogStreams
from runbook.runs import Runs
from runbook.steps import Kind
from runbook.summary import RunSummary
from runbook.time_axis import TimeAxis
from runtime.journal.vocabulary import Status

WIDTH_INCHES = 9.0
LANE_INCHES = 0.45
LABEL_SHARE = 0.18
"""What a label takes of the width, roughly."""
LEGEND_CHARACTERS = 115
"""What fits into a legend's line, with five for the sign of each."""
DOTS_PER_INCH = 220
INK = "#1a1a1a"
PAPER = "#ffffff"
_THEME = {
    INK: "content-font-color0",
    "#000000": "content-font-color0",
    PAPER: "layout-color0",
    "#f2f2f2": "layout-color2",
    "#dddddd": "layout-color3",
}
"""JupyterLab's names for the colours that a dark theme has others for."""
_THEMED = re.compile("|".join(_THEME))
_BARS: dict[Kind, dict[str, Any]] = {
    Kind.DONE: {"facecolor": "#bcd3ea"},
    Kind.FAILED: {"facecolor": "#f0b9a8", "hatch": "xxx"},
    Kind.CUT_OFF: {"facecolor": "#ffffff", "hatch": "///"},
    Kind.GOING_ON: {"facecolor": "#ffffff", "hatch": "..."},
    Kind.WAITING: {"facecolor": "#fff3c4", "hatch": "..."},
    Kind.ASKED: {"facecolor": "#bcd3ea", "hatch": "\\\\"},
    Kind.ANSWERED: {"facecolor": "#fff3c4"},
    Kind.EXPIRED: {"facecolor": "#fff3c4", "hatch": "xxx"},
    Kind.WATCHING: {"facecolor": "#f2f2f2"},
}
_MARKS: dict[Kind, dict[str, Any]] = {
    Kind.POLL: {"marker": "|", "s": 60, "color": INK, "linewidths": 0.8},
    Kind.HEARTBEAT: {"marker": "o", "s": 9, "color": INK},
    Kind.SKIPPED: {"marker": "D", "s": 40, "facecolor": "#ffffff", "edgecolor": INK},
    Kind.TURN: {"marker": "|", "s": 25, "color": INK, "linewidths": 0.6},
    Kind.RESUMED: {"marker": ">", "s": 40, "facecolor": "#ffffff", "edgecolor": INK},
    Kind.CALLED: {"marker": "^", "s": 30, "color": INK},
    Kind.NOT_CALLED: {"marker": "^", "s": 40, "facecolor": "#ffffff", "edgecolor": INK},
    Kind.LOST: {"marker": "X", "s": 70, "color": INK},
}


class Picture(Figure):
    """A figure that shows itself in a notebook without pyplot, which would keep every one of them open.

    :ivar name: what it is a picture of
    """

    name = ""

    @property
    def alt(self) -> str:
        """What is read to those who don't see it."""
        return ": ".join(filter(None, (self.name, self.axes[0].get_title(loc="left"))))

    def _repr_html_(self) -> str:
        """As SVG that takes on the colours of JupyterLab's theme, which an image could not."""
        file = StringIO()
        with rc_context({"svg.fonttype": "none"}):
            self.savefig(file, format="svg", transparent=True)
        svg = file.getvalue()
        svg = _THEMED.sub(lambda found: f"var(--jp-{_THEME[found[0]]}, {found[0]})", svg[svg.index("<svg ") :])
        # What has no colour of its own, as text, takes this one.
        style = f"max-width:100%;white-space:pre;fill:var(--jp-{_THEME[INK]}, {INK})"
        return svg.replace("<svg ", f'<svg role="img" aria-label="{escape(self.alt)}" style="{style}" ', 1)

    def draw(self, renderer: RendererBase) -> None:
        """Draw it; a `$` in a name is no formula."""
        for text in self.findobj(Text):
            text.set_parse_math(False)
        super().draw(renderer)

    def _repr_png_(self) -> bytes:
        file = BytesIO()
        self.savefig(file, format="png", dpi=DOTS_PER_INCH)
        return file.getvalue()


def timeline(run: RunSummary) -> Picture:
    """Draw a run: a lane for each actor, with polls, heartbeats, retries and what was cut off.

    Long waits for people are drawn short.
    """
    found = lanes(run)
    figure, axes = _canvas(len(found), "Timeline of a run")
    end = max(span.end for span in found[0].spans)
    time = TimeAxis(end, run.waited)
    for row, lane in enumerate(found):
        _draw_lane(axes, row, lane, time)
    _label_rows(axes, [lane.name for lane in found])
    axes.set_xlim(-0.01 * time.length, 1.1 * time.length)
    _label_time(axes, time)
    ended = outcome(run.outcome.status) if run.outcome else "waiting" if run.waiting else "open"
    axes.set_title(f"{run.session_id}: {ended} after {duration(end)}", loc="left", fontsize=10)
    _legend(
        axes, [*(span.kind for lane in found for span in lane.spans), *(m.kind for lane in found for m in lane.marks)]
    )
    return figure


def held_and_worked(run: RunSummary) -> Picture:
    """Draw how long Lambda waited, and was billed, next to how long the agent worked."""
    held, worked = run.invoker_seconds or 0.0, run.worked_seconds or 0.0
    figure, axes = _canvas(2, "Lambda and agent")
    axes.barh([0, 1], [held, worked], color=["#f0b9a8", "#bcd3ea"], edgecolor=INK, hatch=["xxx", ""], height=0.6)
    for row, seconds in enumerate((held, worked)):
        axes.text(seconds, row, f"  {duration(seconds)}", va="center")
    _label_rows(axes, ["Lambda waited", "agent worked"])
    axes.set_xlim(0, 1.2 * max(held, worked, 0.001))
    axes.set_xlabel("seconds")
    so_far = "" if run.outcome else " so far"
    share = f"Lambda waited for {held / worked:.1%} of the agent's time{so_far}" if worked else "no agent has begun"
    axes.set_title(share, loc="left", fontsize=10)
    return figure


def environments(streams: LogStreams, lines: LogLines, run: RunSummary) -> Picture:
    """Draw the execution environments of a run: when each wrote its lines, and where one was lost."""
    figure, axes = _canvas(max(len(streams), 1), "Execution environments of a run")
    began, end = run.events[0].created_at, run.events.seconds(run.outcome or run.events[-1])
    time = TimeAxis(end, run.waited)
    for row, stream in enumerate(streams):
        own = [line for line in lines if line.environment_id == stream.environment_id]
        at = [time.at((line.at - began).total_seconds()) for line in own]
        if at:
            attempts = f"attempt {', '.join(map(str, stream.attempts))}: " if stream.attempts else ""
            axes.barh(row, at[-1] - at[0], left=at[0], height=0.5, facecolor="#f2f2f2", edgecolor=INK)
            axes.text(
                at[0], row - 0.3, f"{attempts}{stream.lines} lines, {stream.errors} errors", va="bottom", fontsize=9
            )
        for marker, size, levels in (("|", 60, (None, "DEBUG", "INFO")), ("^", 30, ("WARNING",)), ("X", 45, _ERRORS)):
            chosen = [moment for moment, line in zip(at, own, strict=True) if line.level in levels]
            axes.scatter(chosen, [row] * len(chosen), marker=marker, s=size, color=INK, linewidths=0.8)
    for event in run.events:
        if event.status == Status.AGENT_BACKGROUND_TASK_LOST:
            lost_at = time.at(run.events.seconds(event))
            axes.axvline(lost_at, color=INK, linestyle="--", linewidth=1)
            axes.text(lost_at, -0.62, " found lost", fontsize=9, va="center")
    _label_rows(axes, [f"{stream.environment_id[:8]}…" for stream in streams] or ["none yet"], top=-0.85)
    axes.set_xlim(left=0, right=1.02 * time.length)
    _label_time(axes, time, "   ( | line   ▲ warning   ✖ error )")
    return figure


_ERRORS = ("ERROR", "CRITICAL")


def durations(found: Runs) -> Picture:
    """Draw how long completed runs took, with median and 95th percentile."""
    completed = found.having(Status.AGENT_BACKGROUND_TASK_COMPLETED)
    seconds = [run.seconds for run in completed if run.seconds is not None]
    figure, axes = _canvas(6, "How long completed runs took")
    if not seconds:
        axes.text(0.5, 0.5, "no completed runs", ha="center", transform=axes.transAxes)
        return figure
    axes.hist(seconds, bins=min(30, max(5, len(seconds) // 4)), color="#bcd3ea", edgecolor=INK)
    median, p95 = (float(np.quantile(seconds, share)) for share in (0.5, 0.95))
    axes.axvline(median, color=INK, linestyle="--", linewidth=1.5)
    axes.axvline(p95, color=INK, linestyle=":", linewidth=1.5)
    axes.set_title(f"median {duration(median)} (dashed), p95 {duration(p95)} (dotted)", loc="left", fontsize=10)
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("seconds from beginning to end")
    axes.set_ylabel("completed runs")
    return figure


_HATCHES = {"completed": "", "open": "...", "cancelled": "///"}


def outcomes(found: Runs) -> Picture:
    """Draw how many runs ended in which way, failures by their cause."""
    counts: dict[str, int] = {}
    for run in found:
        has_cause = run.error_type and run.status != Status.SESSION_CANCELLED
        name = f"{outcome(run.status)}: {run.error_type}" if has_cause else outcome(run.status)
        counts[name] = counts.get(name, 0) + 1
    names = sorted(counts, key=lambda name: -counts[name])
    figure, axes = _canvas(max(len(names), 1), "How runs ended")
    numbers = [counts[name] for name in names]
    hatches = [_HATCHES.get(name, "xxx") for name in names]
    colours = [PAPER if name in ("open", "cancelled") else "#dddddd" for name in names]
    axes.barh(range(len(names)), numbers, color=colours, edgecolor=INK, hatch=hatches, height=0.6)
    for row, number in enumerate(numbers):
        axes.text(number, row, f"  {number}", va="center")
    _label_rows(axes, names or ["no runs"])
    axes.set_xlim(0, 1.15 * max(numbers, default=1))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("runs")
    return figure


def _canvas(rows: int, name: str) -> tuple[Picture, Axes]:
    figure = Picture(figsize=(WIDTH_INCHES, LANE_INCHES * rows + 1.1), layout="constrained")
    figure.name = name
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    return figure, axes


def _label_rows(axes: Axes, names: Sequence[str], top: float = -0.6) -> None:
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.4, top)
    axes.tick_params(axis="y", length=0)


def _label_time(axes: Axes, time: TimeAxis, marks: str = "") -> None:
    axes.set_xlabel(f"seconds since the run began{marks}")
    if time.is_shortened:
        axes.set_xticks(*zip(*time.ticks(), strict=True))
        axes.set_xlabel(f"since the run began; waits for people are drawn short{marks}")


def _draw_lane(axes: Axes, row: int, lane: Lane, time: TimeAxis) -> None:
    end = time.length
    for number, span in enumerate(lane.spans):
        left, right = time.at(span.begin), time.at(span.end)
        axes.barh(row, right - left, left=left, height=0.6, edgecolor=INK, linewidth=0.8, **_BARS[span.kind])
        if span.kind is not Kind.WATCHING:
            room = time.at(lane.spans[number + 1].begin) - right if number + 1 < len(lane.spans) else end
            _label_span(axes, row, span, (left, right), room, end)
    for kind in dict.fromkeys(mark.kind for mark in lane.marks):
        at = [time.at(mark.at) for mark in lane.marks if mark.kind is kind]
        # Below the labels, which stand in the middle of the lane.
        height = row + 0.21 if kind in (Kind.HEARTBEAT, Kind.TURN) else row
        axes.scatter(at, [height] * len(at), zorder=3, **_MARKS[kind])


def _label_span(axes: Axes, row: int, span: Span, place: tuple[float, float], room: float, end: float) -> None:
    """Say how long it took: inside, or after it, or not at all where many short tries leave no place."""
    label = f"{span.label + ', ' if span.label else ''}{duration(span.seconds)}"
    left, right = place
    if right - left > LABEL_SHARE * end:
        middle = (left + right) / 2
        background = {"facecolor": "white", "edgecolor": "none", "pad": 1.5}
        axes.text(middle, row - 0.08, label, va="center", ha="center", fontsize=9, bbox=background, zorder=4)
    elif room > LABEL_SHARE * end:
        axes.text(right, row, f" {label}", va="center", fontsize=9)


def _legend(axes: Axes, kinds: Iterable[Kind]) -> None:
    used = dict.fromkeys(kind for kind in Kind if kind in set(kinds))
    handles = [
        Patch(edgecolor=INK, label=kind.value, **_BARS[kind])
        if kind in _BARS
        else axes.scatter([], [], label=kind.value, **_MARKS[kind])
        for kind in used
    ]
    axes.figure.legend(
        handles=handles,
        loc="outside lower center",
        ncols=_legend_columns([len(kind.value) for kind in used]),
        frameon=False,
        fontsize=9,
    )


def _legend_columns(lengths: Sequence[int]) -> int:
    """Return in how many columns labels of these lengths fit; they stand one below the other."""
    for columns in range(min(len(lengths), 5), 2, -1):
        rows, longer = divmod(len(lengths), columns)
        ends = accumulate([rows + 1] * longer + [rows] * (columns - longer))
        widest = [max(lengths[begin:end]) for begin, end in pairwise([0, *ends])]
        if sum(widest) + 5 * columns <= LEGEND_CHARACTERS:
            return columns
    return 2
