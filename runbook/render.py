"""How events, summaries and reports look on a terminal: 80 columns, and colour only where there is one.

Nothing here decides what is true of a run; it is given records and returns what rich can print.
"""

import sys
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from itertools import groupby
from typing import Any, TextIO, cast

from rich.console import Console, ConsoleOptions, Group, RenderableType
from rich.markdown import Markdown
from rich.padding import Padding
from rich.panel import Panel
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from runbook.artifacts import Artifact
from runbook.events import Events
from runbook.labels import NOTHING, duration, error, item_label, style, tokens
from runbook.logs import parse_stream_name
from runbook.plain_text import visible
from runbook.runs import waits_for
from runbook.steps import MANY_ITEMS, step_tokens, summed
from runbook.summary import RunSummary
from runbook.tables import shortened
from runbook.waits import WaitStory
from runbook.within import is_routine, is_within, said
from runtime.journal.keys import artifact_prefix
from runtime.journal.records import Event
from runtime.journal.vocabulary import Status

WIDTH = 80
SHOWN_FIELDS = 10


class PlainConsole(Console):
    """A console to which text is nothing but text: what would act on a terminal is shown, wherever it comes from."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterator[Segment]:
        """Return what rich prints; its own controls are segments of their own kind."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(visible(segment.text), segment.style)

    def on_broken_pipe(self) -> None:
        """Leave it to the caller, who knows the exit code."""
        raise  # noqa: PLE0704 - rich calls this from its `except BrokenPipeError`


def console(file: TextIO | None = None) -> Console:
    """Return a console: 80 columns where nobody says otherwise, no colour unless it is a terminal."""
    stream = file or sys.stdout
    return PlainConsole(file=stream, width=None if stream.isatty() else WIDTH, highlight=False, soft_wrap=False)


def event_line(event: Event, start: datetime) -> RenderableType:
    """Return an event as one line of a timeline, with its error, if it has one, below.

    :param start: the moment that the seconds count from, mostly the run's first event
    """
    seconds = (event.created_at - start).total_seconds()
    attempt = f"attempt {event.attempt}" if event.attempt else ""
    turn = f" turn {event.turn}" if event.turn else ""
    what = f"{event.status}{item_label(event.item)}{turn}"
    line = Text.assemble((f"{seconds:9.3f} s  ", "dim"), (f"{what:<34}", style(event.status)), (attempt, "dim"))
    line.rstrip()
    note = _error(event) if event.error_type else _note(event)
    return Group(line, Padding(note, (0, 0, 0, 13))) if note else line


def timeline(events: Events, *, everything: bool = False) -> RenderableType:
    """Return events as a timeline that counts from the first of them.

    :param everything: otherwise heartbeats and turns in a row are one line, and items that went well are left to the
        tree
    """
    rows = events if everything else (row for row in events.folded() if isinstance(row, str) or _is_shown(row))
    return Group(*(_timeline_row(row, events) for row in rows))


def _is_shown(event: Event) -> bool:
    return event.item is None or bool(event.error_type) or (is_within(event) and not is_routine(event))


def _timeline_row(row: Event | str, events: Events) -> RenderableType:
    if isinstance(row, str):
        return Padding(Text(row, "dim"), (0, 0, 0, 13))
    return event_line(row, events[0].created_at)


def live_timeline(events: Iterable[Event]) -> Event | None:
    """Print events as a timeline while they come, and return the last of them."""
    lines, first, last = console(), None, None
    # Two consoles on one terminal would write into each other's lines.
    progress = lines if lines.is_terminal else console(sys.stderr)
    with progress.status("Waiting for the first event …") as waiting:
        for last in events:
            first = first or last
            lines.print(event_line(last, first.created_at))
            waiting.update(f"{_awaited(last)} …")
    return last


def _awaited(last: Event) -> str:
    if last.status == Status.RUN_WAITING:
        return "Waiting for a person; `runbook waiting` says what it asks"
    return f"After {last.status}: waiting for the next event"


def _note(event: Event) -> Text | None:
    """What an event that went well has to say all the same."""
    if words := said(event):
        return Text(words, "dim", overflow="fold")
    detail = event.detail or {}
    if "released" in detail:
        return Text(f"lease given back: {detail['released']}", "dim")
    return Text(f"taken from run {detail['takenFrom']}", "dim") if "takenFrom" in detail else None


def _error(event: Event) -> Text:
    return Text(error(event), "red", overflow="fold")


def summary(found: RunSummary) -> RenderableType:
    """Return the summary of a run as a block of names and values."""
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in _rows(found):
        table.add_row(name, value)
    return table


def artifact(found: Artifact, title: str = "report") -> RenderableType:
    """Return an artifact in a frame, rendered for people."""
    return Panel(Markdown(found.markdown), title=Text(title), title_align="left", border_style="dim")


def _rows(found: RunSummary) -> Iterator[tuple[str, Text]]:
    """Everything as `Text`: rich would take `[runtime-logs-…]` for a style of its own."""
    outcome, execution = found.outcome, found.execution
    yield "session", Text(found.session_id)
    yield "outcome", _outcome(found)
    if outcome and outcome.error_type:
        yield "error", _error(outcome)
    if outcome and (spent := _spent(outcome)):
        yield "spent on", Text(spent)
    yield "asked", Text(shortened(found.prompt, 150) or NOTHING)
    yield "workflow", Text(found.workflow or NOTHING)
    yield from _request_fields(found)
    yield "began", Text(f"{found.events[0].created_at:%Y-%m-%d %H:%M:%S} UTC")
    if outcome is None and found.lease_expires_at:
        yield "alive until", Text(f"{found.lease_expires_at:%Y-%m-%d %H:%M:%S} UTC, as far as its agent said")
    yield "attempts", Text(str(found.events.attempts))
    yield "total", Text(duration(found.total_seconds))
    yield "agent worked", Text(duration(found.task_seconds))
    yield from (
        ("person waited for", Text(_waited(wait, span))) for wait, span in zip(found.waits, found.waited, strict=True)
    )
    yield "Lambda waited", Text(duration(found.invoker_seconds))
    yield "acknowledged", Text(duration(found.acknowledge_seconds))
    if execution:
        yield "polls", Text(f"{execution.polls}, {execution.state_transitions} state transitions")
    if told := tokens(summed(each for items in step_tokens(found.events).values() for each in items.values())):
        yield "tokens", Text(told)
    environments = [parse_stream_name(name).environment_id or name for name in found.log_streams]
    yield "environments", Text("\n".join(environments) or NOTHING)
    yield "artifacts", _artifacts(found)


def _outcome(found: RunSummary) -> Text:
    if found.outcome:
        return Text(found.outcome.status, style(found.outcome.status))
    if waiting := found.waiting:
        return Text(f"OPEN: {waits_for(waiting.asked.created_at, waiting.until)}", "yellow")
    return Text("OPEN: no outcome yet")


def _waited(wait: WaitStory, span: tuple[float, float]) -> str:
    return f"{duration(span[1] - span[0])}, {wait.by or 'not answered'}"


def _spent(outcome: Event) -> str:
    """What a run that exceeded its budget has spent on what, the largest part first."""
    spent = cast("Mapping[str, Any]", (outcome.detail or {}).get("spent") or {})
    by_step = {step: sum(found.values()) if isinstance(found, Mapping) else found for step, found in spent.items()}
    return ", ".join(f"{step} {by_step[step]:,}" for step in sorted(by_step, key=lambda step: -by_step[step]))


def _artifacts(found: RunSummary) -> Text:
    if found.artifacts_error:
        return Text(f"missing: {found.artifacts_error}", "yellow", overflow="fold")
    prefix = artifact_prefix(found.session_id)
    names = [key.removeprefix(prefix) for key in found.artifacts]
    lines = [prefix] if names else []
    for folder, group in groupby(names, lambda name: name.rpartition("/")[0]):
        own = [*group]
        are_many = folder and len(own) > MANY_ITEMS
        lines += [f"  {own[0]} and {len(own) - 1} more"] if are_many else [f"  {name}" for name in own]
    return Text("\n".join(lines) or NOTHING)


def _request_fields(found: RunSummary) -> Iterator[tuple[str, Text]]:
    """What the request says besides what has a line of its own."""
    request: object = found.metadata.request if found.metadata else None
    fields = cast("Mapping[str, object]", request) if isinstance(request, Mapping) else {}
    others = [name for name in fields if name not in ("prompt", "workflow", "takeFrom")]
    for name in others[:SHOWN_FIELDS]:
        yield shortened(name, 20), Text(shortened(str(fields[name]), 150))
    if len(others) > SHOWN_FIELDS:
        yield "", Text(f"… and {len(others) - SHOWN_FIELDS} more fields of the request", "dim")
