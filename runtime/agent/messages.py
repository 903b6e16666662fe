"""Reads Strands' messages: what a model has asked for, said and spent, and what its tools gave."""

import json
from collections.abc import Iterator, Sequence
from typing import Any, cast

from strands.types.content import Message, Messages
from strands.types.tools import ToolUse

from runtime.agent.artifacts import Usage
from runtime.agent.definition import Step

SHOWN_CALLS = 20
SHOWN_CHARACTERS = 200


def given_result(step: Step, messages: Messages) -> Any:
    """Return the result that a conversation ends with, as Strands takes it from its tool, or None."""
    if step.result_object is None or len(messages) < 2:
        return None
    uses = {use["toolUseId"]: use for use in blocks(messages[-2], "toolUse")}
    for result in blocks(messages[-1], "toolResult"):
        use = uses.get(result["toolUseId"])
        if use and use["name"] == step.result_object.__name__ and result["status"] == "success":
            return step.result_object(**use["input"])
    return None


def refused_results(step: Step, messages: Messages) -> Iterator[str]:
    """Give what was wrong with each result that was refused."""
    if step.result_object is None:
        return
    name = step.result_object.__name__
    asked = {use["toolUseId"] for message in messages for use in blocks(message, "toolUse") if use["name"] == name}
    for message in messages:
        for answer in blocks(message, "toolResult"):
            if answer["toolUseId"] in asked and answer["status"] == "error":
                yield " ".join(str(part.get("text", "")) for part in answer["content"])


def text_of(message: Message) -> str:
    """Return a message's text."""
    return "\n".join(block["text"] for block in message["content"] if "text" in block)


def blocks(message: Message, kind: str) -> list[Any]:
    """Return what a message has of one kind, such as `toolUse`."""
    return [block[kind] for block in cast("list[dict[str, Any]]", message["content"]) if kind in block]


def usage_of(message: Message) -> Usage:
    """Return the tokens of the call that gave an answer."""
    tokens = cast("dict[str, int]", message.get("metadata", {}).get("usage", {}))
    return Usage(
        tokens.get("inputTokens", 0),
        tokens.get("outputTokens", 0),
        tokens.get("cacheReadInputTokens", 0),
        tokens.get("cacheWriteInputTokens", 0),
    )


def shown_calls(uses: Sequence[ToolUse]) -> list[dict[str, Any]]:
    """Return an answer's calls of tools as an event shows them."""
    return [
        {"call": call, "tool": use["name"], "input": json.dumps(use["input"], default=str)[:SHOWN_CHARACTERS]}
        for call, use in enumerate(uses[:SHOWN_CALLS])
    ]


def size_of(result: Any) -> int:
    """Return the characters of a tool's result."""
    return sum(len(str(part.get("text", part))) for part in result["content"])
