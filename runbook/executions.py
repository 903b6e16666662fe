"""What Step Functions knows of a run: its execution, how often it polled, what it was billed for."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mypy_boto3_stepfunctions import SFNClient

INVOKE_STATE = "InvokeAgent"
POLL_STATE = "CheckStatus"
RUNNING = "RUNNING"


@dataclass(frozen=True, slots=True)
class Execution:
    """The execution of one run.

    :ivar status: RUNNING, SUCCEEDED, FAILED, TIMED_OUT or ABORTED
    :ivar polled_at: when the journal was looked at
    :ivar state_transitions: what is billed: every state entered, and every retry
    :ivar invoker_seconds: how long the first call of the function that went well took; None if none did
    """

    arn: str
    status: str
    started_at: datetime
    stopped_at: datetime | None
    polled_at: tuple[datetime, ...]
    state_transitions: int
    invoker_seconds: float | None

    @property
    def polls(self) -> int:
        """How often the journal was looked at."""
        return len(self.polled_at)

    @property
    def seconds(self) -> float | None:
        """From its start to its end; None while it runs."""
        return (self.stopped_at - self.started_at).total_seconds() if self.stopped_at else None


def read(client: "SFNClient", arn: str) -> Execution:
    """Return an execution with what its history tells.

    :raises ExecutionDoesNotExist: if Step Functions has forgotten it (it does after 90 days)
    """
    described = client.describe_execution(executionArn=arn)
    history = list(_history(client, arn))
    stopped_at = described.get("stopDate")
    entered = list(_states_entered(history))
    return Execution(
        arn=arn,
        status=described["status"],
        started_at=described["startDate"].astimezone(UTC),
        stopped_at=stopped_at and stopped_at.astimezone(UTC),
        polled_at=tuple(at.astimezone(UTC) for state, at in entered if state == POLL_STATE),
        state_transitions=len(entered) + _retries(history),
        invoker_seconds=_invoker_seconds(history),
    )


def _history(client: "SFNClient", arn: str) -> Iterator[Mapping[str, Any]]:
    pages = client.get_paginator("get_execution_history").paginate(executionArn=arn, includeExecutionData=False)
    for page in pages:
        yield from page["events"]


def _states_entered(history: Iterable[Mapping[str, Any]]) -> Iterator[tuple[str, datetime]]:
    for event in history:
        if event["type"].endswith("StateEntered"):
            yield event["stateEnteredEventDetails"]["name"], event["timestamp"]


def _retries(history: Iterable[Mapping[str, Any]]) -> int:
    """A task that is scheduled again without its state being entered again was retried."""
    retries = tries = 0
    for event in history:
        if event["type"].endswith("StateEntered"):
            tries = 0
        elif event["type"] == "TaskScheduled":
            tries += 1
            retries += tries > 1
    return retries


def _invoker_seconds(history: Iterable[Mapping[str, Any]]) -> float | None:
    state, scheduled_at = "", None
    for event in history:
        if event["type"].endswith("StateEntered"):
            state = event["stateEnteredEventDetails"]["name"]
        elif state == INVOKE_STATE and event["type"] == "TaskScheduled":
            scheduled_at = event["timestamp"]
        elif state == INVOKE_STATE and event["type"] == "TaskSucceeded" and scheduled_at:
            return (event["timestamp"] - scheduled_at).total_seconds()
    return None
