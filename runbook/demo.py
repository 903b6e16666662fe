"""Some runs to look at, on any stack: completed, failed, cancelled and resumed ones.

For whoever opens the notebooks for the first time. Everything here is what can happen to any run; nothing is faked.
On a real stack it costs what seven short runs cost.
"""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial

from runbook.runbook import Runbook
from runtime.journal.errors import RunClosed
from runtime.journal.records import Event
from runtime.journal.vocabulary import Status

PROMPTS = (
    "Our checkout latency doubled after Tuesday's release. What should we look at first?",
    "Which of our three largest tables would profit most from an index, and why?",
    "Summarise what went wrong in last week's incident for people who were not there.",
)
LIMIT_SECONDS = 900.0
AT_WORK = "TASK_ANALYST_STARTED"


def fill(runbook: Runbook) -> list[str]:
    """Start the runs, let happen to them what is to happen, and return their session ids once all have ended.

    :raises WatchTimeout: if a run takes longer than a quarter of an hour
    """
    ways = [*(partial(_completed, runbook, prompt) for prompt in PROMPTS)]
    ways += [partial(way, runbook) for way in (_refused, _cancelled, _resumed, _given_up)]
    with ThreadPoolExecutor(len(ways)) as threads:
        return [started.result() for started in [threads.submit(way) for way in ways]]


def _completed(runbook: Runbook, prompt: str) -> str:
    return _ended(runbook, runbook.trigger(prompt))


def _refused(runbook: Runbook) -> str:
    """What happens to an event without a prompt, which anybody may put on the bus."""
    outputs = runbook.outputs
    answer = runbook.clients.events.put_events(
        Entries=[
            {
                "Source": outputs.event_source,
                "DetailType": outputs.event_detail_type,
                "Detail": json.dumps({"prompt": ""}),
            }
        ]
    )
    return _ended(runbook, answer["Entries"][0].get("EventId", ""))


def _cancelled(runbook: Runbook) -> str:
    session_id = runbook.trigger("Count to a billion, please, one by one.")
    for event in _watched(runbook, session_id):
        if event.status == AT_WORK:
            # It may have been faster.
            with suppress(RunClosed):
                runbook.cancel(session_id, "nobody needs that")
    return session_id


def _resumed(runbook: Runbook) -> str:
    """Its first environment goes down while it works, as environments do."""
    session_id = runbook.trigger("Compare our error budgets of the last two quarters.")
    for event in _watched(runbook, session_id):
        if event.status == AT_WORK and event.attempt == 1:
            runbook.stop_session(session_id)
    return session_id


def _given_up(runbook: Runbook) -> str:
    """All of its environments go down."""
    session_id = runbook.trigger("Find out which of our hosts keeps restarting.")
    for event in _watched(runbook, session_id):
        if event.status == Status.AGENT_BACKGROUND_TASK_STARTED:
            runbook.stop_session(session_id)
    return session_id


def _ended(runbook: Runbook, session_id: str) -> str:
    for _ in _watched(runbook, session_id):
        pass
    return session_id


def _watched(runbook: Runbook, session_id: str) -> Iterator[Event]:
    return runbook.watch(session_id, timeout_seconds=LIMIT_SECONDS, poll_seconds=0.1)
