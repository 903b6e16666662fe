"""Following a run until it ends, as several commands do."""

from collections.abc import Iterable

import typer
from rich.text import Text

from runbook import render
from runbook.cli.commands import NOT_COMPLETED, print_json, show
from runbook.errors import RunNotFound, WatchTimeout
from runbook.events import APPEAR_SECONDS
from runbook.runbook import Runbook
from runtime.journal.records import Event
from runtime.journal.vocabulary import Status


def follow(runbook: Runbook, session_id: str, *, timeout_seconds: float, as_json: bool) -> None:
    """Print a run's events as they come, until it ends.

    :raises typer.Exit: with :data:`~runbook.cli.commands.NOT_COMPLETED` if it ended otherwise than completed
    :raises RunNotFound: if no event at all appears in time
    :raises WatchTimeout: if the run has no outcome in time
    """
    events = runbook.watch(session_id, timeout_seconds=timeout_seconds)
    last = _print_as_json(events) if as_json else render.live_timeline(events)
    if last is None or last.status == Status.AGENT_BACKGROUND_TASK_COMPLETED:
        return
    if not as_json:
        show(Text(f"Why? runbook logs {session_id} --level ERROR", "dim"))
    raise typer.Exit(NOT_COMPLETED)


def follow_new(runbook: Runbook, session_id: str, *, timeout_seconds: float, as_json: bool) -> None:
    """Follow a run that was just started: for a moment the journal doesn't know it."""
    try:
        follow(runbook, session_id, timeout_seconds=timeout_seconds, as_json=as_json)
    except RunNotFound as unknown:
        if timeout_seconds < APPEAR_SECONDS:
            raise WatchTimeout(session_id, "", timeout_seconds) from unknown
        raise


def _print_as_json(events: Iterable[Event]) -> Event | None:
    last = None
    for last in events:
        print_json(last.attributes())
    return last
