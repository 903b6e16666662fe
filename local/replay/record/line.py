"""What one step's, or one item's, model was asked and answered, and what its tools gave it: the recorded line."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from strands.types.session import decode_bytes_values

from local.replay.record.folder import RunFolder, UnitKey


@dataclass(slots=True)
class Line:
    """A recorded conversation.

    :ivar messages: all of them
    :ivar answers: the places of the model's answers among them
    :ivar results: what each call of a tool gave, by turn and by the call's place in the model's answer
    :ivar definition: what the step was
    """

    messages: list[Any] = field(default_factory=list[Any])
    answers: list[int] = field(default_factory=list[int])
    results: dict[tuple[int, int], Any] = field(default_factory=dict[tuple[int, int], Any])
    definition: Mapping[str, Any] | None = None

    def like(self, tool: str, given: Any) -> Any:
        """Return the result of any recorded call with this input, or None."""
        for turn, place in enumerate(self.answers, start=1):
            for call, use in enumerate(tool_uses(self.messages[place])):
                if (use["name"], use["input"]) == (tool, given) and (turn, call) in self.results:
                    return self.results[turn, call]
        return None

    def ends_before_results_of(self, turn: int) -> bool:
        """Whether a turn's answer is the last thing that was recorded."""
        return turn == len(self.answers) and self.answers[-1] == len(self.messages) - 1

    def add(self, message: Any) -> None:
        """Add what was said next."""
        if message["role"] == "assistant":
            self.answers.append(len(self.messages))
        elif self.answers:
            calls = tool_uses(self.messages[self.answers[-1]])
            places = {use["toolUseId"]: call for call, use in enumerate(calls)}
            for result in (block["toolResult"] for block in message["content"] if "toolResult" in block):
                if (call := places.get(result["toolUseId"])) is not None:
                    self.results[len(self.answers), call] = result
        self.messages.append(message)


def recorded_line(folder: RunFolder, unit: UnitKey) -> Line:
    """Return a step's or an item's recorded line; empty if there is none.

    :raises ReplayError: if it can't be read
    """
    line = Line(definition=folder.definition(unit))
    if unit in folder.conversations:
        for turn in folder.turns(unit):
            for message in cast("list[Any]", decode_bytes_values(turn.messages)):
                line.add(message)
    return line


def tool_uses(message: Any) -> list[Any]:
    """Return the calls of tools that an answer asks for."""
    return [block["toolUse"] for block in message["content"] if "toolUse" in block]
