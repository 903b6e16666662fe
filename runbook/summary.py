"""One run on one page: everything that the journal, Step Functions, the logs and the bucket tell of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from runbook.artifacts import Artifact
from runbook.events import Events
from runbook.executions import Execution
from runbook.runs import can_be_retried, request_text, workflow_of
from runbook.steps import AttemptWork, attempts
from runbook.waits import WaitStory, waits
from runtime.journal.records import Event, RunMetadata
from runtime.journal.timestamps import utc_now
from runtime.journal.vocabulary import Status


@dataclass(frozen=True, slots=True)
class RunSummary:
    """What is known of one run.

    :ivar metadata: what it was asked; None if the run was never claimed
    :ivar execution: None if Step Functions has forgotten it
    :ivar log_streams: the names of its environments' log streams
    :ivar artifacts: keys in the artifact bucket
    :ivar report: None if there is none
    :ivar artifacts_error: why the bucket could not be read, None if it could
    """

    events: Events
    metadata: RunMetadata | None
    execution: Execution | None
    log_streams: Sequence[str]
    artifacts: Sequence[str]
    report: Artifact | None
    artifacts_error: str | None = None

    @property
    def session_id(self) -> str:
        """The run's id."""
        return self.events.session_id

    @property
    def outcome(self) -> Event | None:
        """The terminal event, None while the run is open."""
        return self.events.outcome

    @property
    def prompt(self) -> str:
        """What the agents were asked; an empty text if that is not known."""
        return request_text(self.metadata, "prompt")

    @property
    def workflow(self) -> str | None:
        """The name of its workflow."""
        return workflow_of(self.metadata) or next((each.labels.get("workflow") for each in self.attempts), None)

    @property
    def end(self) -> float:
        """Seconds from the run's first event to its outcome; while it is open, to now."""
        if self.outcome:
            return self.events.seconds(self.outcome)
        return max((utc_now() - self.events[0].created_at).total_seconds(), self.events.seconds(self.events[-1]))

    @property
    def attempts(self) -> list[AttemptWork]:
        """What each attempt that began has done."""
        return attempts(self.events, self.end)

    @property
    def waits(self) -> list[WaitStory]:
        """What it has waited for, in order."""
        return waits(self.events)

    @property
    def waiting(self) -> WaitStory | None:
        """What it waits for now, if it does."""
        return next((wait for wait in self.waits if wait.answered is None), None) if self.outcome is None else None

    @property
    def waited_seconds(self) -> float:
        """How long it has waited for people so far."""
        return sum((end - begin for begin, end in self.waited), 0.0)

    @property
    def waited(self) -> list[tuple[float, float]]:
        """From when to when it has waited, in seconds from the run's first event, one for each of its waits."""
        seconds = self.events.seconds
        spans = ((seconds(wait.asked), seconds(wait.answered) if wait.answered else self.end) for wait in self.waits)
        # The clock of whoever answers may be behind.
        return [(begin, max(begin, end)) for begin, end in spans]

    @property
    def can_be_retried(self) -> bool:
        """Whether it ended otherwise than completed, with a request that can be run."""
        return can_be_retried(self.metadata, self.outcome)

    @property
    def step_failed(self) -> bool:
        """Whether a step raised an error, whose traceback is then in the log."""
        return any(event.step and event.error_type for event in self.events)

    @property
    def lease_expires_at(self) -> datetime | None:
        """Until when the agent counts as alive, as far as it said; None while there is none, as the run waits."""
        if self.waiting:
            return None
        return max((event.lease_expires_at for event in self.events if event.lease_expires_at), default=None)

    @property
    def invoker_seconds(self) -> float | None:
        """How long the function held its call: the part of the run that Lambda bills."""
        return self.execution.invoker_seconds if self.execution else None

    @property
    def acknowledge_seconds(self) -> float | None:
        """How long the agent took to acknowledge its first job, as the function saw it."""
        acknowledged = self.events.first(Status.AGENT_INVOCATION_SUCCEEDED)
        return (acknowledged.detail or {}).get("acknowledgeSeconds") if acknowledged else None

    @property
    def task_seconds(self) -> float | None:
        """From the first start of the background task to the outcome, without the time that it waited for people."""
        seconds = self._until_outcome(Status.AGENT_BACKGROUND_TASK_STARTED)
        return None if seconds is None else max(0.0, seconds - self.waited_seconds)

    @property
    def worked_seconds(self) -> float | None:
        """The same; of an open run, until now."""
        began = self.events.first(Status.AGENT_BACKGROUND_TASK_STARTED)
        if self.outcome or began is None:
            return self.task_seconds
        return max(0.0, (utc_now() - began.created_at).total_seconds() - self.waited_seconds)

    @property
    def total_seconds(self) -> float | None:
        """From the claim of the run to its outcome."""
        return self._until_outcome(Status.SESSION_INITIATED)

    def as_json(self) -> dict[str, Any]:
        """Return the summary as plain values; events have the attributes that they have in the journal."""
        return {
            "sessionId": self.session_id,
            "workflow": self.workflow,
            "request": self.metadata.request if self.metadata else None,
            "outcome": self.outcome.status if self.outcome else None,
            "attempts": self.events.attempts,
            "steps": [work.as_json() for attempt in self.attempts for work in attempt.work],
            "events": [event.attributes() for event in self.events],
            "seconds": {
                "invoker": self.invoker_seconds,
                "acknowledge": self.acknowledge_seconds,
                "task": self.task_seconds,
                "waited": self.waited_seconds,
                "total": self.total_seconds,
            },
            "waits": [wait.as_json() for wait in self.waits],
            "polls": self.execution.polls if self.execution else None,
            "stateTransitions": self.execution.state_transitions if self.execution else None,
            "logStreams": list(self.log_streams),
            "artifacts": list(self.artifacts),
            "report": self.report.data if self.report is not None else None,
            "artifactsError": self.artifacts_error,
        }

    def _until_outcome(self, status: Status) -> float | None:
        began, outcome = self.events.first(status), self.outcome
        if began is None or outcome is None:
            return None
        return (outcome.created_at - began.created_at).total_seconds()
