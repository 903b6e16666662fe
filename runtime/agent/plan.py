"""Which part of a workflow can be worked on, and what it is given: no clock, no journal, no bucket."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from runtime.agent.artifacts import Artifact
from runtime.agent.definition import Step, Workflow
from runtime.agent.errors import OtherList, TooManyItems
from runtime.agent.results import StepResult

MAX_ITEMS = 100


@dataclass(frozen=True, slots=True, eq=False)
class Unit:
    """What is worked on as one: a step, or one item of a step.

    :ivar number: the item's place in the list, from 0
    :ivar made_from: digest of the list that it is from
    """

    step: Step
    number: int | None = None
    item: Any = None
    of: int = 0
    made_from: str = ""

    @property
    def place(self) -> str:
        """Which of the items it is, such as `2 of 7`; empty for a whole step."""
        return "" if self.number is None else f"{self.number + 1} of {self.of}"

    def checked(self, found: Artifact) -> Artifact:
        """Return its artifact as it was found.

        :raises OtherList: if it was made from another list, by a version of the workflow that took its items elsewhere
        """
        if found.made_from != self.made_from:
            raise OtherList(str(self))
        return found

    def __str__(self) -> str:
        return self.step.name + (f" ({self.place})" if self.place else "")


class Plan:
    """A workflow's way to its end."""

    def __init__(self, workflow: Workflow) -> None:
        self._workflow = workflow
        self._waiting = list(workflow.steps)
        self._artifacts: dict[str, list[Artifact | None]] = {}
        self._results: dict[str, StepResult] = {}

    def newly_ready(self) -> Iterator[Unit]:
        """Give what can be worked on since the last time, in the workflow's order.

        :raises TooManyItems: if a step would run for more than a hundred
        """
        for step in list(self._waiting):
            if all(need in self._results for need in self._workflow.needs(step)):
                self._waiting.remove(step)
                units = [*self._units(step)]
                self._artifacts[step.name] = [None] * len(units)
                # A list without an item: what comes after it is ready at once.
                self._note(step)
                yield from units

    def finish(self, unit: Unit, artifact: Artifact) -> None:
        """Note what a unit has produced."""
        self._artifacts[unit.step.name][unit.number or 0] = artifact
        self._note(unit.step)

    def earlier(self, step: Step) -> list[StepResult]:
        """Return the results of all that a step comes after, in order."""
        return [self._results[name] for name in self._workflow.all_needs(step)]

    @property
    def report(self) -> Artifact:
        """The last step's artifact."""
        return self._results[self._workflow.steps[-1].name].artifacts[0]

    def artifacts(self) -> Iterator[Artifact]:
        """Give all that is there."""
        for found in self._artifacts.values():
            yield from filter(None, found)

    def _units(self, step: Step) -> Iterator[Unit]:
        if step.each is None:
            yield Unit(step)
            return
        source = self._results[step.each]
        items: list[Any] = source.value
        if len(items) > MAX_ITEMS:
            raise TooManyItems(step.name, len(items), MAX_ITEMS)
        made_from = source.artifacts[0].digest
        for number, item in enumerate(items):
            yield Unit(step, number, item, len(items), made_from)

    def _note(self, step: Step) -> None:
        artifacts = [found for found in self._artifacts[step.name] if found]
        if len(artifacts) == len(self._artifacts[step.name]):
            self._results[step.name] = StepResult(step, artifacts)
