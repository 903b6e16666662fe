"""A model for Strands that plays a script, and the turns that a script is made of."""

import json
from collections.abc import AsyncIterator, Iterable
from typing import Any, cast

from strands.models.bedrock import BedrockModel
from strands.models.model import Model

Turn = list[dict[str, Any]]
METADATA: dict[str, Any] = {
    "metadata": {
        "usage": {"inputTokens": 10, "outputTokens": 5, "totalTokens": 15},
        "metrics": {"latencyMs": 1},
    }
}


class ScriptedModel(Model):
    """Plays one turn after another, and keeps what it was told.

    :ivar asked: the number of each answer that it was asked for, from 1, by the conversation
    """

    def __init__(self, *turns: Turn | Exception) -> None:
        self.turns = list(turns)
        self.told: list[Any] = []
        self.system_prompts: list[Any] = []
        self.tools: list[Any] = []
        self.asked: list[int] = []

    def update_config(self, **model_config: Any) -> None:
        """Nothing can be configured."""

    def get_config(self) -> Any:
        """Nothing is configured."""
        return {}

    def structured_output(self, *args: Any, **kwargs: Any) -> Any:
        """Not used by the agent."""
        raise NotImplementedError

    async def stream(self, messages: Any, *args: Any, **kwargs: Any) -> AsyncIterator[Any]:
        """Play the next turn."""
        self.told.append([dict(message) for message in messages])
        self.tools.append(args[0] if args else kwargs.get("tool_specs"))
        self.system_prompts.append(args[1] if len(args) > 1 else kwargs.get("system_prompt"))
        self.asked.append(1 + sum(message["role"] == "assistant" for message in messages))
        turn = self.next_turn()
        if isinstance(turn, Exception):
            raise turn
        for event in turn:
            yield event

    def next_turn(self) -> Turn | Exception:
        """Return the next turn, whatever the conversation."""
        return self.turns.pop(0)

    def as_bedrock(self) -> BedrockModel:
        """Return itself under the type that the agent asks for."""
        return cast("BedrockModel", self)


class DeterministicModel(ScriptedModel):
    """Answers by how many answers the conversation has, as often as it is asked."""

    def next_turn(self) -> Turn | Exception:
        """Return the turn that comes next in the conversation."""
        return self.turns[self.asked[-1] - 1]


def says(text: str, stop_reason: str = "end_turn") -> Turn:
    """Return a turn that is a text."""
    return [
        {"messageStart": {"role": "assistant"}},
        {"contentBlockStart": {"start": {}}},
        {"contentBlockDelta": {"delta": {"text": text}}},
        {"contentBlockStop": {}},
        {"messageStop": {"stopReason": stop_reason}},
        METADATA,
    ]


def calls(*names: str, **given: Any) -> Turn:
    """Return a turn that calls tools, all with the same arguments."""
    return together(*((name, given) for name in names))


def together(*asked: tuple[str, dict[str, Any]]) -> Turn:
    """Return a turn that calls tools, each with arguments of its own."""
    blocks: Iterable[Turn] = (
        [
            {"contentBlockStart": {"start": {"toolUse": {"name": name, "toolUseId": f"{name}-{number}"}}}},
            {"contentBlockDelta": {"delta": {"toolUse": {"input": json.dumps(given)}}}},
            {"contentBlockStop": {}},
        ]
        for number, (name, given) in enumerate(asked)
    )
    start: Turn = [{"messageStart": {"role": "assistant"}}]
    return [
        *start,
        *(event for block in blocks for event in block),
        {"messageStop": {"stopReason": "tool_use"}},
        METADATA,
    ]
