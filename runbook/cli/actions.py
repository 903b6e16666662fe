"""Commands that retry and end runs."""

import sys
from typing import Annotated

import typer

from runbook import render
from runbook.cancelling import check_reason
from runbook.cli.commands import (
    DEFAULT_TIMEOUT_SECONDS,
    Again,
    AsJson,
    Session,
    Stack,
    Timeout,
    Watch,
    Yes,
    command,
    confirm,
    print_json,
    print_session,
    show,
)
from runbook.cli.following import follow_new
from runbook.connection import EMBEDDED, connect
from runbook.dead_letters import DeadLetters
from runbook.render_tables import Lines


@command("retry", "retry latest --watch")
def retry(
    session: Session,
    from_step: Annotated[
        str | None, typer.Option("--from", metavar="STEP", help="Do this step and what comes after it again.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Even if it was retried before.")] = False,
    again: Again = False,
    watch: Watch = False,
    timeout: Timeout = DEFAULT_TIMEOUT_SECONDS,
    as_json: AsJson = False,
    stack: Stack = EMBEDDED,
) -> None:
    """Start a new run with the request of one that failed, from the steps that it finished."""
    runbook = connect(stack)
    session_id = runbook.retry(
        session, from_step=from_step, force=force, again=again, say=lambda said: typer.echo(said, err=True)
    )
    print_session(session_id, as_json=as_json)
    if watch:
        follow_new(runbook, session_id, timeout_seconds=timeout, as_json=as_json)


@command("cancel", 'cancel latest --reason "wrong prompt"')
def cancel(
    session: Session,
    reason: Annotated[str, typer.Option("--reason", "-r", help="Why; it goes into the journal.")],
    yes: Yes = False,
    as_json: AsJson = False,
    stack: Stack = EMBEDDED,
) -> None:
    """Close a run as cancelled and stop its agent."""
    check_reason(reason)
    runbook = connect(stack)
    session_id = runbook.session_id(session)
    confirm(f"Cancel run {session_id} of stack {stack}?", yes=yes)
    cancelled = runbook.cancel(session_id, reason)
    if as_json:
        stop = {"sessionStopped": cancelled.session_stopped, "stopError": cancelled.stop_error}
        print_json({"sessionId": session_id, "event": cancelled.event.attributes(), **stop})
        return
    typer.echo(f"Cancelled run {session_id}.")
    if cancelled.stop_error:
        render.console(sys.stderr).print(
            f"Its agent could not be stopped; it stops by itself at its next write: {cancelled.stop_error}",
            markup=False,
        )


@command("dead-letters", "dead-letters --redrive")
def dead_letters(
    redrive: Annotated[bool, typer.Option("--redrive", help="Start their runs, and empty the queue.")] = False,
    yes: Yes = False,
    as_json: AsJson = False,
    stack: Stack = EMBEDDED,
) -> None:
    """List the events that never became a run, or send them on their way again."""
    runbook = connect(stack)
    letters = DeadLetters(letter for letter in runbook.dead_letters() if letter.session_id or not redrive)
    if redrive and letters:
        confirm(f"Start {len(letters)} runs in stack {stack}?", yes=yes)
    for letter in letters:
        if redrive:
            runbook.redrive(letter)
    if as_json:
        print_json(letters.to_json())
    elif letters:
        show(Lines(letters))
    else:
        typer.echo("The dead-letter queue is empty.")
