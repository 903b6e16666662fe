"""Runs that are started to be looked at: starting them, waiting for what they do, and ending what is left of them.

All of them use the agent's workflow `verify`, plain code without a model. Every wait has a limit of its own, and all
together have one.
"""

import json
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, TypeVar

from botocore.exceptions import BotoCoreError, ClientError

from runbook.errors import RunbookError
from runbook.runbook import Runbook
from runbook.verify.findings import Refuted
from runtime.journal.errors import JournalError
from runtime.journal.records import Event

T = TypeVar("T")
WORKFLOW = "verify"
LOOK_SECONDS = 0.5
CLAIM_SECONDS = 60.0
CLEAN_UP_SECONDS = 30.0
END_SECONDS = 150.0
"""From the request to the run's outcome: a cold start and some polls."""
NO_EVENT = (
    "see whether the rule is there and enabled, and the dead-letter queue: `runbook dead-letters`; then `pulumi up`"
)


class Trials:
    """The runs of one verification.

    :param limit_seconds: how long all waits may take together
    :param look_seconds: time between two looks
    """

    def __init__(self, runbook: Runbook, limit_seconds: float, *, look_seconds: float = LOOK_SECONDS) -> None:
        self.runbook = runbook
        self.started: list[str] = []
        self.stopping = threading.Event()
        self._ends_at = time.monotonic() + limit_seconds
        self._look_seconds = look_seconds

    def start(self, prompt: str) -> str:
        """Start a run of the workflow `verify`, and return its session id."""
        return self.put({"prompt": prompt, "workflow": WORKFLOW})

    def put(self, detail: Mapping[str, Any]) -> str:
        """Put an event with any detail, whether it can be run or not, and return its id."""
        outputs = self.runbook.outputs
        entry = {
            "Source": outputs.event_source,
            "DetailType": outputs.event_detail_type,
            "Detail": json.dumps(detail, ensure_ascii=False),
        }
        result = self.runbook.clients.events.put_events(Entries=[entry])["Entries"][0]
        if "EventId" not in result:
            raise Refuted(
                f"EventBridge says {result.get('ErrorCode')}: {result.get('ErrorMessage')}",
                "allow these credentials events:PutEvents on the default bus",
            )
        session_id = result["EventId"]
        self.started.append(session_id)
        return session_id

    @property
    def over(self) -> bool:
        """Whether the time for all waits together has come to its end."""
        return self.stopping.is_set() or time.monotonic() >= self._ends_at

    def wait_until(self, look: Callable[[], T | None], seconds: float, missed: Callable[[], Refuted]) -> T:
        """Return what a look returns as soon as that is something.

        :param missed: makes what is raised if it doesn't come in time
        """
        ends_at = min(time.monotonic() + seconds, self._ends_at)
        while not (found := look()):
            remaining = ends_at - time.monotonic()
            if remaining <= 0 or self.stopping.wait(min(self._look_seconds, remaining)):
                raise missed()
        return found

    def wait_for(self, session_id: str, status: str) -> Event:
        """Return a run's event once it is there.

        :raises Refuted: if it doesn't come, or the run ends before
        """

        def look() -> Event | None:
            events = self.events(session_id)
            found = next((event for event in events if event.status == status), None)
            outcome = self.runbook.outcome(session_id)
            if found is None and outcome:
                raise self.explain(session_id, f"it ended before {status}")
            return found

        return self.wait_until(look, END_SECONDS, lambda: self.explain(session_id, f"no {status}"))

    def wait_for_end(self, session_id: str, *, seconds: float = END_SECONDS) -> Event:
        """Return a run's outcome once it has one.

        :raises Refuted: if it has none in time; its last event is in the message
        """
        self.wait_until(lambda: self.events(session_id), CLAIM_SECONDS, lambda: self.explain(session_id, "no event"))
        return self.wait_until(
            lambda: self.runbook.outcome(session_id), seconds, lambda: self.explain(session_id, "no outcome")
        )

    def wait_for_execution(self, session_id: str, *, seconds: float = END_SECONDS) -> str:
        """Return how a run's execution ended, once it has."""
        arn = self.runbook.metadata(session_id).execution_arn
        return self.wait_for_execution_arn(arn, seconds=seconds)

    def wait_for_execution_arn(self, arn: str, *, seconds: float = END_SECONDS) -> str:
        """Return how an execution ended, once it has."""
        describe = self.runbook.clients.stepfunctions.describe_execution

        def look() -> str | None:
            status = describe(executionArn=arn)["status"]
            return None if status == "RUNNING" else status

        do = "polls may be far apart (pollIntervalSeconds, callbackPollSeconds); else see its history in the console"
        return self.wait_until(look, seconds, lambda: Refuted(f"execution {arn} still runs", do))

    def events(self, session_id: str) -> list[Event]:
        """Return a run's events so far; none while it is not claimed."""
        try:
            return list(self.runbook.events(session_id))
        except RunbookError:
            return []

    def explain(self, session_id: str, what: str) -> Refuted:
        """Return a failure that names the run's last event and error, and where to look."""
        events = self.events(session_id)
        if not events:
            return Refuted(f"{what}: the event {session_id} started nothing", NO_EVENT)
        errors = [event for event in events if event.error_type]
        error = f"; {errors[-1].error_type}: {errors[-1].error_message}" if errors else ""
        return Refuted(
            f"{what}: run {session_id}, last {events[-1].status}{error}",
            f"`runbook show {session_id}`, `runbook logs {session_id}`",
        )

    def clean_up(self) -> None:
        """Cancel the runs that are still open. An error of one doesn't keep the others open."""
        # At the same time: stopping a session can take a while.
        with ThreadPoolExecutor(max_workers=8) as threads:
            list(threads.map(self._close, self.started))

    def _close(self, session_id: str) -> None:
        ends_at = time.monotonic() + CLEAN_UP_SECONDS
        # An event that was put a moment ago may have yet to become a run.
        while not self._try_to_close(session_id) and time.monotonic() < ends_at:
            time.sleep(self._look_seconds)

    def _try_to_close(self, session_id: str) -> bool:
        with suppress(RunbookError, JournalError, ClientError, BotoCoreError):
            if self.runbook.outcome(session_id) is None:
                self.runbook.cancel(session_id, "runbook verify has ended")
            return True
        return False
