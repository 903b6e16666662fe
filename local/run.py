"""`make run`: one run through the whole embedded cloud, shown live, then explained.

Owns what is shown when; `runbook.render` formats events and summaries. With `as_json`, standard output gets one JSON
object and nothing else.
"""

from __future__ import annotations

import json
import time
from collections import deque
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import TypeVar

from rich.console import Console

from local.cloud import EmbeddedCloud
from runbook import Runbook, connect_embedded, render
from runbook.summary import RunSummary
from runtime.journal.vocabulary import Status

DEFAULT_PROMPT = "Our checkout latency doubled after Tuesday's release. What should we look at first?"
EXECUTION_END_SECONDS = 60.0
T = TypeVar("T")


def run(
    prompt: str, *, as_json: bool, model_url: str | None, timeout_seconds: float, workflow: str | None = None
) -> bool:
    """Start the cloud, run `prompt` through it, show the run, stop the cloud.

    :param timeout_seconds: how long the run may take from its event to its outcome
    :param workflow: the agent's default if None
    :return: whether the run completed
    :raises WatchTimeout: if it has no outcome by then
    """
    progress = Console(stderr=True, quiet=as_json, highlight=False)
    began = time.monotonic()
    with progress.status("Starting the embedded cloud …"), EmbeddedCloud(model_url=model_url) as cloud, _alive(cloud):
        progress.print(f"Embedded cloud up and deployed in {time.monotonic() - began:.1f} s.")
        cloud.check_model()
        runbook = connect_embedded(cloud.stack)
        session_id = runbook.trigger(prompt, workflow=workflow)
        progress.print(f"Run {session_id} triggered by an event on EventBridge.\n")
        _follow(runbook, session_id, progress, as_json=as_json, timeout_seconds=timeout_seconds)
        return show(runbook, session_id, as_json=as_json, canned=model_url is None)


@contextmanager
def _alive(cloud: EmbeddedCloud) -> Generator[None]:
    """If a part of the cloud has died, raise that instead of the error of the call that noticed it."""
    try:
        yield
    except Exception:
        cloud.check()
        raise


def _follow(runbook: Runbook, session_id: str, progress: Console, *, as_json: bool, timeout_seconds: float) -> None:
    """Show a run's timeline live until the run and its execution have ended."""
    events = runbook.watch(session_id, timeout_seconds=timeout_seconds, poll_seconds=0.1)
    deque(events, maxlen=0) if as_json else render.live_timeline(events)
    with progress.status("The run has its outcome. Waiting for the state machine to release the session …"):
        _until(lambda: runbook.execution(session_id).status != "RUNNING", EXECUTION_END_SECONDS)


def show(runbook: Runbook, session_id: str, *, as_json: bool, canned: bool) -> bool:
    """Print what became of a run, and return whether it completed.

    :param canned: whether the replies were canned, which the summary then says
    """
    summary = runbook.summary(session_id)
    if as_json:
        print(json.dumps(summary.as_json() | {"cannedReplies": canned}))
    else:
        console = render.console()
        console.print(render.summary(summary))
        if canned:
            console.print("replies        canned, no model was asked; name a model server with --model-url")
        _explain(runbook, summary, console)
    return summary.outcome is not None and summary.outcome.status == Status.AGENT_BACKGROUND_TASK_COMPLETED


def _explain(runbook: Runbook, summary: RunSummary, console: Console) -> None:
    """Print the report, or the errors in the agent's log if there is none."""
    if summary.report is not None:
        console.print(render.artifact(summary.report))
        return
    for line in runbook.log_events(summary.session_id, level="ERROR"):
        console.print(f"Agent's log, {line.level}: {line.message}", style="red", markup=False)
        console.print(line.stack_trace, markup=False)


def _until(condition: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"the state machine's execution did not end within {seconds:g} s of the run's outcome")
        time.sleep(0.1)
