"""Commands that show one run."""

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from runbook import render, render_tables
from runbook.cli.commands import (
    DEFAULT_TIMEOUT_SECONDS,
    AsJson,
    Session,
    Stack,
    Timeout,
    command,
    print_json,
    show,
)
from runbook.cli.following import follow
from runbook.connection import EMBEDDED, connect
from runbook.labels import item_label
from runbook.plain_text import visible
from runbook.redacting import load_hook
from runbook.render_steps import tree
from runbook.summary import RunSummary
from runtime.journal.vocabulary import Status


@command("show", "show latest")
def show_run(
    session: Session,
    everything: Annotated[bool, typer.Option("--all", help="Each turn and heartbeat on a line of its own.")] = False,
    as_json: AsJson = False,
    stack: Stack = EMBEDDED,
) -> None:
    """Show everything about a run: timeline, attempts with their steps and items, environments, artifacts."""
    runbook = connect(stack)
    summary = runbook.summary(runbook.session_id(session))
    if as_json:
        print_json(summary.as_json())
        return
    show(render.timeline(summary.events, everything=everything))
    show("")
    if summary.attempts:
        show(tree(summary))
        show("")
    show(render.summary(summary))
    for line in runbook.tracebacks(summary.session_id) if summary.step_failed else ():
        show(render_tables.log_line(line))
    for hint in _next_steps(summary):
        show(Text(hint, "dim"))


@command("watch", "watch latest --timeout 600")
def watch(
    session: Session, timeout: Timeout = DEFAULT_TIMEOUT_SECONDS, as_json: AsJson = False, stack: Stack = EMBEDDED
) -> None:
    """Follow a run until it ends; exit code 1 unless it completes."""
    runbook = connect(stack)
    follow(runbook, runbook.session_id(session), timeout_seconds=timeout, as_json=as_json)


@command("logs", "logs latest --level ERROR")
def logs(
    session: Session,
    level: Annotated[str | None, typer.Option("--level", "-l", help="That level and above, such as WARNING.")] = None,
    text: Annotated[str | None, typer.Option("--text", "-t", help="Only lines that contain this, in any case.")] = None,
    streams: Annotated[bool, typer.Option("--streams", help="The environments instead of their lines.")] = False,
    as_json: AsJson = False,
    stack: Stack = EMBEDDED,
) -> None:
    """Print the log lines of all execution environments of a run, merged by time."""
    runbook = connect(stack)
    session_id = runbook.session_id(session)
    if streams:
        found = runbook.log_streams(session_id)
        print_json(found.to_json()) if as_json else show(render_tables.environments(found))
        return
    lines = runbook.log_events(session_id, level, text)
    if as_json:
        for line in lines.to_json():
            print_json(line)
    elif lines:
        console = render.console()
        for line in lines:
            # Whole lines: the terminal wraps them itself, and grep finds what is in them.
            console.print(render_tables.log_line(line), soft_wrap=True)
    else:
        show(Text(lines.nothing, "dim"))


@command("report", "report latest > report.md")
def report(
    session: Session,
    step: Annotated[str | None, typer.Option("--step", help="What this step has produced instead.")] = None,
    item: Annotated[int | None, typer.Option("--item", min=0, help="Which of the step's items, from 0.")] = None,
    as_json: AsJson = False,
    stack: Stack = EMBEDDED,
) -> None:
    """Print the report of a completed run, or a step's artifact: rendered on a terminal, otherwise as it is stored."""
    if item is not None and step is None:
        raise typer.BadParameter("--item is an item of a step: name the step with --step")
    runbook = connect(stack)
    session_id = runbook.session_id(session)
    found = runbook.report(session_id) if step is None else runbook.artifact(session_id, step, item)
    if as_json:
        print_json({"sessionId": session_id, "report" if step is None else "artifact": found.data})
    elif render.console().is_terminal:
        show(render.artifact(found, "report" if step is None else step + item_label(item)))
    else:
        typer.echo(found)


@command("cost", "cost latest")
def cost(session: Session, as_json: AsJson = False, stack: Stack = EMBEDDED) -> None:
    """Estimate what a run has cost, at list prices."""
    runbook = connect(stack)
    estimate = runbook.cost(runbook.session_id(session))
    print_json(estimate.as_json()) if as_json else show(render_tables.cost(estimate))


@command("pull", "pull latest --to incident")
def pull(
    session: Session,
    to: Annotated[Path | None, typer.Option("--to", help="The folder; runs/<session id> if left out.")] = None,
    redact: Annotated[
        str | None, typer.Option(metavar="MODULE:FUNCTION", help="Changes each text before it is written.")
    ] = None,
    as_json: AsJson = False,
    stack: Stack = EMBEDDED,
) -> None:
    """Bring all that is known of a run into a folder, to be replayed without an account; again goes on with it."""
    hook = load_hook(redact) if redact else None
    with render.console(sys.stderr).status("Reading the journal …") as waiting:
        found = connect(stack).pull(
            session,
            to,
            redact=hook,
            progress=lambda done, objects: waiting.update(f"{done:,} of {objects:,} objects"),
        )
    if as_json:
        manifest = found.run.manifest
        said = {"sessionId": found.run.session_id, "directory": str(found.run.directory)}
        print_json(said | {"files": len(manifest.files), "missing": manifest.missing, "secrets": found.secrets})
        return
    for sentence in found.said:
        typer.echo(visible(sentence))
    show(Text(f"Next: python -m local replay {found.run.directory}", "dim"))


def _next_steps(summary: RunSummary) -> list[str]:
    session_id, outcome = summary.session_id, summary.outcome
    if outcome is None and (asked := summary.events.open_wait):
        wait = (asked.detail or {}).get("wait")
        return [f"Next: answer {session_id} --wait {wait} …, after `runbook waiting` has shown its questions"]
    if outcome is None:
        return [f"Next: watch {session_id}, or cancel {session_id} --reason …"]
    if outcome.status == Status.AGENT_BACKGROUND_TASK_COMPLETED:
        return [f"Next: report {session_id}"]
    if outcome.error_type == "BudgetExceeded":
        more = "with more: --max-tokens, or the stack's maxTokens"
        return [f"Next: trigger … --retry-of {session_id}, {more}"]
    following = f"retry {session_id}" if summary.can_be_retried else "trigger a new run, this one can't be retried"
    replay = f"Or:   pull {session_id}, then `python -m local replay runs/{session_id}`"
    return [f"Why:  logs {session_id} --level WARNING", f"Next: {following}", replay]
