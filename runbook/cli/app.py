"""The command line's entry: its commands, and completion for the shell."""

import sys
from typing import Annotated

import typer
from typer.completion import completion_init  # pyright: ignore[reportPrivateImportUsage]

from runbook.cli import actions, one_run, proving, several_runs
from runbook.cli.commands import app, command
from runbook.cli.completion import COMPLETE_VARIABLE, Shell, script

# The modules are here because importing them declares their commands.
__all__ = ["actions", "app", "one_run", "proving", "run", "several_runs"]


@command("completion", "completion bash > ~/.runbook-completion && source ~/.runbook-completion")
def completion(shell: Annotated[Shell, typer.Argument(help="The shell to print it for.", show_default=False)]) -> None:
    """Print a function `runbook` for your shell that completes commands, options and session ids."""
    typer.echo(script(shell, sys.executable))


def run() -> None:
    """Run the command that the process was called with.

    :raises SystemExit: always
    """
    completion_init()
    app(prog_name="python -m runbook", complete_var=COMPLETE_VARIABLE)
