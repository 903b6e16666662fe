"""What a tool can know of the call that it answers: `tool_call().idempotency_key` for back ends that take one."""

from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ToolCall:
    """One call of a tool.

    :ivar turn: which of the model's answers asked for it (1, 2, …)
    :ivar call: its place among the calls of that answer, from 0
    :ivar idempotency_key: the same each time this call is made, in whichever attempt: run, step, item, turn, call
    :ivar progress: leaves a message in the journal
    :ivar answer: what the person has said who was asked about this call, if one was
    """

    turn: int
    call: int
    idempotency_key: str
    progress: Callable[[str], Awaitable[None]]
    answer: str = ""


current = ContextVar[ToolCall]("tool_call")


def tool_call() -> ToolCall:
    """Return the call that the running tool answers, in its thread as well.

    :raises LookupError: outside of a tool
    """
    return current.get()
