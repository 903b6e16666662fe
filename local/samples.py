"""Sample runs for the notebooks, one for each story, from completed to one that asks a person, and a dead letter.

Owns the choice of runs; the runbook starts and follows them. Where replies are canned, their directions make steps take
their time and fail (`local/emulator/edge/directions.py`); a model server takes none, and what should fail completes.
"""

from __future__ import annotations

import json
import os
import signal
import threading
import time
import uuid
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from local.cloud import EmbeddedCloud
from runbook import Runbook, connect_embedded
from runtime.journal.errors import RunClosed
from runtime.journal.vocabulary import Status

PROMPTS = (
    "Our checkout latency doubled after Tuesday's release. What should we look at first? [analyst takes 0.6 s]",
    "Which of last week's alarms could we delete without missing anything? [reporter takes 0.4 s]",
)
FAILING = "Why does the nightly import take longer every week? [reporter fails]"
KILLED = "Which dashboards does nobody open any more? [analyst takes 0.2 s] [reporter takes 0.8 s]"
CANCELLED = "Compare every pair of our four thousand alarms. [analyst takes 60 s]"
ASKING = "The cache has to be emptied before each release: tell the others. [librarian calls post_notice]"
OPEN = "What has changed since the last audit? [analyst takes 900 s]"
WORKED_SECONDS = 0.6
FOLLOW_SECONDS = 120.0


def make_samples(cloud: EmbeddedCloud) -> None:
    """Run the samples in a cloud, and return when all have ended but the open one and the one that asks.

    :raises WatchTimeout: if one of them has no outcome after two minutes
    """
    samples = Samples(cloud, connect_embedded(cloud.stack))
    samples.send_without_a_prompt()
    samples.leave_a_dead_letter()
    # Alone, until it has its lease to wait for: each agent that starts takes a second of processor.
    killed = samples.kill()
    completed = (partial(samples.complete, prompt) for prompt in PROMPTS)
    _at_once(partial(samples.follow, killed), samples.fail, samples.cancel, samples.ask, samples.leave_open, *completed)


def _at_once(*stories: Callable[[], object]) -> None:
    """Do several things in threads that don't keep the process from ending, and raise the first error."""
    futures = [Future[None]() for _ in stories]

    def tell(story: Callable[[], object], future: Future[None]) -> None:
        try:
            story()
        except BaseException as error:
            future.set_exception(error)
        else:
            future.set_result(None)

    for story, future in zip(stories, futures, strict=True):
        threading.Thread(target=tell, args=(story, future), daemon=True).start()
    for future in futures:
        future.result()


@dataclass(frozen=True)
class Samples:
    """Makes the samples, one by one."""

    cloud: EmbeddedCloud
    runbook: Runbook

    def complete(self, prompt: str) -> None:
        """A run that does as it should."""
        self.follow(self.runbook.trigger(prompt))

    def fail(self) -> None:
        """A run that fails in its second step: a retry has the first one's result to start from."""
        self.follow(self.runbook.trigger(FAILING))

    def kill(self) -> str:
        """A run whose environment is killed in its second step, which another one then does again."""
        session_id = self.runbook.trigger(KILLED)
        self.follow(session_id, "TASK_REPORTER_STARTED")
        time.sleep(WORKED_SECONDS)
        for environment in self.cloud.data_plane.environments():
            if environment.session_id == session_id and environment.pid:
                os.kill(environment.pid, signal.SIGKILL)
        return session_id

    def cancel(self) -> None:
        """A run that somebody has had enough of."""
        session_id = self.runbook.trigger(CANCELLED)
        self.follow(session_id, "TASK_ANALYST_STARTED")
        # A model server that takes no directions may have been quicker.
        with suppress(RunClosed):
            self.runbook.cancel(session_id, "nobody needs eight million comparisons")

    def ask(self) -> None:
        """A run that waits for a person. A model server may have nothing to ask."""
        session_id = self.runbook.trigger(ASKING, workflow="follow_up")
        self.follow(session_id, Status.RUN_WAITING)

    def leave_open(self) -> None:
        """A run whose model says nothing for minutes."""
        self.follow(self.runbook.trigger(OPEN), "TASK_ANALYST_STARTED")

    def send_without_a_prompt(self) -> None:
        """A request that can't be run."""
        outputs = self.cloud.stack.outputs
        entry = {
            "Source": outputs["eventSource"],
            "DetailType": outputs["eventDetailType"],
            "Detail": json.dumps({"question": "a request needs a prompt"}),
        }
        self.cloud.emulator.client("events").put_events(Entries=[entry])

    def leave_a_dead_letter(self) -> None:
        """An event that was never delivered, as EventBridge leaves it. The emulator would lose it."""
        attributes = {
            "ERROR_CODE": "NO_PERMISSIONS",
            "ERROR_MESSAGE": "the rule's role was not allowed to start the state machine",
        }
        self.cloud.emulator.client("sqs").send_message(
            QueueUrl=self.cloud.stack.outputs["deadLetterQueueUrl"],
            MessageBody=json.dumps(
                {"id": str(uuid.uuid4()), "detail": {"prompt": "Is the backup of Sunday complete?"}}
            ),
            MessageAttributes={name: {"DataType": "String", "StringValue": text} for name, text in attributes.items()},
        )

    def follow(self, session_id: str, status: str = "") -> None:
        """Return once a run has an event of a status; without one, once it has ended."""
        events = self.runbook.watch(session_id, timeout_seconds=FOLLOW_SECONDS, poll_seconds=0.1)
        for event in events:
            if event.status == status:
                return
