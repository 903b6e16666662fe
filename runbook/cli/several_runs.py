"""Commands that start runs and list them.

What a request may say besides its prompt is an option of two of them: `trigger` says it, `list` filters by it.
"""

import sys
from enum import StrEnum
from typing import Annotated

import typer
from rich.text import Text

from runbook.cli.commands import (
    DEFAULT_TIMEOUT_SECONDS,
    Again,
    AsJson,
    Stack,
    Timeout,
    Watch,
    command,
    moment,
    print_json,
    print_session,
    show,
    workflow_names,
)
from runbook.cli.following import follow_new
from runbook.connection import EMBEDDED, connect
from runbook.labels import OPEN
from runbook.render_tables import Lines
from runbook.runs import WAITING
from runtime.journal.vocabulary import Status


class Outcome(StrEnum):
    """Outcomes as people say them."""

    COMPLETED = "completed"
    FAILED = "failed"
    TIMED_OUT = "timed-out"
    CANCELLED = "cancelled"
    OPEN = "open"
    WAITING = "waiting"


_STATUSES = {
    Outcome.COMPLETED: (Status.AGENT_BACKGROUND_TASK_COMPLETED,),
    Outcome.FAILED: (Status.AGENT_BACKGROUND_TASK_FAILED, Status.SESSION_FAILED),
    Outcome.TIMED_OUT: (Status.SESSION_TIMED_OUT,),
    Outcome.CANCELLED: (Status.SESSION_CANCELLED,),
    Outcome.OPEN: (OPEN,),
    Outcome.WAITING: (WAITING,),
}


@command("trigger", 'trigger "Why did costs rise in October?" --watch')
def trigger(
    prompt: Annotated[str, typer.Argument(help="What the agents are to work on; `-` reads it from standard input.")],
    retry_of: Annotated[str | None, typer.Option(help="A run whose finished steps this one starts from.")] = None,
    again: Again = False,
    workflow: Annotated[
        str | None, typer.Option(help="Another workflow than the stack's first.", autocompletion=workflow_names)
    ] = None,
    requested_by: Annotated[str | None, typer.Option(help="Who or what asks; `list` finds it.")] = None,
    max_tokens: Annotated[int | None, typer.Option(help="Tokens that the run may use; 2000000 for instance.")] = None,
    max_turns: Annotated[int | None, typer.Option(help="Turns that each step, or item of one, may take.")] = None,
    watch: Watch = False,
    timeout: Timeout = DEFAULT_TIMEOUT_SECONDS,
    as_json: AsJson = False,
    stack: Stack = EMBEDDED,
) -> None:
    """Start a run and print its session id."""
    runbook = connect(stack)
    prompt = sys.stdin.read() if prompt == "-" else prompt
    limits = {name: value for name, value in (("tokens", max_tokens), ("turns", max_turns)) if value is not None}
    session_id = runbook.trigger(
        prompt, retry_of=retry_of, again=again, workflow=workflow, requested_by=requested_by, limits=limits or None
    )
    print_session(session_id, as_json=as_json)
    if watch:
        follow_new(runbook, session_id, timeout_seconds=timeout, as_json=as_json)


@command("list", "list --since 7d --outcome failed")
def list_runs(
    since: Annotated[str, typer.Option(help="From then on: 90m, 24h, 7d, or an ISO 8601 time in UTC.")] = "24h",
    until: Annotated[str | None, typer.Option(help="Up to then, likewise; now if left out.")] = None,
    outcome: Annotated[Outcome | None, typer.Option(help="Only runs that ended like this.")] = None,
    workflow: Annotated[
        str | None, typer.Option(help="Only runs of this workflow.", autocompletion=workflow_names)
    ] = None,
    requested_by: Annotated[str | None, typer.Option(help="Only runs that this asked for.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="The newest so many.")] = 50,
    as_json: AsJson = False,
    stack: Stack = EMBEDDED,
) -> None:
    """List the runs that began or ended since yesterday, the newest last."""
    first, last = moment(since), moment(until) if until else None
    runs = connect(stack).runs(first, until=last).where(workflow=workflow, requested_by=requested_by)
    if outcome:
        runs = runs.having(*_STATUSES[outcome])
    shown = runs[-limit:]
    if as_json:
        for run in shown.to_json():
            print_json(run)
    elif shown:
        show(Lines(shown))
        if len(shown) < len(runs):
            show(Text(f"The newest {len(shown)} of {len(runs)}; see --limit.", "dim"))
    else:
        show(Text(f"No such runs since {first:%Y-%m-%d %H:%M} UTC.", "dim"))


@command("stuck", "stuck")
def stuck(
    since: Annotated[
        str,
        typer.Option(help="Runs that began since: 90m, 24h, 7d, an ISO 8601 time; or that waited."),
    ] = "2d",
    as_json: AsJson = False,
    stack: Stack = EMBEDDED,
) -> None:
    """List the open runs that something is wrong with, and what."""
    found = connect(stack).stuck(moment(since))
    if as_json:
        for run in found.to_json():
            print_json(run)
    elif found:
        show(Lines(found))
    else:
        show(Text("No run is stuck.", "dim"))
