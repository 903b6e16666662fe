"""What all commands share: the app, how one is declared, its options, its errors and exit codes."""

import functools
import json
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, ParamSpec, TypeVar

import typer
from botocore.exceptions import BotoCoreError, ClientError
from rich.console import RenderableType
from rich.text import Text

from runbook import render
from runbook.cli import process
from runbook.cli.process import INTERRUPTED, PIPE_CLOSED, REFUSED
from runbook.connection import EMBEDDED, connect
from runbook.errors import RunbookError, WatchTimeout
from runbook.events import MAX_WATCH_SECONDS
from runbook.runbook import LATEST, LOOK_BACK
from runtime.journal.errors import JournalError
from runtime.journal.timestamps import utc_now

P = ParamSpec("P")
R = TypeVar("R")

DONE = 0
NOT_COMPLETED = 1
USAGE = 2
TIMED_OUT = 4
DEFAULT_TIMEOUT_SECONDS = 3600.0

EXIT_CODES = {
    DONE: "done; for a watched run: it completed",
    NOT_COMPLETED: "the watched run ended otherwise (failed, timed out, cancelled); verify: something doesn't hold",
    USAGE: "wrong arguments",
    REFUSED: "it can't be done: no such stack or run, nothing to do, AWS refuses",
    TIMED_OUT: "the watched run had no outcome in time; it goes on",
    INTERRUPTED: "stopped with Ctrl-C; a watched run goes on",
    PIPE_CLOSED: "the reader of its output has gone, such as head",
}
EXPECTED = (RunbookError, JournalError, ClientError, BotoCoreError, OSError, ValueError)
_HELP = "Trigger, follow, explain and steer agent runs.\n\n" + "\n".join(
    ["Exit codes:\n", *(f"- {code}: {meaning}" for code, meaning in EXIT_CODES.items())]
)

app = typer.Typer(
    name="runbook",
    help=_HELP,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
)


def command(name: str, example: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Declare a function as a command; its expected errors become one sentence and an exit code.

    :param example: what `--help` shows after `runbook`
    """

    def declare(function: Callable[P, R]) -> Callable[P, R]:
        @functools.wraps(function)
        def run(*args: P.args, **kwargs: P.kwargs) -> R:
            process.begin()
            try:
                return function(*args, **kwargs)
            except KeyboardInterrupt:
                raise typer.Exit(INTERRUPTED) from None
            except EXPECTED as error:
                raise ending(error) from error

        app.command(name, epilog=f"Example: `runbook {example}`")(run)
        return function

    return declare


def ending(error: Exception) -> typer.Exit:
    """Return the exit that an expected error means, once it is said what it was."""
    match error:
        case BrokenPipeError():
            return typer.Exit(PIPE_CLOSED)
        case WatchTimeout():
            return fail(str(error), TIMED_OUT)
        case ClientError():
            return fail(f"AWS refuses: {error}")
        case OSError():
            return fail(process.described(error))
        case _:
            return fail(str(error))


def fail(message: str, code: int = REFUSED) -> typer.Exit:
    """Say on standard error what is wrong, and return the exit to raise."""
    render.console(sys.stderr).print(Text.assemble(("error: ", "red"), message), soft_wrap=True)
    return typer.Exit(code)


def confirm(question: str, *, yes: bool) -> None:
    """Ask before something is done that can't be undone.

    :param yes: don't ask
    :raises typer.Exit: if the answer is no, or nobody is there to answer
    """
    if yes:
        return
    answer = asked(lambda: typer.confirm(question, err=True), "nothing was done: without an answer, say --yes")
    if not is_terminal():
        # Nobody typed the end of the question's line.
        typer.echo(err=True)
    if not answer:
        raise fail("nothing was done")


def asked(ask: Callable[[], R], unanswered: str) -> R:
    """Return what somebody types.

    :raises typer.Exit: if it is Ctrl-C, or nobody is there to type
    """
    try:
        return ask()
    except typer.Abort as aborted:
        typer.echo(err=True)
        if isinstance(aborted.__context__, KeyboardInterrupt):
            raise typer.Exit(INTERRUPTED) from None
        raise fail(unanswered) from None


def is_terminal() -> bool:
    """Return whether somebody could type an answer."""
    return sys.stdin.isatty()


def recent_sessions(incomplete: str) -> list[str]:
    """Return the session ids of recent runs that begin like this: for the shell, which must not see errors."""
    try:
        runs = connect(EMBEDDED).runs(utc_now() - LOOK_BACK)
    except (RunbookError, ClientError, BotoCoreError):
        return []
    return [run.session_id for run in reversed(runs) if run.session_id.startswith(incomplete)]


def workflow_names(ctx: typer.Context, incomplete: str) -> list[str]:
    """Return the names of the stack's workflows that begin like this: for the shell, which must not see errors."""
    try:
        names = connect(ctx.params.get("stack") or EMBEDDED).outputs.workflows
    except (RunbookError, ClientError, BotoCoreError):
        return []
    return [name for name in names if name.startswith(incomplete)]


def waiting_time(seconds: float) -> float:
    """Return a time to wait.

    :raises typer.BadParameter: if it is negative or too long
    """
    if not 0 <= seconds <= MAX_WATCH_SECONDS:
        raise typer.BadParameter(f"{seconds:g} s is not a time to wait: give 0 to {MAX_WATCH_SECONDS} seconds")
    return seconds


Stack = Annotated[
    str,
    typer.Option(
        "--stack",
        "-s",
        envvar="RUNBOOK_STACK",
        help=f"`{EMBEDDED}` for the embedded cloud, otherwise the name of a Pulumi stack.",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")]
Session = Annotated[
    str,
    typer.Argument(
        metavar="SESSION",
        help=f"The run's session id, or `{LATEST}`.",
        autocompletion=recent_sessions,
        show_default=False,
    ),
]
Watch = Annotated[bool, typer.Option("--watch", "-w", help="Follow the run until it ends.")]
Timeout = Annotated[
    float, typer.Option("--timeout", callback=waiting_time, help="Seconds to wait for the end of the run.")
]
Again = Annotated[
    bool, typer.Option("--again", help="Even if that run has begun calls of tools that must not happen twice.")
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Don't ask.")]


def moment(text: str) -> datetime:
    """Return the moment that `24h`, `90m`, `7d` ago or an ISO 8601 time means.

    :raises typer.BadParameter: if it is neither
    """
    units = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
    try:
        if text[-1:] in units and text[:-1].isdigit():
            return utc_now() - timedelta(**{units[text[-1]]: int(text[:-1])})
        found = datetime.fromisoformat(text)
        # Everything that the runbook prints is UTC, so is everything that it is told.
        return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise typer.BadParameter(
            f"{text!r} is not a time: give 90m, 24h, 7d, 2w, or an ISO 8601 time such as 2026-11-22T20:21Z"
        ) from None


def print_json(value: Any) -> None:
    """Print a value as one line of JSON, in ASCII: no reader takes a character of it for the end of the line."""
    typer.echo(json.dumps(value))


def print_session(session_id: str, *, as_json: bool) -> None:
    """Print the id of a run that was started."""
    if as_json:
        print_json({"sessionId": session_id})
    else:
        typer.echo(session_id)


def show(renderable: RenderableType) -> None:
    """Print what rich can render, 80 columns wide where it is not a terminal."""
    render.console().print(renderable)
