"""Everything that can go wrong with the journal, one class per situation.

A refusal by the store is an answer, not a fault: `RunClosed`, `AttemptClaimed` and `AttemptSuperseded` tell the writer
what was there before it. Retry `JournalUnavailable`, never `JournalDenied`.
"""


class JournalError(Exception):
    """Base of all errors of this package."""


class InvalidStepName(JournalError, ValueError):
    """A step's name can't be part of a status or of a key."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"step name {name[:80]!r} is not allowed: it must be 1 to 40 of a-z, 0-9 and _, a letter first"
        )
        self.name = name


class RunClosed(JournalError):
    """The run already has its outcome; nothing may be added."""

    def __init__(self, session_id: str) -> None:
        super().__init__(f"run {session_id} already has its outcome")
        self.session_id = session_id


class AttemptClaimed(JournalError):
    """Another background task has claimed this attempt."""

    def __init__(self, session_id: str, attempt: int) -> None:
        super().__init__(f"attempt {attempt} of run {session_id} is already claimed")
        self.session_id = session_id
        self.attempt = attempt


class ToolClaimed(JournalError):
    """An earlier attempt has claimed this call of a tool."""

    def __init__(self, session_id: str, tool: str) -> None:
        super().__init__(f"a call of {tool} in run {session_id} is already claimed")
        self.session_id = session_id
        self.tool = tool


class AttemptSuperseded(JournalError):
    """A later attempt has been claimed: the writer is a zombie."""

    def __init__(self, session_id: str, attempt: int) -> None:
        super().__init__(f"attempt {attempt} of run {session_id} has been superseded by a later one")
        self.session_id = session_id
        self.attempt = attempt


class RunWaiting(JournalError):
    """The run waits for a person: its attempt is over."""

    def __init__(self, session_id: str) -> None:
        super().__init__(f"run {session_id} waits for a person")
        self.session_id = session_id


class NotAnswered(JournalError):
    """An attempt was started as if its run's question had been answered."""

    def __init__(self, session_id: str, wait: int) -> None:
        super().__init__(f"wait {wait} of run {session_id} has no answer")
        self.session_id = session_id
        self.wait = wait


class AlreadyAnswered(JournalError):
    """The wait has its answers, by another, or has expired."""

    def __init__(self, session_id: str, wait: int) -> None:
        super().__init__(f"wait {wait} of run {session_id} is already answered")
        self.session_id = session_id
        self.wait = wait


class NotAsked(JournalError):
    """The run does not wait for an answer to these questions."""

    def __init__(self, session_id: str, wait: int) -> None:
        super().__init__(f"run {session_id} has no wait {wait} with the questions that were read")
        self.session_id = session_id
        self.wait = wait


class NotTheOwner(JournalError):
    """The run was never claimed, or was claimed by another execution than the one closing it."""

    def __init__(self, session_id: str, execution_arn: str) -> None:
        super().__init__(f"run {session_id} does not belong to execution {execution_arn}")
        self.session_id = session_id
        self.execution_arn = execution_arn


class JournalDenied(JournalError):
    """The store refuses this writer for good: a missing permission, a missing table, a malformed request."""


class JournalUnavailable(JournalError):
    """The store did not answer, or asked to retry."""


class JournalConflict(JournalUnavailable):
    """Another transaction was at one of the records at that moment: milliseconds later it is done."""
