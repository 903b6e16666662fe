"""A Strands agent's conversation: stored turn by turn, taken up again by a later attempt, held to its limits.

Strands calls the hooks here before it goes on, so that an answer is stored before its tools run, and their results
before the model is asked again. Its own checkpoints (`checkpointing=True`) do the same by ending the invocation, and
with it all that counts within one: its limits, the retries of a structured result, the trimming of old messages.

Importing this module imports Strands.
"""

import hashlib
import json
from collections.abc import AsyncGenerator, Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from typing import Any, cast

from strands import Agent
from strands.hooks import AfterModelCallEvent, BeforeModelCallEvent, MessageAddedEvent
from strands.middleware import ExecuteToolContext, ExecuteToolStage
from strands.types.content import Message, Messages
from strands.types.exceptions import ContextWindowOverflowException
from strands.types.session import decode_bytes_values, encode_bytes_values
from strands.types.tools import ToolUse

from runtime.agent.artifacts import Usage
from runtime.agent.definition import Step
from runtime.agent.errors import OutcomeUnknown, StepStopped, WrongResult
from runtime.agent.step_journal import StepJournal
from runtime.agent.tool_call import ToolCall, current
from runtime.agent.turns import StoredTurn, Turn, TurnKind, Unresolved
from runtime.journal.records import ToolClaim, error_text
from runtime.journal.vocabulary import StepPhase

MAX_TURNS = 200
"""Answers of the model in one step or item, over all attempts; a request may allow fewer."""
MAX_OUTPUT_TOKENS = 100_000
"""Of one step or item, over all attempts."""
SHOWN_CALLS = 20
SHOWN_CHARACTERS = 200
CLAIM_CHARACTERS = 500
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
        self._unresolved = list(stored.newest.unresolved) if stored else []
        self._messages: Messages = cast("Messages", decode_bytes_values(stored.messages)) if stored else []
        self._stored: list[Message] | None = [*self._messages]
        self._failures: list[dict[str, str]] = []
        self._ends_with = stored.newest.kind if stored else None
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
        if self._step.once and stored.newest.kind is not TurnKind.TOOLS:
            # The results of this turn's calls were not stored, and without its answer none of them was claimed.
            claims = [claim for claim in await self._journal.claims() if claim.turn == self._turn]
            self._unresolved += [Unresolved(claim.turn, claim.call, claim.tool, claim.digest) for claim in claims]
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
        agent.add_middleware(ExecuteToolStage, self._around_tool)

    def answer(self) -> str | None:
        """Return the text of a conversation that was stored to its end, or None."""
        return text_of(self._messages[-1]) if self._ends_with is TurnKind.FINAL else None

    def _check(self, event: BeforeModelCallEvent) -> None:
        """Check the limits before the model is called."""
        with self._failing():
            self._journal.spending.check()
            if self._turn >= self._max_turns:
                raise StepStopped(self._step.name, "limit_turns")
            if self._usage.output_tokens >= MAX_OUTPUT_TOKENS:
                raise StepStopped(self._step.name, "limit_output_tokens")
            refused = [*refused_results(self._step, event.agent.messages)]
            # Strands alone asks again and again.
            if len(refused) > 1:
                raise WrongResult(self._step.name, refused[-1])

    @contextmanager
    def _failing(self) -> Generator[None]:
        try:
            yield
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
        if message["role"] == "user" and not _blocks(message, "toolResult"):
            return
        if self.failure:
            raise self.failure
        with self._failing():
            await self._store(message)

    async def _store(self, message: Message) -> None:
        if message["role"] == "user":
            kind, detail = TurnKind.TOOLS, {"after": "tools", "tools": self._results(message)}
        else:
            self._turn += 1
            self._usage += _usage(message)
            uses = _blocks(message, "toolUse")
            kind = TurnKind.MODEL if uses else TurnKind.FINAL
            detail: dict[str, Any] = {"after": "model", "tools": _shown_calls(uses)} if uses else {"after": "answer"}
            detail["tokens"] = self._usage.as_detail()
            if self._step.model:
                detail["model"] = self._step.model
            if self._failures:
                detail["failed"] = self._failures[:SHOWN_CALLS]
                self._failures = []
        added = self._added()
        self._parent = await self._journal.store(
            Turn(
                number=self._turn,
                kind=kind,
                messages=encode_bytes_values(added),
                parent=None if added is self._messages else self._parent,
                usage=self._usage,
                unresolved=tuple(self._unresolved),
                interrupts=None,
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
        uses = {use["toolUseId"]: (place, use) for place, use in enumerate(_blocks(self._messages[-2], "toolUse"))}
        results = [(*uses[each["toolUseId"]], each) for each in _blocks(message, "toolResult")[:SHOWN_CALLS]]
        return [
            {"call": call, "tool": use["name"], "status": result["status"], "characters": _size(result)}
            for call, use, result in results
        ]

    async def _around_tool(
        self, context: ExecuteToolContext, next_fn: Callable[[ExecuteToolContext], AsyncGenerator[Any, None]]
    ) -> AsyncGenerator[Any, None]:
        use, call = context.tool_use, self._place_of(context.tool_use)
        if use["name"] in self._step.once:
            # What is raised here is told to the model. If it is no answer for it, the next hook ends the conversation.
            with self._failing():
                unknown = await self._claim(use, call)
            if unknown:
                raise unknown

        async def progress(text: str) -> None:
            await self._journal.append(StepPhase.PROGRESS, self._turn, {"text": text})

        key = self._journal.idempotency_key(self._turn, call)
        # Each tool has an asyncio task, and with it a context, of its own.
        current.set(ToolCall(self._turn, call, key, progress))
        async for event in next_fn(context):
            yield event

    async def _claim(self, use: ToolUse, call: int) -> OutcomeUnknown | None:
        """Claim a call of a tool that runs once. Return what to say if it was claimed before, or one like it was."""
        shown = json.dumps(use["input"], sort_keys=True, default=str)
        digest = hashlib.sha256(shown.encode()).hexdigest()[:16]
        _, step, item = self._journal.place
        claim = ToolClaim(step, item, self._turn, call, use["name"], digest, shown[:CLAIM_CHARACTERS])
        this = Unresolved(self._turn, call, use["name"], digest)
        if this not in self._unresolved and self._is_like_unresolved(this):
            await self._tell(claim, "refused")
            return OutcomeUnknown(use["name"], again=True)
        if this in self._unresolved or not await self._journal.claim(claim):
            if this not in self._unresolved:
                self._unresolved.append(this)
            await self._tell(claim, "unknown")
            return OutcomeUnknown(use["name"])
        return None

    def _is_like_unresolved(self, this: Unresolved) -> bool:
        return any((each.tool, each.digest) == (this.tool, this.digest) for each in self._unresolved)

    async def _tell(self, claim: ToolClaim, what: str) -> None:
        await self._journal.append(StepPhase.TOOL, self._turn, {"call": claim.call, "tool": claim.tool, "claim": what})

    def _place_of(self, use: ToolUse) -> int:
        """Return the call's place in the model's answer: Strands' own lists leave out what has a result."""
        uses = _blocks(self._messages[-1], "toolUse")
        return next((place for place, each in enumerate(uses) if each["toolUseId"] == use["toolUseId"]), 0)


def given_result(step: Step, messages: Messages) -> Any:
    """Return the result that a conversation ends with, as Strands takes it from its tool, or None."""
    if step.result_object is None or len(messages) < 2:
        return None
    uses = {use["toolUseId"]: use for use in _blocks(messages[-2], "toolUse")}
    for result in _blocks(messages[-1], "toolResult"):
        use = uses.get(result["toolUseId"])
        if use and use["name"] == step.result_object.__name__ and result["status"] == "success":
            return step.result_object(**use["input"])
    return None


def refused_results(step: Step, messages: Messages) -> Iterator[str]:
    """Give what was wrong with each result that was refused."""
    if step.result_object is None:
        return
    name = step.result_object.__name__
    asked = {use["toolUseId"] for message in messages for use in _blocks(message, "toolUse") if use["name"] == name}
    for message in messages:
        for answer in _blocks(message, "toolResult"):
            if answer["toolUseId"] in asked and answer["status"] == "error":
                yield " ".join(str(part.get("text", "")) for part in answer["content"])


def text_of(message: Message) -> str:
    """Return a message's text."""
    return "\n".join(block["text"] for block in message["content"] if "text" in block)


def _blocks(message: Message, kind: str) -> list[Any]:
    return [block[kind] for block in cast("list[dict[str, Any]]", message["content"]) if kind in block]


def _usage(message: Message) -> Usage:
    tokens = cast("dict[str, int]", message.get("metadata", {}).get("usage", {}))
    return Usage(
        tokens.get("inputTokens", 0),
        tokens.get("outputTokens", 0),
        tokens.get("cacheReadInputTokens", 0),
        tokens.get("cacheWriteInputTokens", 0),
    )


def _shown_calls(uses: Sequence[ToolUse]) -> list[dict[str, Any]]:
    return [
        {"call": call, "tool": use["name"], "input": json.dumps(use["input"], default=str)[:SHOWN_CHARACTERS]}
        for call, use in enumerate(uses[:SHOWN_CALLS])
    ]


def _size(result: Any) -> int:
    return sum(len(str(part.get("text", part))) for part in result["content"])
