"""The command line's entry: all of its commands."""

from runbook.cli import actions, asking, one_run, proving, several_runs
from runbook.cli.commands import app

# The modules are here because importing them declares their commands.
__all__ = ["actions", "app", "asking", "one_run", "proving", "run", "several_runs"]


def run() -> None:
    """Run the command that the process was called with.

    :raises SystemExit: always
    """
    app(prog_name="runbook")
