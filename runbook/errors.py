"""What can go wrong between an operator and a stack, one class per situation, each with a way out.

Errors of the journal (`InvalidRequest`, `RunClosed`) and of AWS (`botocore.exceptions`) pass through as they are.
"""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from runbook import labels
from runbook.plain_text import visible
from runtime.journal.vocabulary import Status
from runtime.journal.waits import AnsweredWait, shown_answers


def sentence(error: BaseException) -> str:
    """Return an error as one line, as terminals and notebooks show it."""
    said = " ".join(visible(str(error)).split())
    return f"AWS refuses: {said}" if isinstance(error, ClientError) else said or type(error).__name__


class _OneLine(BaseException):
    def _render_traceback_(self) -> list[str]:
        """What IPython shows in place of a traceback."""
        return [f"{type(self).__name__}: {sentence(self)}"]


class RunbookError(_OneLine, Exception):
    """Base of all errors of this package. In a notebook they are one line."""


class StackNotFound(RunbookError):
    """There is no stack of that name where we looked."""


class StackNotDeployed(RunbookError):
    """The stack is there, and what the runbook has to know about it is not."""


class CloudNotRunning(RunbookError):
    """The embedded cloud is not running."""


class NoAnswer(RunbookError):
    """Nothing answers where AWS should, or something else does."""


class CredentialsUnusable(RunbookError):
    """There are no AWS credentials, they are refused, or they are another account's."""


class RunNotFound(RunbookError):
    """Nothing is known of a run of that id."""

    def __init__(self, session_id: str, waited_seconds: float = 0) -> None:
        waited = f" after {waited_seconds:g} s" if waited_seconds else ""
        super().__init__(
            f"there is no run {session_id} in the journal{waited}: the id may be mistyped or of another stack, or its "
            "event started nothing (then it lies in the dead-letter queue)"
        )
        self.session_id = session_id


class NoRecentRun(RunbookError):
    """The latest run is asked for, and there was none for a while."""

    def __init__(self, looked_back: timedelta) -> None:
        super().__init__(
            f"no run began or ended in the last {looked_back.days} days, so there is no latest: give a session id; "
            "`list --since 30d` looks further back"
        )


class WatchTimeout(RunbookError):
    """A run had no outcome yet when the watcher's time was over. The run itself goes on."""

    def __init__(self, session_id: str, last_status: str, seconds: float) -> None:
        seen = f"its last event is {last_status}" if last_status else "it has no event yet"
        what = "It may still end by itself; watch it again, or cancel it"
        if last_status == Status.RUN_WAITING:
            what = "It goes on once it is answered: `runbook waiting` has its questions"
        super().__init__(f"run {session_id} had no outcome after {seconds:g} s: {seen}. {what}")
        self.session_id = session_id
        self.last_status = last_status


class WatchInterrupted(_OneLine, KeyboardInterrupt):
    """Whoever watched a run has stopped watching. The run itself goes on."""

    def __init__(self, session_id: str) -> None:
        super().__init__(f"run {session_id} is no longer watched; it goes on by itself: watch it again at any time")
        self.session_id = session_id


class NotWaiting(RunbookError):
    """A run is to be answered that asks nothing, or something else."""

    def __init__(self, session_id: str, wait: int | None, newest: int | None) -> None:
        asked = "asks nothing" if wait is None else f"has no wait {wait}"
        latest = f", its latest is wait {newest}" if newest else ""
        super().__init__(f"run {session_id} {asked}{latest}: `runbook waiting` lists what can be answered")
        self.session_id = session_id


class AnsweredBefore(RunbookError):
    """A wait can be answered once, and was.

    :ivar first: what was answered, and by whom
    """

    def __init__(self, session_id: str, wait: int, first: AnsweredWait | None) -> None:
        told = ""
        if first:
            at, said = f"{first.created_at:%Y-%m-%d %H:%M:%S} UTC", labels.answers(shown_answers(first.answers))
            told = f" by {first.by} at {at}: {said}" if first.by else f": its questions expired at {at}"
        super().__init__(f"wait {wait} of run {session_id} is already answered{told}")
        self.session_id = session_id
        self.first = first


class QuestionsChanged(RunbookError):
    """The run doesn't wait for an answer to what was read."""

    def __init__(self, session_id: str, wait: int) -> None:
        super().__init__(
            f"run {session_id} doesn't ask what was read as wait {wait}: nothing was answered; read its questions again"
        )
        self.session_id = session_id


class QuestionsUnreadable(RunbookError):
    """Nobody may answer what nobody can read."""

    def __init__(self, session_id: str, wait: int, reason: str) -> None:
        super().__init__(f"the questions of wait {wait} of run {session_id} can't be read: {reason}")
        self.session_id = session_id


class RunStillOpen(RunbookError):
    """Only a run that has ended can be retried."""

    def __init__(self, session_id: str) -> None:
        super().__init__(f"run {session_id} has no outcome yet: wait for it, or cancel it before you retry it")
        self.session_id = session_id


class NothingToRetry(RunbookError):
    """The run completed; all its steps are finished."""

    def __init__(self, session_id: str) -> None:
        super().__init__(f"run {session_id} completed: to do it once more, trigger a new run with its prompt")
        self.session_id = session_id


class AlreadyRetried(RunbookError):
    """The run was tried again before.

    :ivar retried_as: the run that does it
    """

    def __init__(self, session_id: str, retried_as: str) -> None:
        super().__init__(
            f"run {session_id} was retried as {retried_as}: look how that one is doing, or force another retry"
        )
        self.session_id = session_id
        self.retried_as = retried_as


class OtherWorkflow(RunbookError):
    """A run would take over steps of a run of another workflow."""

    def __init__(self, session_id: str, theirs: str, wanted: str) -> None:
        super().__init__(
            f"run {session_id} is of workflow {theirs}, and nothing of it can be taken over into one of {wanted}: "
            "steps of one name may be different ones; trigger a new run"
        )
        self.session_id = session_id


MAX_CALLS_SHOWN = 10


class ToolsMayRunAgain(RunbookError):
    """A run has begun calls of tools that must not happen twice, in steps that it didn't finish.

    :ivar claims: these calls, as a request names them: `step`, `item`, `tool`, `input`
    """

    def __init__(self, session_id: str, claims: Sequence[Mapping[str, Any]]) -> None:
        shown = [_call(claim) for claim in claims[:MAX_CALLS_SHOWN]]
        more = f" and {len(claims) - len(shown)} more" if len(claims) > len(shown) else ""
        super().__init__(
            f"run {session_id}, or one that it retried, has begun what must not happen twice: "
            f"{', '.join(shown)}{more}. It may have taken effect, and a retry may do it again: check first, then retry "
            "with --again (again=True)"
        )
        self.session_id = session_id
        self.claims = claims


def _call(claim: Mapping[str, Any]) -> str:
    item = f" [{claim['item']}]" if "item" in claim else ""
    return f"{claim['step']}{item} {claim['tool']}({claim['input']})"


class DemoRefused(RunbookError):
    """A notebook's demo would start runs on a stack that others may depend on."""

    def __init__(self, stack: str) -> None:
        super().__init__(
            f"demo would start runs, and may end an environment, in stack {stack!r}: nothing was done; set "
            "demo_on_any_stack as well if that is wanted"
        )


class PulledRunUnusable(RunbookError):
    """A folder of a pulled run is not as it was written.

    :ivar path: the file that is not
    """

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path} can't be used: {reason}; pull the run again")
        self.path = path


class FolderInUse(RunbookError):
    """A run is to be pulled into a folder that holds something else."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path} holds {reason}: remove it, or pull to another folder with --to")
        self.path = path


class RedactionFailed(RunbookError):
    """What is to redact texts can't; nothing that it was not asked about is written."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"can't redact with {name}: {reason}")
        self.name = name


class TriggerFailed(RunbookError):
    """EventBridge did not take every event.

    :ivar accepted: session ids of the runs that were started
    :ivar failed: the prompts that were not taken, each with EventBridge's reason
    """

    def __init__(self, accepted: list[str], failed: list[tuple[str, str]]) -> None:
        reasons = ", ".join(sorted({reason for _, reason in failed}))
        super().__init__(
            f"EventBridge did not take {len(failed)} of {len(accepted) + len(failed)} events ({reasons}); "
            f"{len(accepted)} runs were started"
        )
        self.accepted = accepted
        self.failed = failed


class ReportMissing(RunbookError):
    """A run has no report: it has not ended, or did not complete."""

    def __init__(self, session_id: str, outcome: str | None) -> None:
        ended = f"ended as {outcome}" if outcome else "has no outcome yet"
        super().__init__(f"run {session_id} has no report: it {ended}")
        self.session_id = session_id
        self.outcome = outcome


class ArtifactNotFound(RunbookError):
    """A run has no such artifact."""

    def __init__(self, name: str, keys: list[str]) -> None:
        known = f"it has {', '.join(keys[:10])}" + (f" and {len(keys) - 10} more" if len(keys) > 10 else "")
        super().__init__(f"there is no artifact {name}: {known if keys else 'the run has none'}")
        self.name = name
