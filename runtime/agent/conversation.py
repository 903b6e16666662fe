"""A Strands agent's conversation: stored turn by turn, taken up again by a later attempt, held to its limits.

Strands calls the hooks here before it goes on, so that an answer is stored before its tools run, and their results
before the model is asked again. Its own checkpoints (`checkpointing=True`) do the same by ending the invocation, and
with it all that counts within one: its limits, the retries of a structured result, the trimming of old messages.

Importing this module imports Strands.
"""

from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import contextmanager
from importlib.metadata import version
from typing import Any, cast

from strands import Agent
from strands.hooks import AfterModelCallEvent, AfterToolsEvent, BeforeModelCallEvent, MessageAddedEvent
from strands.middleware import ExecuteToolContext, ExecuteToolStage
from strands.types.content import Message, Messages
from strands.types.events import ToolResultEvent
from strands.types.exceptions import ContextWindowOverflowException
from strands.types.session import decode_bytes_values, encode_bytes_values
from strands.types.tools import ToolResult, ToolUse

from runtime.agent.artifacts import Usage
from runtime.agent.asking import Asked, Asking, refusal
from runtime.agent.definition import Step
from runtime.agent.errors import OutcomeUnknown, StepStopped, WrongResult
from runtime.agent.messages import (
    SHOWN_CALLS,
    SHOWN_CHARACTERS,
    blocks,
    refused_results,
    shown_calls,
    size_of,
    text_of,
    usage_of,
)
from runtime.agent.once import OnceOnly
from runtime.agent.step_journal import StepJournal
from runtime.agent.tool_call import ToolCall, current
from runtime.agent.turns import Interrupts, StoredTurn, Turn, TurnKind
from runtime.journal.records import error_text
from runtime.journal.vocabulary import StepPhase
from runtime.journal.waits import Wants

MAX_TURNS = 200
"""Answers of the model in one step or item, over all attempts; a request may allow fewer."""
MAX_OUTPUT_TOKENS = 100_000
"""Of one step or item, over all attempts."""
STRANDS = version("strands-agents")


class Conversation:
    """Stores what is said in one unit's conversation, and stands between its agent and its tools.

    :param definition: digest of the step's definition
    :param stored: what an earlier attempt has stored
    :ivar failure: why the conversation can't go on: Strands wraps what a hook raises, and tells the model what is
        raised around a tool
    """

    def __init__(self, step: Step, journal: StepJournal, definition: str, stored: StoredTurn | None = None) -> None:
        self._step = step
        self._journal = journal
        self._max_turns = min(MAX_TURNS, journal.max_turns or MAX_TURNS)
        self._definition = definition
        self._turn = stored.newest.number if stored else 0
        self._usage = stored.newest.usage if stored else Usage()
        self._parent = stored.key if stored else None
        self._once = OnceOnly(journal, stored.newest.unresolved if stored else ())
        self._messages: Messages = cast("Messages", decode_bytes_values(stored.messages)) if stored else []
        self._stored: list[Message] | None = [*self._messages]
        self._failures: list[dict[str, str]] = []
        self._ends_with = stored.newest.kind if stored else None
        interrupts = stored.newest.interrupts if stored else None
        self._asking = Asking(step, journal.place[2], journal.answers, interrupts)
        self.failure: Exception | None = None

    @property
    def messages(self) -> Messages:
        """What was said so far, for the agent to begin with."""
        return self._messages

    @property
    def usage(self) -> Usage:
        """What the conversation has cost so far, in all attempts."""
        return self._usage

    async def resume(self, stored: StoredTurn) -> None:
        """Journal that the conversation goes on, and find the calls of which nobody knows whether they were made.

        :raises AttemptOver: if the attempt may write nothing more
        """
        self._journal.note_spent(stored.newest)
        if self._step.runs_once and stored.newest.kind is not TurnKind.TOOLS:
            await self._once.resume(self._turn, {self._place_of(call) for call in self._asking.results})
        await self._journal.append(
            StepPhase.RESUMED,
            self._turn,
            {
                "turn": self._turn,
                "fromAttempt": stored.attempt,
                "definitionChanged": stored.newest.definition != self._definition,
                "tokens": self._usage.as_detail(),
            },
        )

    def attach(self, agent: Agent) -> None:
        """Listen to an agent that begins with :attr:`messages`."""
        self._messages = agent.messages
        agent.add_hook(self._check)
        agent.add_hook(self._notice_failure)
        agent.add_hook(self._keep)
        agent.add_hook(self._keep_results)
        agent.add_middleware(ExecuteToolStage, self._around_tool)

    def answer(self) -> str | None:
        """Return the text of a conversation that was stored to its end, or None."""
        return text_of(self._messages[-1]) if self._ends_with is TurnKind.FINAL else None

    @property
    def asks(self) -> bool:
        """Whether calls of the newest answer wait for a person."""
        return bool(self._asking.open)

    async def stop_to_ask(self) -> Asked:
        """Store that calls of the newest answer wait for a person, with the results of all others.

        :raises AttemptOver: if the attempt may write nothing more
        """
        questions = tuple(sorted(self._asking.open, key=lambda question: question.call))
        shown = [
            {"call": each.call, "tool": each.tool, "wants": each.wants, "input": each.text[:SHOWN_CHARACTERS]}
            for each in questions[:SHOWN_CALLS]
        ]
        results = encode_bytes_values([*self._asking.results.values()])
        detail = {"after": "question", "tools": shown}
        await self._store(TurnKind.INTERRUPTED, detail, Interrupts(questions, results))
        return Asked(questions)

    def _keep_results(self, event: AfterToolsEvent) -> None:
        # Strands takes a structured result from the call itself, so that one is made again.
        own = self._step.result_object.__name__ if self._step.result_object else None
        names = {use["toolUseId"]: use["name"] for use in blocks(self._messages[-1], "toolUse")}
        results = blocks(event.message, "toolResult")
        self._asking.results = {each["toolUseId"]: each for each in results if names.get(each["toolUseId"]) != own}

    def _check(self, event: BeforeModelCallEvent) -> None:
        """Check the limits before the model is called."""
        with self._failing():
            self._check_limits()
            refused = [*refused_results(self._step, event.agent.messages)]
            # Strands alone asks again and again.
            if len(refused) > 1:
                raise WrongResult(self._step.name, refused[-1])

    def _check_limits(self) -> None:
        self._journal.spending.check()
        if self._turn >= self._max_turns:
            raise StepStopped(self._step.name, "limit_turns")
        if self._usage.output_tokens >= MAX_OUTPUT_TOKENS:
            raise StepStopped(self._step.name, "limit_output_tokens")

    @contextmanager
    def _failing(self) -> Generator[None]:
        # What is raised around a tool is told to the model. Unless it is meant for it, the next hook ends all.
        try:
            yield
        except OutcomeUnknown:
            raise
        except Exception as error:
            self.failure = error
            raise

    def _notice_failure(self, event: AfterModelCallEvent) -> None:
        # Strands tries some again, and wraps the last one.
        self._journal.failed_call = None
        if event.exception:
            error = {"errorType": type(event.exception).__name__, "errorMessage": error_text(event.exception)}
            self._journal.failed_call = {"turn": self._turn + 1, **error}
            self._failures.append(error | {"errorMessage": error["errorMessage"][:SHOWN_CHARACTERS]})
        if isinstance(event.exception, ContextWindowOverflowException):
            # Strands then shortens results in place: what is stored is no part of what is there any more.
            self._stored = None

    async def _keep(self, event: MessageAddedEvent) -> None:
        """Store what is new, except for what is told to the model: that is stored with its answer."""
        message = event.message
        if message["role"] == "user" and not blocks(message, "toolResult"):
            return
        if self.failure:
            raise self.failure
        with self._failing():
            await self._store_message(message)

    async def _store_message(self, message: Message) -> None:
        if message["role"] == "user":
            kind, detail = TurnKind.TOOLS, {"after": "tools", "tools": self._results(message)}
        else:
            self._turn += 1
            self._usage += usage_of(message)
            uses = blocks(message, "toolUse")
            kind = TurnKind.MODEL if uses else TurnKind.FINAL
            detail: dict[str, Any] = {"after": "model", "tools": shown_calls(uses)} if uses else {"after": "answer"}
            detail["tokens"] = self._usage.as_detail()
            if self._step.model:
                detail["model"] = self._step.model
            if self._failures:
                detail["failed"] = self._failures[:SHOWN_CALLS]
                self._failures = []
        await self._store(kind, detail)
        self._asking.end_turn()

    async def _store(self, kind: TurnKind, detail: dict[str, Any], interrupts: Interrupts | None = None) -> None:
        added = self._added()
        self._parent = await self._journal.store(
            Turn(
                number=self._turn,
                kind=kind,
                messages=encode_bytes_values(added),
                parent=None if added is self._messages else self._parent,
                usage=self._usage,
                unresolved=tuple(self._once.unresolved),
                interrupts=interrupts,
                definition=self._definition,
                strands=STRANDS,
            ),
            detail,
        )
        self._stored = [*self._messages]
        self._ends_with = kind

    def _added(self) -> Messages:
        """Return what is not stored yet, or all if what is stored is not what it begins with."""
        stored = self._stored
        if self._parent is None or stored is None or len(stored) > len(self._messages):
            return self._messages
        if any(kept is not there for kept, there in zip(stored, self._messages, strict=False)):
            return self._messages
        return self._messages[len(stored) :]

    def _results(self, message: Message) -> list[dict[str, Any]]:
        uses = {use["toolUseId"]: (place, use) for place, use in enumerate(blocks(self._messages[-2], "toolUse"))}
        results = [(*uses[each["toolUseId"]], each) for each in blocks(message, "toolResult")[:SHOWN_CALLS]]
        return [
            {"call": call, "tool": use["name"], "status": result["status"], "characters": size_of(result)}
            for call, use, result in results
        ]

    async def _around_tool(
        self, context: ExecuteToolContext, next_fn: Callable[[ExecuteToolContext], AsyncGenerator[Any, None]]
    ) -> AsyncGenerator[Any, None]:
        use, call = context.tool_use, self._place_of(context.tool_use["toolUseId"])
        if use["toolUseId"] in self._asking.results:
            yield ToolResultEvent(decode_bytes_values(self._asking.results[use["toolUseId"]]))
            return
        question = self._asking.question(self._turn, call, use["name"], use["input"])
        claim = None
        if use["name"] in self._step.runs_once or (question and question.wants is Wants.APPROVAL):
            claim = self._once.claim_of(self._turn, call, use["name"], use["input"])
            with self._failing():
                await self._once.check(claim)
        said = self._asking.answer(question) if question else None
        if question and said is None:
            # Nobody is asked for what the model could not be told any more.
            with self._failing():
                self._check_limits()
            self._asking.open.append(question)
            context.interrupt(question.tool)
        if question and said and not said.approved:
            yield ToolResultEvent(_refused(use, refusal(question, said)))
            return
        if claim:
            with self._failing():
                await self._once.claim(claim)

        async def progress(text: str) -> None:
            await self._journal.append(StepPhase.PROGRESS, self._turn, {"text": text})

        key = self._journal.idempotency_key(self._turn, call)
        # Each tool has an asyncio task, and with it a context, of its own.
        current.set(ToolCall(self._turn, call, key, progress, said.text if said else ""))
        async for event in next_fn(context):
            yield event

    def _place_of(self, tool_use_id: str) -> int:
        """Return the call's place in the model's answer: Strands' own lists leave out what has a result."""
        uses = blocks(self._messages[-1], "toolUse")
        return next((place for place, each in enumerate(uses) if each["toolUseId"] == tool_use_id), 0)


def _refused(use: ToolUse, why: str) -> ToolResult:
    return {"toolUseId": use["toolUseId"], "status": "error", "content": [{"text": why}]}
