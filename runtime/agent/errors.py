"""Why a run of the agent ends other than completed. The class names are what the journal shows as `errorType`."""


class AgentError(Exception):
    """Base of the errors of this package."""


class AttemptOver(AgentError):
    """This attempt may write nothing more: the run is closed, a later attempt has begun, or the lease ran out."""


class InvalidWorkflow(AgentError, ValueError):
    """A workflow or one of its steps is not what it has to be. Raised at import, before anything is paid for."""


class RunTimedOut(AgentError):
    """The run's deadline came before its end."""


class StepStopped(AgentError):
    """A step's model stopped before it was done, for instance at a token limit."""

    def __init__(self, step: str, stop_reason: str) -> None:
        super().__init__(f"step {step} stopped with {stop_reason!r} instead of coming to its end")
        self.step = step
        self.stop_reason = stop_reason


class Escaped(AgentError):
    """Something raised an exception that Python keeps for leaving a loop, a generator or the process."""

    def __init__(self, error: BaseException, where: str = "") -> None:
        super().__init__(f"{where}raised {error!r}")
        self.error = error


class EmptyAnswer(AgentError):
    """A step's model came to its end and said nothing."""

    def __init__(self, step: str) -> None:
        super().__init__(f"step {step} came to its end without a word of text")
        self.step = step


class ArtifactMissing(AgentError):
    """An artifact that has to be there is not."""

    def __init__(self, key: str) -> None:
        super().__init__(f"artifact {key} is not in the bucket")
        self.key = key
