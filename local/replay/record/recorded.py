"""A model that answers from a recorded line, and tools that give their recorded results.

Both are asked by Strands as the real ones are. What they refuse is kept by their unit as well: Strands wraps what a
model raises, and tells the model what a tool raises.
"""

import json
import re
from collections.abc import AsyncIterator, Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, cast

from strands import tool
from strands.models.model import Model
from strands.types._events import ToolResultEvent
from strands.types.tools import AgentTool

from local.replay.record.differences import diff, diff_of_data, diff_of_messages
from local.replay.record.errors import NotApproved, NotRecorded, RecordEnds, RequestDiffers, recorded_error
from local.replay.record.folder import Failure
from local.replay.record.line import Line, tool_uses
from runtime.agent.definition import Step
from runtime.agent.tool_call import tool_call

SHOWN_CHARACTERS = 200
_STOPPED = re.compile(r"stopped with '(?!limit_)(\w+)'")
"""As :class:`runtime.agent.errors.StepStopped` says it."""


@dataclass
class Part:
    """One step's, or one item's, part in a replay.

    :ivar name: as it is shown
    :ivar is_live: whether a real model is asked
    :ivar structure_only: whether texts of the record were changed, so that they can't be compared
    :ivar failure: what it ended with in the recorded run, if it failed
    :ivar completed: whether it had a result there
    :ivar approved: the calls of tools that a person has approved there: turn, and place in it
    :ivar stopped: why it can't go on
    """

    name: str
    line: Line
    is_live: bool
    structure_only: bool
    failure: Failure | None
    completed: bool
    approved: frozenset[tuple[int, int]] = frozenset()
    stopped: Exception | None = field(default=None)

    def stop(self, why: Exception) -> Exception:
        """Keep the first reason to stop, and return it."""
        self.stopped = self.stopped or why
        return self.stopped

    def end(self) -> Exception:
        """Return what it ends with where its record does: its error there, if it failed."""
        if self.failure:
            return recorded_error(self.failure.error_type, self.failure.message)
        return RecordEnds(self.name, begun=bool(self.line.answers))


playing = ContextVar[Part]("playing")


class RecordedModel(Model):
    """Answers as the recorded model did, as long as it is asked the same.

    :param step: the step as it is now
    """

    def __init__(self, part: Part, step: Step) -> None:
        self._part = part
        self._step = step
        self._turn = 0

    def update_config(self, **model_config: Any) -> None:
        """Nothing can be configured."""

    def get_config(self) -> Any:
        """Return what the recorded model was."""
        return (self._part.line.definition or {}).get("model", {})

    def structured_output(self, *args: Any, **kwargs: Any) -> Any:
        """Not used by the agent."""
        raise NotImplementedError

    async def stream(  # Strands' own models have fewer, too
        self, messages: Any, tool_specs: Any = None, system_prompt: str | None = None, **_: Any
    ) -> AsyncIterator[Any]:
        """Give the next recorded answer.

        :raises RequestDiffers: if what is asked is not what was asked
        :raises RecordEnds: if there is no further answer
        :raises RecordedError: if the recorded model, or what came after its last answer, failed
        """
        if self._part.stopped:
            raise self._part.stopped
        self._turn += 1
        line, asked = self._part.line, len(self._part.line.answers)
        self._compare_definition(tool_specs, system_prompt)
        if self._turn > asked:
            raise self._part.stop(self._end(messages))
        place = line.answers[self._turn - 1]
        self._refuse("messages", self._difference(line.messages[:place], messages))
        for event in events_of(line.messages[place], self._stop_reason(line.messages[place])):
            yield event

    def _compare_definition(self, tool_specs: Any, system_prompt: str | None) -> None:
        recorded = self._part.line.definition
        if recorded is None or self._part.structure_only:
            return
        own = self._step.result_object
        tools = [spec for spec in tool_specs or () if own is None or spec["name"] != own.__name__]
        self._refuse("prompt", diff(recorded["prompt"], system_prompt or ""))
        self._refuse("tools", diff_of_data(_by_name(recorded["tools"]), _by_name(tools)))
        result = None if self._step.result is None else self._step.adapter.json_schema()
        self._refuse("form of the result", diff_of_data(recorded["result"], result))

    def _difference(self, recorded: Any, asked: Any) -> str:
        return diff_of_messages(recorded, asked, structure_only=self._part.structure_only)

    def _refuse(self, part: str, difference: str) -> None:
        if difference:
            raise self._part.stop(RequestDiffers(self._part.name, self._turn, part, difference))

    def _end(self, messages: Any) -> Exception:
        part = self._part
        if part.completed and not part.failure:
            difference = self._difference(part.line.messages, messages)
            return RequestDiffers(part.name, self._turn, "messages", difference)
        return part.end()

    def _stop_reason(self, answer: Any) -> str:
        """Return why the model stopped: only a failure's text tells, where it was no ordinary reason."""
        failure = self._part.failure
        if failure and self._turn == len(self._part.line.answers):
            if failure.error_type == "MaxTokensReachedException":
                return "max_tokens"
            if stopped := _STOPPED.search(failure.message):
                return stopped[1]
        return "tool_use" if tool_uses(answer) else "end_turn"


class RecordedTool(AgentTool):
    """Gives what a tool gave in the recorded run, and never calls it."""

    _lacking: type[NotRecorded | NotApproved] = NotRecorded

    def __init__(self, real: AgentTool) -> None:
        super().__init__()
        self._real = real

    @property
    def tool_name(self) -> str:
        """The tool's name."""
        return self._real.tool_name

    @property
    def tool_spec(self) -> Any:
        """What the model knows of the tool."""
        return self._real.tool_spec

    @property
    def tool_type(self) -> str:
        """The tool's kind."""
        return self._real.tool_type

    async def stream(self, tool_use: Any, invocation_state: dict[str, Any], **kwargs: Any) -> AsyncIterator[Any]:  # pyrefly: ignore[bad-override]
        """Give the recorded result; answers of people are among them.

        :raises RecordEnds: if the run was ended while its tools ran, or while it waited for a person
        :raises RecordedError: if the step failed there
        :raises NotRecorded: if there is none
        """
        del invocation_state, kwargs
        part, call = playing.get(), tool_call()
        found = None if part.is_live else part.line.results.get((call.turn, call.call))
        if found is None:
            found = part.line.like(tool_use["name"], tool_use["input"])
        if found is None and not part.is_live and part.line.ends_before_results_of(call.turn):
            raise part.stop(part.end())
        if found is None:
            raise part.stop(self._lacking(part.name, self.tool_name, _shown(tool_use)))
        yield ToolResultEvent(cast("Any", {**found, "toolUseId": tool_use["toolUseId"]}))


class ApprovedTool(RecordedTool):
    """Really calls a tool where a person has approved this very call in the recorded run, and nowhere else."""

    _lacking = NotApproved

    async def stream(self, tool_use: Any, invocation_state: dict[str, Any], **kwargs: Any) -> AsyncIterator[Any]:
        """Call the tool, or give the recorded result, such as a denial.

        :raises NotApproved: if there is neither
        """
        part, call = playing.get(), tool_call()
        is_approved = not part.is_live and (call.turn, call.call) in part.approved
        tool = self._real if is_approved else super()
        async for event in tool.stream(tool_use, invocation_state, **kwargs):
            yield event


class StoppingModel(Model):
    """A real model that is asked no more once its part has to stop."""

    def __init__(self, part: Part, real: Model) -> None:
        self._part = part
        self._real = real

    def update_config(self, **model_config: Any) -> None:
        """Configure the real one."""
        self._real.update_config(**model_config)

    def get_config(self) -> Any:
        """Return what the real one is."""
        return self._real.get_config()

    def structured_output(self, *args: Any, **kwargs: Any) -> Any:
        """Not used by the agent."""
        raise NotImplementedError

    async def stream(self, *args: Any, **kwargs: Any) -> AsyncIterator[Any]:
        """Ask the real one."""
        if self._part.stopped:
            raise self._part.stopped
        async for event in self._real.stream(*args, **kwargs):
            yield event


def made_tool(made: Any) -> AgentTool:
    """Return a step's tool as Strands has it."""
    return made if isinstance(made, AgentTool) else cast("AgentTool", tool(made))


def events_of(message: Any, stop_reason: str) -> Iterator[Any]:
    """Give the events of a stream that a message becomes of."""
    yield {"messageStart": {"role": "assistant"}}
    for block in message["content"]:
        start, deltas = _block_events(block)
        yield {"contentBlockStart": {"start": start}}
        for delta in deltas:
            yield {"contentBlockDelta": {"delta": delta}}
        yield {"contentBlockStop": {}}
    yield {"messageStop": {"stopReason": stop_reason}}
    about = message.get("metadata") or {}
    nothing = {"inputTokens": 0, "outputTokens": 0, "totalTokens": 0}
    metrics = {"latencyMs": (about.get("metrics") or {}).get("latencyMs", 0)}
    yield {"metadata": {"usage": about.get("usage") or nothing, "metrics": metrics}}


def _block_events(block: Mapping[str, Any]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    kind = next(iter(block), "")
    if kind == "text":
        return {}, [{"text": block["text"]}]
    if kind == "toolUse":
        use = dict(block["toolUse"])
        given = json.dumps(use.pop("input"), ensure_ascii=False)
        return {"toolUse": use}, [{"toolUse": {"input": given}}]
    if kind == "citationsContent":
        content = block[kind]
        texts = [{"text": part["text"]} for part in content.get("content", ())]
        return {}, [*texts, *({"citation": citation} for citation in content["citations"])]
    if kind == "reasoningContent":
        return {}, [*_reasoning(block[kind])]
    raise ValueError(f"a recorded answer has a block that can't be replayed: {kind}")


def _reasoning(content: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    if said := content.get("reasoningText"):
        yield {"reasoningContent": {"text": said["text"]}}
        if "signature" in said:
            yield {"reasoningContent": {"signature": said["signature"]}}
    if hidden := content.get("redactedContent"):
        yield {"reasoningContent": {"redactedContent": hidden}}


def _shown(tool_use: Any) -> str:
    return json.dumps(tool_use["input"], ensure_ascii=False, default=str)[:SHOWN_CHARACTERS]


def _by_name(specs: Any) -> list[Any]:
    return sorted(specs, key=lambda spec: spec["name"])
