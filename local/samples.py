"""Sample runs for the notebooks: some that completed, one that failed, one that was killed and resumed.

Owns the choice of runs; the runbook starts and follows them.
"""

from __future__ import annotations

import json
import os
import signal

from local.cloud import EmbeddedCloud
from runbook import Runbook, connect_embedded
from runtime.journal.vocabulary import Status

PROMPTS = (
    "Our checkout latency doubled after Tuesday's release. What should we look at first?",
    "Which of last week's alarms could we delete without missing anything?",
    "Why does the nightly import take longer every week?",
)
FOLLOW_SECONDS = 120.0


def make_samples(cloud: EmbeddedCloud) -> None:
    """Run the samples in a cloud, and return when all have ended.

    :raises WatchTimeout: if one of them has no outcome after two minutes
    """
    runbook = connect_embedded(cloud.stack)
    sessions = [_trigger_and_kill(cloud, runbook), _send_without_a_prompt(cloud), *map(runbook.trigger, PROMPTS)]
    for session_id in sessions:
        for _ in runbook.watch(session_id, timeout_seconds=FOLLOW_SECONDS):
            pass


def _trigger_and_kill(cloud: EmbeddedCloud, runbook: Runbook) -> str:
    session_id = runbook.trigger("Which dashboards does nobody open any more?")
    events = runbook.watch(session_id, timeout_seconds=FOLLOW_SECONDS, poll_seconds=0.02)
    next(event for event in events if event.status == Status.AGENT_BACKGROUND_TASK_STARTED)
    for environment in cloud.data_plane.environments():
        if environment.session_id == session_id and environment.pid:
            os.kill(environment.pid, signal.SIGKILL)
    return session_id


def _send_without_a_prompt(cloud: EmbeddedCloud) -> str:
    outputs = cloud.stack.outputs
    entry = {
        "Source": outputs["eventSource"],
        "DetailType": outputs["eventDetailType"],
        "Detail": json.dumps({"question": "a request needs a prompt"}),
    }
    return str(cloud.emulator.client("events").put_events(Entries=[entry])["Entries"][0]["EventId"])
