"""Runs one step with a Strands agent on Amazon Bedrock.

Importing this module takes more than a second, so only the background task does.
"""

import asyncio
import hashlib
import json
from collections.abc import AsyncGenerator, Callable
from typing import Any

from botocore.config import Config
from strands import Agent, tool
from strands.agent import AgentResult
from strands.agent.conversation_manager import SlidingWindowConversationManager
from strands.middleware import ExecuteToolContext, ExecuteToolStage
from strands.models import CacheConfig
from strands.models.bedrock import BedrockModel
from strands.models.model import Model
from strands.types.exceptions import EventLoopException
from strands.types.tools import AgentTool

from runtime.agent.artifacts import Artifact
from runtime.agent.asking import Asked, still_asked
from runtime.agent.conversation import STRANDS, Conversation
from runtime.agent.definition import Items, Step
from runtime.agent.errors import EmptyAnswer, Escaped, StepStopped
from runtime.agent.messages import given_result
from runtime.agent.results import serialized
from runtime.agent.step_journal import StepJournal

NORMAL_ENDS = {"end_turn", "stop_sequence"}


def build_model(model_id: str, region: str) -> BedrockModel:
    """Return a model whose calls fail within about six minutes, retries included, if there is no answer."""
    return BedrockModel(
        model_id=model_id,
        region_name=region,
        # Where the model has it: a turn then pays a tenth for what the turn before it has said.
        cache_config=CacheConfig(strategy="auto", system_prompt_ttl=True, tools_ttl=True),
        boto_client_config=Config(
            connect_timeout=5, read_timeout=120, retries={"mode": "standard", "total_max_attempts": 3}
        ),
    )


def prepare(model: BedrockModel) -> None:
    """Import what the first agent would: Strands imports some of itself when one is made."""
    Agent(model=model, callback_handler=None)


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


async def run_step(model: Model, step: Step, message: str, journal: StepJournal) -> Artifact | Asked:
    """Run an agent on a message, or go on where an earlier attempt was.

    :return: what it wrote, or its result as JSON; or what it asks a person, as far as it came

    :raises StepStopped: if the model stopped at a limit or was stopped
    :raises EmptyAnswer: if it wrote nothing
    :raises WrongResult: if its result was wrong twice
    :raises BudgetExceeded: if the run has spent its tokens
    :raises CannotResume: if what was stored can't be read, and it may not begin anew
    :raises Exception: whatever Strands and Bedrock raise
    """
    agent = _agent(model, step)
    definition = _definition(agent, step)
    digest = hashlib.sha256(json.dumps(definition, sort_keys=True).encode()).hexdigest()[:12]
    stored = await journal.restored()
    if stored and (asked := still_asked(stored.newest.interrupts, journal.answers)):
        return asked
    await journal.define(json.dumps(definition | {"digest": digest, "message": message}).encode())
    talk = Conversation(step, journal, digest, stored)
    if stored:
        agent.messages = talk.messages
        await talk.resume(stored)
    talk.attach(agent)
    text = _stored_answer(step, talk) if stored else None
    if text is None:
        # Without a message Strands goes on: with the tools that the last answer asks for, or with the next answer.
        result = await _run(agent, step, talk, _next_message(talk) if stored else message)
        if result.stop_reason == "interrupt" and talk.asks:
            return await talk.stop_to_ask()
        text = _answer(step, result)
    return Artifact(step.name, text, talk.usage)


def _agent(model: Model, step: Step) -> Agent:
    # Here rather than by decorator, for which every start would have to import Strands.
    tools: list[Any] = [made if isinstance(made, AgentTool) else tool(made) for made in step.tools]
    agent = Agent(
        model=model,
        system_prompt=step.system_prompt,
        tools=tools,
        name=step.name,
        callback_handler=None,
        # By default it forgets the request after forty messages. This one forgets when the model can't take more.
        conversation_manager=SlidingWindowConversationManager(window_size=10**6, pin_first=1),
    )
    agent.add_middleware(ExecuteToolStage, hold_what_escapes)
    return agent


def _definition(agent: Agent, step: Step) -> dict[str, Any]:
    """Return all that decides what the model is asked, but for the conversation."""
    return {
        "prompt": step.system_prompt,
        "tools": agent.tool_registry.get_all_tool_specs(),
        "result": None if step.result is None else step.adapter.json_schema(),
        "model": {name: str(value) for name, value in agent.model.get_config().items()},
        "strands": STRANDS,
    }


async def _run(agent: Agent, step: Step, talk: Conversation, message: str | None) -> AgentResult:
    try:
        result = await agent.invoke_async(message, structured_output_model=step.result_object)
    except EventLoopException:
        # Strands wraps what a hook raises.
        if talk.failure:
            raise talk.failure from None
        raise
    if talk.failure:
        raise talk.failure
    return result


def _next_message(talk: Conversation) -> str | None:
    """Return what to say where the model has answered in words and has to give a result."""
    return None if talk.answer() is None else "You must format the previous response as structured output."


def _stored_answer(step: Step, talk: Conversation) -> str | None:
    """Return what a conversation ended with that was stored to its end, or None."""
    if step.result is None:
        return talk.answer()
    given = given_result(step, talk.messages)
    return None if given is None else _as_stored(step, given)


def _answer(step: Step, result: AgentResult) -> str:
    if step.result is not None and result.structured_output is not None:
        return _as_stored(step, result.structured_output)
    # Strands raises nothing at a limit: only the stop reason tells.
    if result.stop_reason not in NORMAL_ENDS or step.result is not None:
        raise StepStopped(step.name, result.stop_reason)
    text = str(result).strip()
    if not text:
        raise EmptyAnswer(step.name)
    return text


def _as_stored(step: Step, given: Any) -> str:
    return serialized(step, given.items if isinstance(given, Items) else given)
