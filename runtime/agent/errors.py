"""Why an attempt doesn't complete. The journal shows the class names as `errorType`."""


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
