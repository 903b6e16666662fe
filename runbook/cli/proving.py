"""The command that proves a stack."""

import sys
from typing import Annotated

import typer

from runbook import render
from runbook.cli.commands import NOT_COMPLETED, AsJson, Stack, command, fail, print_json, show
from runbook.cli.process import INTERRUPTED
from runbook.connection import EMBEDDED, connect
from runbook.verify import verify
from runbook.verify.table import table


@command("verify", "verify --stack dev")
def verify_stack(
    quick: Annotated[bool, typer.Option("--quick", help="A few looks and one run, for pipelines.")] = False,
    as_json: AsJson = False,
    stack: Stack = EMBEDDED,
) -> None:
    """Prove that a stack works: rights, runs of every kind, and what they leave; exit code 1 unless all holds.

    It takes up to five minutes and cents, calls the model once, and starts runs of the workflow `verify`, some of
    which fail as they should: the alarm on failed runs goes off.
    """
    runbook = connect(stack)
    progress = render.console(sys.stderr)
    progress.quiet = as_json or not progress.is_terminal
    with progress.status("Looking …") as status:
        try:
            report = verify(runbook, quick=quick, progress=status.update)
        except KeyboardInterrupt:
            left = "`runbook list --outcome open` shows whether one of its runs is left"
            raise fail(f"interrupted before everything was tried: {left}", INTERRUPTED) from None
    print_json(report.as_json()) if as_json else show(table(report))
    if not report.passed:
        raise typer.Exit(NOT_COMPLETED)
