"""What a replay came to, next to what was recorded."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from local.replay.playing import Played
from local.replay.record.differences import diff
from local.replay.record.errors import NotApproved, NotRecorded, RecordEnds, RequestDiffers
from local.replay.record.folder import RunFolder, UnitKey
from local.replay.record.memory import UnitStory
from runtime.agent.artifacts import Artifact, Usage
from runtime.agent.results import StepResult
from runtime.journal.records import Event
from runtime.journal.vocabulary import Status

CUT_OFF = "cut off"
NOT_RUN = "not run"


@dataclass(frozen=True)
class Side:
    """What a step, or an item, came to in one of the two runs.

    :ivar end: `result`, `cut off`, `not run`, or its error
    """

    end: str
    text: str | None
    turns: int
    usage: Usage


@dataclass(frozen=True)
class UnitComparison:
    """A step, or an item of one, in both runs.

    :ivar is_taken: whether its result was not made here, but is the folder's
    :ivar texts_count: whether texts can be compared; not those that were changed before they were written
    """

    step: str
    item: int | None
    recorded: Side
    replayed: Side
    is_taken: bool = False
    texts_count: bool = True

    @property
    def was_cut_off(self) -> bool:
        """Whether the end of the run came before its own, which may be at another place each time."""
        return CUT_OFF in (self.recorded.end, self.replayed.end) and self.recorded.end in (CUT_OFF, NOT_RUN)

    @property
    def same(self) -> bool:
        """Whether both are the same: result or error, turns, tokens."""
        if self.was_cut_off:
            return True
        one, other = self.recorded, self.replayed
        if self.texts_count and (one.end, one.text) != (other.end, other.text):
            return False
        if one.end.partition(":")[0] != other.end.partition(":")[0]:
            return False
        return self.is_taken or (one.turns, one.usage) == (other.turns, other.usage)

    @property
    def diff(self) -> str:
        """What differs of the result, as a unified diff."""
        return diff(self.recorded.text or "", self.replayed.text or "")


@dataclass(frozen=True)
class Replay:
    """A replayed run.

    :ivar status: how it ended, as its journal would say. Where it came to the end of what was recorded of a run that
        somebody or something else had ended, this is the recorded one
    :ivar units: steps and items in the workflow's order
    :ivar request_differs: where a model would have been asked something else
    :ivar notes: what to know of the folder, a sentence each
    """

    folder: RunFolder
    workflow: str
    status: str
    error_type: str | None
    error_message: str | None
    units: tuple[UnitComparison, ...]
    request_differs: RequestDiffers | None
    played: Played
    notes: tuple[str, ...]

    @property
    def recorded_end(self) -> tuple[str | None, str | None, str | None]:
        """The recorded run's status, error type and error message."""
        outcome = self.folder.outcome
        return (outcome.status, outcome.error_type, outcome.error_message) if outcome else (None, None, None)

    @property
    def end(self) -> tuple[str | None, str | None, str | None]:
        """The same of the replay."""
        return self.status, self.error_type, self.error_message

    @property
    def same(self) -> bool:
        """Whether the replay came to the same: outcome, each result, turns and tokens."""
        return self.same_end and all(unit.same for unit in self.units)

    @property
    def same_end(self) -> bool:
        """Whether the outcomes are the same."""
        part = 2 if self.folder.redacted else 3
        return self.end[:part] == self.recorded_end[:part]

    @property
    def completed(self) -> bool:
        """Whether the replayed run came to its report."""
        return self.status == Status.AGENT_BACKGROUND_TASK_COMPLETED

    @cached_property
    def results(self) -> Mapping[str, Any]:
        """What each finished step produced: text, data as its `result` says, or a list of these."""
        found: dict[str, Any] = {}
        for step in self.played.workflow.steps:
            own = sorted(
                (artifact for artifact in self.played.artifacts.by_key.values() if artifact.step == step.name),
                key=lambda artifact: artifact.item or 0,
            )
            if own:
                found[step.name] = StepResult(step, own).value
        return found

    @property
    def report(self) -> str | None:
        """The last step's result as it would be stored, or None."""
        last = self.played.workflow.steps[-1].name
        texts = [found.text for found in self.played.artifacts.by_key.values() if found.step == last]
        return texts[0] if texts else None

    def __repr__(self) -> str:
        ended = f"{self.status}, {self.error_type}: {self.error_message}" if self.error_type else self.status
        return f"<Replay of {self.folder.session_id}: {ended}; {'same' if self.same else 'different'}>"


def compared(folder: RunFolder, played: Played) -> Replay:
    """Return what a replay came to, next to what was recorded."""
    ending = played.ending
    status, error_type, message = str(ending.status), ending.error_type, ending.error_message
    outcome, first_stop = folder.outcome, next(iter(played.stops), None)
    if isinstance(first_stop, RecordEnds) and outcome and _ended_from_outside(outcome):
        status, error_type, message = outcome.status, outcome.error_type, outcome.error_message
    return Replay(
        folder,
        played.workflow.name,
        status,
        error_type,
        message,
        tuple(_units(folder, played)),
        next((stop for stop in played.stops if isinstance(stop, RequestDiffers)), None),
        played,
        tuple(_notes(folder, played)),
    )


def _ended_from_outside(outcome: Event) -> bool:
    """Whether a person, the state machine or the clock ended the run: nothing here does."""
    return outcome.error_type == "RunTimedOut" or not outcome.status.startswith("AGENT_BACKGROUND_TASK")


def _units(folder: RunFolder, played: Played) -> Iterator[UnitComparison]:
    order = [step.name for step in played.workflow.steps]
    made = {(artifact.step, artifact.item): artifact for artifact in played.artifacts.by_key.values()}
    stories = played.journal.stories
    known = {*folder.artifacts, *folder.failures, *folder.begun, *made, *stories}
    for unit in sorted(known, key=lambda unit: (order.index(unit[0]) if unit[0] in order else -1, unit[1] or 0)):
        story = stories.get(unit, UnitStory())
        recorded = _recorded(folder, unit)
        turns, usage = story.turns, story.usage
        replayed = Side(_end(made.get(unit), _error(story), begun=story.begun), _text(made.get(unit)), turns, usage)
        is_taken = unit in made and not story.begun
        yield UnitComparison(*unit, recorded, replayed, is_taken, not folder.redacted)


def _recorded(folder: RunFolder, unit: UnitKey) -> Side:
    artifact, failure = folder.artifacts.get(unit), folder.failures.get(unit)
    error = f"{failure.error_type}: {failure.message}" if failure else None
    turns = folder.turns(unit)
    spent = (turns[-1].number, turns[-1].usage) if turns else (0, Usage())
    return Side(_end(artifact, error, begun=unit in folder.begun), _text(artifact), *spent)


def _error(story: UnitStory) -> str | None:
    # Where its record ended, it did not fail.
    if story.error_type in (None, RecordEnds.__name__):
        return None
    return f"{story.error_type}: {story.error_message}"


def _end(artifact: Artifact | None, error: str | None, *, begun: bool) -> str:
    return "result" if artifact else error or (CUT_OFF if begun else NOT_RUN)


def _text(artifact: Artifact | None) -> str | None:
    return artifact.text if artifact else None


def _notes(folder: RunFolder, played: Played) -> Iterator[str]:
    yield from folder.run.manifest.missing
    if folder.redacted:
        yield "The folder is redacted: what models were asked is compared by its structure, and results are not."
    then, now = folder.run.manifest.workflowDigest, played.workflow.digest
    if then and then != now:
        yield f"The workflow is another version now: {then} then, {now} now."
    for stop in played.stops:
        if isinstance(stop, RecordEnds | NotRecorded | NotApproved):
            yield f"{stop}."
