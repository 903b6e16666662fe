"""The event vocabulary: every value that the journal's `status` attribute can take.

Owns the names and which of them end a run. The state machine (`components/workflow_definition.py`) and the writer's
conditions decide what may follow what.
"""

import re
from enum import StrEnum

from runtime.journal.errors import InvalidStepName


class Status(StrEnum):
    """What happened. Steps add their own: see :func:`step_status`."""

    SESSION_INITIATED = "SESSION_INITIATED"
    AGENT_INVOCATION_STARTED = "AGENT_INVOCATION_STARTED"
    AGENT_INVOCATION_SUCCEEDED = "AGENT_INVOCATION_SUCCEEDED"
    AGENT_INVOCATION_FAILED = "AGENT_INVOCATION_FAILED"
    AGENT_RUNTIME_INVOKE_FAILED = "AGENT_RUNTIME_INVOKE_FAILED"
    AGENT_BACKGROUND_TASK_STARTED = "AGENT_BACKGROUND_TASK_STARTED"
    AGENT_BACKGROUND_TASK_HEARTBEAT = "AGENT_BACKGROUND_TASK_HEARTBEAT"
    AGENT_BACKGROUND_TASK_LOST = "AGENT_BACKGROUND_TASK_LOST"
    RUN_WAITING = "RUN_WAITING"
    RUN_ANSWERED = "RUN_ANSWERED"
    AGENT_BACKGROUND_TASK_COMPLETED = "AGENT_BACKGROUND_TASK_COMPLETED"
    AGENT_BACKGROUND_TASK_FAILED = "AGENT_BACKGROUND_TASK_FAILED"
    SESSION_FAILED = "SESSION_FAILED"
    SESSION_TIMED_OUT = "SESSION_TIMED_OUT"
    SESSION_CANCELLED = "SESSION_CANCELLED"


TERMINAL: tuple[Status, ...] = (
    Status.AGENT_BACKGROUND_TASK_COMPLETED,
    Status.AGENT_BACKGROUND_TASK_FAILED,
    Status.SESSION_FAILED,
    Status.SESSION_TIMED_OUT,
    Status.SESSION_CANCELLED,
)
"""The statuses that end a run: the journal of a finished run has exactly one of them."""


class StepPhase(StrEnum):
    """What happened to one step; `SKIPPED` means that its artifact already existed.

    `TURN`: what its agent said or heard is stored; `RESUMED`: it goes on from there; `TOOL`: a call that may happen
    once was claimed, or wasn't made; `PROGRESS`: a message of the agent's own.
    """

    STARTED = "STARTED"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    SKIPPED = "SKIPPED"
    TURN = "TURN"
    RESUMED = "RESUMED"
    TOOL = "TOOL"
    PROGRESS = "PROGRESS"


STEP_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
"""A step's name, which is part of a status and of an artifact's key."""


def check_step_name(name: str) -> str:
    """Return `name` if it is a valid step name.

    :raises InvalidStepName: if it doesn't match :data:`STEP_NAME`
    """
    if not STEP_NAME.fullmatch(name):
        raise InvalidStepName(name)
    return name


def step_status(step: str, phase: StepPhase) -> str:
    """Return the status of a step's event, `TASK_{STEP}_{PHASE}`.

    :raises InvalidStepName: if the step's name doesn't match :data:`STEP_NAME`
    """
    return f"TASK_{check_step_name(step).upper()}_{phase}"
