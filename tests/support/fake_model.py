"""A scripted model: an OpenAI-compatible chat-completions server on loopback, replies queued in, history out.

    with FakeModel() as model:
        model.queue_text("the analysis")
        model.queue_tool_call("look_up", {"key": "p99"})
        … = Emulator(…=model.url)                     # MINISTACK_BEDROCK_PROXY_URL
        assert "p99" in model.conversations[0].last_message

What the emulator makes of it (1.5.33, `ministack.services.bedrock_runtime`): text and tool calls become Converse
blocks and `usage` the tokens; `finish_reason` it ignores, so that a reply cut by length looks like a normal end. An
HTTP error, or no answer in time, is a ModelErrorException (`local/emulator/edge/model.py`).
"""

import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from local.emulator.edge.canned import canned_input
from local.emulator.edge.directions import directions
from tests.support.http_server import HttpServer, Received, Reply

COMPLETIONS_PATH = "/v1/chat/completions"


@dataclass(frozen=True)
class Conversation:
    """What the model was given in one call.

    :ivar messages: as OpenAI's API has them: `role`, `content`, …
    """

    messages: Sequence[Mapping[str, Any]]

    @property
    def system_prompt(self) -> str:
        """The system message's text, empty if there is none."""
        return next((str(message["content"]) for message in self.messages if message["role"] == "system"), "")

    @property
    def last_message(self) -> str:
        """The text of what was said last."""
        return str(self.messages[-1].get("content") or "")

    @property
    def first_message(self) -> str:
        """The text of what the user said first."""
        return next((str(message["content"]) for message in self.messages if message["role"] == "user"), "")

    @property
    def answers(self) -> int:
        """How many answers of the model it has so far."""
        return sum(message["role"] == "assistant" for message in self.messages)


class FakeModel(HttpServer):
    """Answers with what was queued; each reply serves one call.

    :param default_text: what it says when nothing is queued; None is an HTTP error
    :ivar usage: prompt and completion tokens that each reply says it took
    """

    def __init__(self, default_text: str | None = None, usage: tuple[int, int] = (11, 7)) -> None:
        self.usage = usage
        super().__init__(_error(503, "no reply is queued"))
        if default_text is not None:
            self._default = self._completion({"content": default_text}, "stop")

    @property
    def conversations(self) -> list[Conversation]:
        """All calls so far, oldest first."""
        return [
            Conversation(json.loads(request.body)["messages"])
            for request in list(self.requests)
            if request.path == COMPLETIONS_PATH
        ]

    def queue_text(self, text: str, *, finish_reason: str = "stop", delay_seconds: float = 0) -> None:
        """Answer a call with a text; `finish_reason="length"` is a model that ran into its token limit."""
        self.queue(self._completion({"content": text}, finish_reason, delay_seconds))

    def queue_tool_call(self, name: str, arguments: Mapping[str, Any], *, delay_seconds: float = 0) -> None:
        """Answer a call by asking for a tool."""
        self.queue(self._tool_call(name, arguments, delay_seconds))

    def queue_error(self, status: int, message: str = "scripted failure") -> None:
        """Answer a call with an HTTP error."""
        self.queue(_error(status, message))

    def queue_hang(self) -> None:
        """Leave a call without an answer until the server closes."""
        self.queue(Reply(hangs=True))

    def answer(self, request: Received) -> Reply:
        """Return the next reply, as canned ones are directed; another path than that of chat completions is a 404."""
        if request.path != COMPLETIONS_PATH:
            return _error(404, f"no such path: {request.path}")
        given = directions(request.body)
        if given.failure:
            return _error(424, f"the prompt says {given.failure}")
        if call := _directed_call(json.loads(request.body), given.tool):
            return self._tool_call(given.tool, call)
        reply = super().answer(request)
        return replace(reply, delay_seconds=given.seconds or reply.delay_seconds)

    def _tool_call(self, name: str, arguments: Mapping[str, Any], delay_seconds: float = 0) -> Reply:
        return self._tool_calls({f"call_{uuid.uuid4().hex[:8]}": (name, arguments)}, delay_seconds)

    def _tool_calls(self, calls: Mapping[str, tuple[str, Mapping[str, Any]]], delay_seconds: float = 0) -> Reply:
        asked = [
            {"id": call, "type": "function", "function": {"name": name, "arguments": json.dumps(arguments)}}
            for call, (name, arguments) in calls.items()
        ]
        return self._completion({"content": None, "tool_calls": asked}, "tool_calls", delay_seconds)

    def _completion(self, message: Mapping[str, Any], finish_reason: str, delay_seconds: float = 0) -> Reply:
        prompt_tokens, completion_tokens = self.usage
        body = {
            "id": f"chatcmpl-{uuid.uuid4().hex[:12]}",
            "object": "chat.completion",
            "created": 0,
            "model": "fake",
            "choices": [{"index": 0, "message": {"role": "assistant", **message}, "finish_reason": finish_reason}],
            "usage": {
                "prompt_tokens": prompt_tokens,
                "completion_tokens": completion_tokens,
                "total_tokens": prompt_tokens + completion_tokens,
            },
        }
        return _json_reply(body, delay_seconds=delay_seconds)


def _directed_call(body: Mapping[str, Any], tool: str) -> Mapping[str, Any]:
    """Return what a tool is given that the prompt says to call, unless one was called already; {} for no call."""
    offered = {each["function"]["name"]: each["function"]["parameters"] for each in body.get("tools", [])}
    called = any(message["role"] == "tool" for message in body["messages"])
    return canned_input(offered[tool]) if tool in offered and not called else {}


def _error(status: int, message: str) -> Reply:
    return _json_reply({"error": {"message": message, "type": "scripted", "code": status}}, status)


def _json_reply(body: Mapping[str, Any], status: int = 200, delay_seconds: float = 0) -> Reply:
    headers = {"Content-Type": "application/json"}
    return Reply(status, json.dumps(body).encode(), headers, delay_seconds=delay_seconds)
