"""Why an attempt doesn't complete. The journal shows the class names as `errorType`."""

from collections.abc import Mapping, Sequence


class AgentError(Exception):
    """Base of the errors of this package."""


class AttemptOver(AgentError):
    """This attempt may write nothing more: the run is closed, a later attempt has begun, or the lease has expired."""


class InvalidWorkflow(AgentError, ValueError):
    """A workflow or one of its steps is invalid. Raised at import, before anything is paid for."""


class RunTimedOut(AgentError):
    """The run's deadline passed before its end."""


class StepStopped(AgentError):
    """A step's model stopped before it was done, for instance at a token limit."""

    def __init__(self, step: str, stop_reason: str) -> None:
        super().__init__(f"step {step} stopped with {stop_reason!r} before it was done")
        self.step = step
        self.stop_reason = stop_reason


class Escaped(AgentError):
    """Something raised an exception that Python reserves for leaving a loop, a generator or the process."""

    def __init__(self, error: BaseException, where: str = "") -> None:
        super().__init__(f"{where}raised {error!r}")
        self.error = error


class WrongResult(AgentError):
    """A step's result is not what the workflow says."""

    def __init__(self, step: str, wrong: str) -> None:
        super().__init__(f"the result of step {step} is not what the workflow says: {wrong}")
        self.step = step
        self.wrong = wrong


class TooManyItems(AgentError):
    """A step would run for more items than one run may have."""

    def __init__(self, step: str, items: int, max_items: int) -> None:
        super().__init__(f"step {step} would run for {items} items: {max_items} at most")
        self.step = step
        self.items = items


class OtherList(AgentError):
    """What is stored of an item was made from another list than the one that the run has now."""

    def __init__(self, unit: str) -> None:
        super().__init__(f"what is stored of {unit} was made from another list: retry the run")
        self.unit = unit


class EmptyAnswer(AgentError):
    """A step's model finished without any text."""

    def __init__(self, step: str) -> None:
        super().__init__(f"step {step} finished without any text")
        self.step = step


class ArtifactMissing(AgentError):
    """An artifact that must exist doesn't."""

    def __init__(self, key: str) -> None:
        super().__init__(f"artifact {key} is not in the bucket")
        self.key = key


class TurnUnreadable(AgentError):
    """A stored turn can't be read: its step begins anew."""

    def __init__(self, key: str, why: str) -> None:
        super().__init__(f"turn {key} can't be read: {why}")
        self.key = key


class CannotResume(AgentError):
    """A step can't go on, as its turns can't be read, and may not begin anew, as it called tools that run once."""

    def __init__(self, step: str, why: str, claimed: Sequence[str]) -> None:
        super().__init__(f"step {step} can't go on and may not begin anew after {', '.join(claimed)}: {why}")
        self.step = step
        self.claimed = claimed


class TooManyWaits(AgentError):
    """A step asks a person, and the run may not wait any more."""

    def __init__(self, step: str, waited: int, max_waits: int) -> None:
        times = f"{waited} time{'' if waited == 1 else 's'}"
        super().__init__(f"step {step} asks a person, and this run has waited {times}: maxWaits allows {max_waits}")
        self.step = step
        self.waited = waited


class AnswersUnreadable(AgentError):
    """What a person has answered can't be matched with what was asked."""

    def __init__(self, wait: int, why: str) -> None:
        super().__init__(f"the answers to wait {wait} can't be used: {why}")
        self.wait = wait


class BudgetExceeded(AgentError):
    """The run has spent the tokens that it may."""

    def __init__(self, limit: int, by_step: Mapping[str, int]) -> None:
        spent = ", ".join(f"{step} {tokens:,}" for step, tokens in by_step.items())
        super().__init__(f"the run may spend {limit:,} tokens and has spent {sum(by_step.values()):,}: {spent}")
        self.limit = limit
        self.by_step = by_step


class OutcomeUnknown(AgentError):
    """What the model is told of a call that must not happen twice and may have happened. The run goes on."""

    def __init__(self, tool: str, *, again: bool = False) -> None:
        happened = f"{tool} was called like this before" if again else f"this call of {tool} was begun before"
        super().__init__(
            f"{happened} and interrupted: nobody knows whether it took effect, so it was not made now. Check by other "
            "means, ask, or report that it is unknown; don't repeat it."
        )
        self.tool = tool
