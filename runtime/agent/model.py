"""Runs one step with a Strands agent on Amazon Bedrock.

Importing this module takes more than a second, so only the background task does.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator
from typing import Any

from botocore.config import Config
from strands import Agent, tool
from strands.agent import AgentResult
from strands.hooks import BeforeModelCallEvent
from strands.middleware import ExecuteToolContext, ExecuteToolStage
from strands.models.bedrock import BedrockModel
from strands.types.content import Messages
from strands.types.exceptions import EventLoopException
from strands.types.tools import AgentTool

from runtime.agent.artifacts import Artifact, Usage
from runtime.agent.definition import Items, Step
from runtime.agent.errors import EmptyAnswer, Escaped, StepStopped, WrongResult
from runtime.agent.results import serialized

NORMAL_ENDS = {"end_turn", "stop_sequence"}
MAX_TURNS = 50
MAX_OUTPUT_TOKENS = 100_000


def build_model(model_id: str, region: str) -> BedrockModel:
    """Return a model whose calls fail within about six minutes, retries included, if there is no answer."""
    return BedrockModel(
        model_id=model_id,
        region_name=region,
        boto_client_config=Config(
            connect_timeout=5, read_timeout=120, retries={"mode": "standard", "total_max_attempts": 3}
        ),
    )


async def hold_what_escapes(
    context: ExecuteToolContext, next_fn: Callable[[ExecuteToolContext], AsyncGenerator[Any, None]]
) -> AsyncGenerator[Any, None]:
    """Report whatever a tool raises on the event loop to the model, as an ordinary failure of the tool.

    Strands runs each tool in an asyncio task of its own: there, anything but an `Exception` leaves the model without an
    answer, or ends the loop. What a tool raises in a thread is caught by :mod:`runtime.agent.threads`.
    """
    events = next_fn(context)
    while True:
        try:
            event = await anext(events)
        except StopAsyncIteration:
            return
        except Exception:
            raise
        except BaseException as error:
            if (task := asyncio.current_task()) and task.cancelling():
                raise
            raise Escaped(error, f"tool {context.tool_use['name']} ") from error
        # Outside the `try`: what is raised here is meant for this generator, such as its closing.
        yield event


async def run_step(model: BedrockModel, step: Step, message: str) -> Artifact:
    """Run a new agent on a message and return what it wrote, or its result as JSON.

    :raises StepStopped: if the model stopped at a limit or was stopped
    :raises EmptyAnswer: if it wrote nothing
    :raises WrongResult: if its result was wrong twice
    :raises Exception: whatever Strands and Bedrock raise
    """
    # Here rather than by decorator, for which every start would have to import Strands.
    tools = [made if isinstance(made, AgentTool) else tool(made) for made in step.tools]
    agent = Agent(model=model, system_prompt=step.system_prompt, tools=tools, name=step.name, callback_handler=None)
    agent.add_middleware(ExecuteToolStage, hold_what_escapes)
    tries = ResultTries(step.name, step.result_object.__name__ if step.result_object else "")
    agent.add_hook(tries.look)
    try:
        result = await agent.invoke_async(
            message,
            limits={"turns": MAX_TURNS, "output_tokens": MAX_OUTPUT_TOKENS},
            structured_output_model=step.result_object,
        )
    except EventLoopException as error:
        # Strands wraps what a hook raises.
        if isinstance(error.original_exception, WrongResult):
            raise error.original_exception from None
        raise
    usage = result.metrics.accumulated_usage
    return Artifact(step.name, _answer(step, result), Usage(usage["inputTokens"], usage["outputTokens"]))


def _answer(step: Step, result: AgentResult) -> str:
    if step.result is not None and result.structured_output is not None:
        given = result.structured_output
        return serialized(step, given.items if isinstance(given, Items) else given)
    # Strands raises nothing at a limit: only the stop reason tells.
    if result.stop_reason not in NORMAL_ENDS or step.result is not None:
        raise StepStopped(step.name, result.stop_reason)
    text = str(result).strip()
    if not text:
        raise EmptyAnswer(step.name)
    return text


class ResultTries:
    """Lets a model try its result twice, and fails then with what was wrong: Strands alone asks again and again.

    :param tool_name: the tool by which Strands asks for the result
    """

    def __init__(self, step: str, tool_name: str) -> None:
        self._step = step
        self._tool_name = tool_name

    def look(self, event: BeforeModelCallEvent) -> None:
        """Count the results that were refused so far.

        :raises WrongResult: if there is no try left
        """
        refused = [*_refused(event.agent.messages, self._tool_name)] if self._tool_name else []
        if len(refused) > 1:
            raise WrongResult(self._step, refused[-1])


def _refused(messages: Messages, tool_name: str) -> Iterator[str]:
    asked = {
        block["toolUse"]["toolUseId"]
        for message in messages
        for block in message["content"]
        if "toolUse" in block and block["toolUse"]["name"] == tool_name
    }
    for message in messages:
        for block in message["content"]:
            answer = block.get("toolResult")
            if answer and answer["toolUseId"] in asked and answer["status"] == "error":
                yield " ".join(str(part.get("text", "")) for part in answer["content"])
