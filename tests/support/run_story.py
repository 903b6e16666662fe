"""What must hold of the journal of every run that has ended, whatever happened to it on the way.

Owns the claims of docs/operations.md that are the same for all faults; what a single fault leaves behind is its
test's.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from runtime.agent.definition import Workflow
from runtime.agent.workflow import WORKFLOWS
from runtime.journal.records import Event
from runtime.journal.vocabulary import TERMINAL, Status, StepPhase, step_status

STAMPED_LATER = {
    Status.AGENT_INVOCATION_STARTED,
    Status.AGENT_INVOCATION_SUCCEEDED,
    Status.AGENT_INVOCATION_FAILED,
    Status.AGENT_BACKGROUND_TASK_LOST,
}
"""What may stand after the end of a run. The invoker's call may have been under way. A loss is written before the
outcome, which its transaction makes sure of; but an end has the time of its first try, and where that had to be tried
for long, the state machine gave its agent up meanwhile."""


@dataclass(frozen=True)
class RunStory:
    """A run that has ended.

    :ivar events: all of them, in the journal's order
    :ivar outcome: the outcome record, None if there is none yet
    :ivar execution: the status of its execution
    """

    session_id: str
    events: Sequence[Event]
    outcome: Event | None
    execution: str

    @property
    def statuses(self) -> list[str]:
        """What happened, in order."""
        return [event.status for event in self.events]

    @property
    def ending(self) -> Event:
        """The outcome of a run that has one.

        :raises AssertionError: if it has none
        """
        assert self.outcome, self
        return self.outcome

    def of(self, status: str) -> list[Event]:
        """Return the events with a status."""
        return [event for event in self.events if event.status == status]

    def check(self) -> "RunStory":
        """Return this story, if it is one that the journal may tell.

        :raises AssertionError: if it is not; the message has the whole story
        """
        self._ended_once()
        self._finished_no_step_twice()
        self._gave_each_attempt_to_one_environment()
        self._attempts_add_up()
        return self

    def check_completed(self) -> "RunStory":
        """Like `check`, of a run that must have completed.

        :raises AssertionError: if it is not, or did not
        """
        self.check()
        assert self.ending.status == Status.AGENT_BACKGROUND_TASK_COMPLETED, self
        assert self.execution == "SUCCEEDED", self
        done = {(event.step, event.item) for event in self.events if _is(event, StepPhase.COMPLETED, StepPhase.SKIPPED)}
        assert {step for step, _ in done} == {step.name for step in self._workflow.steps}, self
        assert done == {(event.step, event.item) for event in self.events if event.step}, self
        return self

    @property
    def _workflow(self) -> Workflow:
        details = [event.detail or {} for event in self.of(Status.AGENT_BACKGROUND_TASK_STARTED)]
        return WORKFLOWS[details[0]["workflow"]]

    def _ended_once(self) -> None:
        ends = [number for number, event in enumerate(self.events) if event.status in TERMINAL]
        assert len(ends) == 1, self
        assert self.events[ends[0]] == self.outcome, self
        assert {event.status for event in self.events[ends[0] + 1 :]} <= STAMPED_LATER, self

    def _finished_no_step_twice(self) -> None:
        for unit in {(event.step, event.item) for event in self.events if event.step}:
            started, completed, skipped = (
                [
                    number
                    for number, event in enumerate(self.events)
                    if (event.step, event.item) == unit and _is(event, phase)
                ]
                for phase in (StepPhase.STARTED, StepPhase.COMPLETED, StepPhase.SKIPPED)
            )
            assert len(completed) <= 1, self
            finished = min([*completed, *skipped], default=len(self.events))
            assert all(number < finished for number in started), self

    def _gave_each_attempt_to_one_environment(self) -> None:
        latest = 0
        environments: dict[int, str] = {}
        for event in self.events:
            if event.environment_id is None or event.attempt is None or _is_given_back(event):
                continue
            assert environments.setdefault(event.attempt, event.environment_id) == event.environment_id, self
            # Once an attempt has begun, those before it are silent.
            assert event.attempt >= latest, self
            latest = event.attempt

    def _attempts_add_up(self) -> None:
        all_lost = [event.attempt or 0 for event in self.of(Status.AGENT_BACKGROUND_TASK_LOST)]
        lost = sorted(set(all_lost))
        # An attempt that asks a person is over as well.
        asked = [event.attempt or 0 for event in self.of(Status.RUN_WAITING)]
        assert len(asked) == len(set(asked)), self
        over = sorted({*lost, *asked})
        assert len(all_lost) - len(lost) <= sum(map(_is_given_back, self.events)), self
        begun = [event.attempt for event in self.of(Status.AGENT_BACKGROUND_TASK_STARTED)]
        assert over == list(range(1, len(over) + 1)), self
        assert len(begun) == len(set(begun)), self
        assert max((attempt or 0 for attempt in begun), default=0) <= len(over) + 1, self

    def __str__(self) -> str:
        lines = [f"run {self.session_id}, execution {self.execution}, outcome {self.outcome and self.outcome.status}:"]
        for event in self.events:
            place = "" if event.item is None else f"[{event.item}]"
            told = f"{event.created_at:%M:%S.%f} {event.status}{place} attempt={event.attempt}"
            lines.append(f"  {told} {event.environment_id or ''} {event.error_type or ''} {event.error_message or ''}")
        return "\n".join(lines)


def _is(event: Event, *phases: StepPhase) -> bool:
    return event.step is not None and event.status in [step_status(event.step, phase) for phase in phases]


def _is_given_back(event: Event) -> bool:
    """Whether an environment had to go before it claimed the attempt, which another may have then."""
    return bool((event.detail or {}).get("unclaimed"))
