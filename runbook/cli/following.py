"""Following a run until it ends, as several commands do."""

import sys

import typer
from rich.text import Text

from runbook import render
from runbook.cli.commands import NOT_COMPLETED, print_json
from runbook.runbook import Runbook
from runtime.journal.vocabulary import Status


def follow(runbook: Runbook, session_id: str, *, timeout_seconds: float, as_json: bool) -> None:
    """Print a run's events as they come, until it ends.

    :raises typer.Exit: with :data:`~runbook.cli.commands.NOT_COMPLETED` if it ended otherwise than completed
    :raises RunNotFound: if no event at all appears in time
    :raises WatchTimeout: if the run has no outcome in time
    """
    console, first, last = render.console(), None, None
    # Two consoles on one terminal would write into each other's lines.
    progress = console if console.is_terminal and not as_json else render.console(sys.stderr)
    progress.quiet = as_json
    with progress.status("Waiting for the first event …") as waiting:
        for event in runbook.watch(session_id, timeout_seconds=timeout_seconds):
            first = first or event
            last = event
            if as_json:
                print_json(event.attributes())
            else:
                console.print(render.event_line(event, first.created_at))
            waiting.update(f"After {event.status}: waiting for the next event …")
    if last is None or last.status == Status.AGENT_BACKGROUND_TASK_COMPLETED:
        return
    if not as_json:
        console.print(Text(f"Why? runbook logs {session_id} --level ERROR", "dim"))
    raise typer.Exit(NOT_COMPLETED)
