"""A pulled run as a replay needs it: by step and item."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from local.replay.record.errors import ReplayError
from runbook.errors import PulledRunUnusable
from runbook.pulled import PulledRun, PulledWait
from runtime.agent.artifacts import MADE_FROM, Artifact, Usage
from runtime.contract.errors import InvalidRequest
from runtime.contract.request import RunRequest, parse_request
from runtime.journal.records import Event

if TYPE_CHECKING:
    from runtime.agent.turns import Turn

UnitKey = tuple[str, int | None]
"""A step's name, and the item's number where it is one."""


@dataclass(frozen=True, slots=True)
class Failure:
    """What a step, or an item, ended with instead of a result."""

    error_type: str
    message: str


class RunFolder:
    """What was recorded of a run.

    :ivar run: the run as it was pulled
    """

    def __init__(self, run: PulledRun) -> None:
        self.run = run

    @classmethod
    def opened(cls, path: Path) -> "RunFolder":
        """Return a folder whose files are what they were when they were pulled.

        :raises ReplayError: if it is no folder of a run, its pull was not finished, or a file is missing or changed
        """
        try:
            return cls(PulledRun.open(path))
        except PulledRunUnusable as error:
            raise ReplayError(str(error)) from error

    @property
    def session_id(self) -> str:
        """The run's id."""
        return self.run.session_id

    @property
    def redacted(self) -> bool:
        """Whether texts were changed before they were written."""
        return self.run.manifest.redacted

    @cached_property
    def outcome(self) -> Event | None:
        """The run's terminal event, or None if it had none when it was pulled."""
        return self.run.outcome

    @property
    def request(self) -> RunRequest:
        """What the run was asked.

        :raises ReplayError: if it is no request that can be run
        """
        try:
            return parse_request(self.run.metadata.request)
        except InvalidRequest as error:
            raise ReplayError(f"{self.run.directory} has no request that can be run: {error}") from error

    @cached_property
    def failures(self) -> Mapping[UnitKey, Failure]:
        """What steps and items ended with, in the order in which they did, but for those that were cut off."""
        return {
            (event.step, event.item): Failure(event.error_type, event.error_message or "")
            for event in self._of_steps("_FAILED")
            if event.step and event.error_type and event.error_type != "RunTimedOut"
        }

    @cached_property
    def waits(self) -> Sequence[PulledWait]:
        """What people were asked, and what they answered, in order."""
        return self.run.waits()

    def approved(self, unit: UnitKey) -> frozenset[tuple[int, int]]:
        """Return the calls of a step's, or an item's, tools that a person has approved: turn, and place in it."""
        return frozenset(
            (question.turn, question.call)
            for wait in self.waits
            for question, answer in wait.said
            if answer and answer.approved and (question.step, question.item) == unit
        )

    @cached_property
    def begun(self) -> frozenset[UnitKey]:
        """The steps and items that were worked on."""
        return frozenset((event.step or "", event.item) for event in self._of_steps("_STARTED"))

    @cached_property
    def taken_over(self) -> frozenset[UnitKey]:
        """The steps and items that were taken over from another run."""
        skipped = self._of_steps("_SKIPPED")
        return frozenset((event.step or "", event.item) for event in skipped if "takenFrom" in (event.detail or {}))

    def _of_steps(self, ending: str) -> Iterator[Event]:
        return (event for event in self.run.events() if event.step and event.status.endswith(ending))

    @cached_property
    def artifacts(self) -> Mapping[UnitKey, Artifact]:
        """What was produced, by step and item."""
        found = (self._artifact(key, about) for key, about in self.run.artifacts().items())
        return {(artifact.step, artifact.item): artifact for artifact in found}

    def _artifact(self, key: str, about: Mapping[str, str]) -> Artifact:
        stem, _, extension = key.rpartition(".")
        step, _, item = stem.partition("/")
        text, usage = self.run.artifact(key), Usage.of_metadata(about)
        return Artifact(step, text, usage, int(item) if item else None, extension, about.get(MADE_FROM, ""))

    @cached_property
    def conversations(self) -> frozenset[UnitKey]:
        """The steps and items whose model's answers are there, from the first on, or that failed at the first."""
        return frozenset(unit for unit in self.run.units() if not self._lacks_beginning(unit))

    def _lacks_beginning(self, unit: UnitKey) -> bool:
        # A conversation that became too long is stored whole, and the pull then has nothing of what came before.
        turns = self.turns(unit)
        return bool(turns) and turns[0].number > 1

    def turns(self, unit: UnitKey) -> "list[Turn]":
        """Return a conversation's turns.

        :raises ReplayError: if one can't be read
        """
        try:
            return self.run.turns(*unit)
        except PulledRunUnusable as error:
            raise ReplayError(str(error)) from error

    def definition(self, unit: UnitKey) -> Mapping[str, Any] | None:
        """Return what a step was, or None if it is not in the folder."""
        try:
            return self.run.definition(*unit)
        except KeyError:
            return None
