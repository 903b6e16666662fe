"""One step of a run that can die between any two of its acts, and be taken up by the next attempt.

The agent, its conversation, and what is stored are real; the bucket and the table are dictionaries.
"""

import asyncio
import io
from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, TypeVar, cast

from botocore.exceptions import ClientError

from runtime.agent.artifacts import Artifact
from runtime.agent.asking import Asked
from runtime.agent.attempt import Attempt
from runtime.agent.definition import Step
from runtime.agent.model import run_step
from runtime.agent.plan import Unit
from runtime.agent.spending import Spending
from runtime.agent.step_journal import StepJournal, Stores
from runtime.agent.threads import Threads
from runtime.agent.turns import TurnStore
from runtime.contract.request import Limits, RunRequest
from runtime.journal.errors import ToolClaimed
from runtime.journal.records import ToolClaim
from runtime.journal.waits import Answer, Question
from tests.support.scripted_model import ScriptedModel

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

T = TypeVar("T")
SESSION = "mortal-run-000000000000000000000000000"


class NoSuchKey(Exception):
    """As S3's client has it."""


class Bucket:
    """A bucket's objects, and how many bytes were put."""

    exceptions = SimpleNamespace(NoSuchKey=NoSuchKey)

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}

    def put_object(self, *, Key: str, Body: bytes, **_: Any) -> None:  # noqa: N803 - the client's names
        """Store an object unless it is there."""
        if Key in self.objects:
            response: Any = {"Error": {"Code": "PreconditionFailed"}, "ResponseMetadata": {"HTTPStatusCode": 412}}
            raise ClientError(response, "PutObject")
        self.objects[Key] = Body

    def get_object(self, *, Key: str, **_: Any) -> dict[str, Any]:  # noqa: N803 - the client's names
        """Return an object."""
        if Key not in self.objects:
            raise NoSuchKey(Key)
        return {"Body": io.BytesIO(self.objects[Key]), "Metadata": {}}

    def get_paginator(self, _operation: str) -> "Bucket":
        """Return itself."""
        return self

    def paginate(self, *, Prefix: str, **_: Any) -> list[dict[str, Any]]:  # noqa: N803 - the client's names
        """Return one page."""
        return [{"Contents": [{"Key": key} for key in self.objects if key.startswith(Prefix)]}]


@dataclass
class MortalRun:
    """What outlives a process, and how far the next one gets.

    :ivar dies_at: the number of the act before which the process dies, from 1; 0 for never
    :ivar acts: what was done since the last process began
    :ivar answers: what a person has said before this segment of the run
    :ivar asked: what the last process has stopped for
    :ivar claims: what was claimed, by key
    :ivar events: the phase, turn and detail of each event
    """

    step: Step
    model: ScriptedModel
    item: int | None = None
    max_tokens: int = 0
    max_turns: int | None = None
    dies_at: int = 0
    bucket: Bucket = field(default_factory=Bucket)
    claims: dict[str, ToolClaim] = field(default_factory=dict[str, ToolClaim])
    events: list[tuple[str, int | None, dict[str, Any]]] = field(
        default_factory=list[tuple[str, "int | None", dict[str, Any]]]
    )
    acts: list[str] = field(default_factory=list[str])
    answers: dict[Question, Answer] = field(default_factory=dict[Question, Answer])
    asked: tuple[Question, ...] = ()
    attempt: int = 0
    _dead: asyncio.Event = field(default_factory=asyncio.Event)

    def begin(self, message: str = "Why?") -> Artifact | None:
        """Run the next attempt; None if it died, or asks a person."""
        self.attempt += 1
        self.acts.clear()
        self.asked = ()

        async def main() -> Artifact | None:
            asyncio.get_running_loop().set_default_executor(Threads())
            self._dead = asyncio.Event()
            working = asyncio.create_task(self._work(message))
            dying = asyncio.create_task(self._dead.wait())
            async with asyncio.timeout(20):
                await asyncio.wait({working, dying}, return_when=asyncio.FIRST_COMPLETED)
            dying.cancel()
            if working.done():
                return working.result()
            working.cancel()
            await asyncio.wait({working})
            return None

        return asyncio.run(main())

    async def act(self, what: str) -> None:
        """Do something, or die before it: nothing comes after."""
        self.acts.append(what)
        if len(self.acts) == self.dies_at:
            self._dead.set()
        if self._dead.is_set():
            await asyncio.Event().wait()

    def claimed(self, *_: object) -> list[ToolClaim]:
        """Return what was claimed."""
        return [*self.claims.values()]

    @property
    def turns(self) -> dict[str, bytes]:
        """What is stored of the conversation, by the ends of the keys."""
        return {
            key.partition(f"/{self.step.name}/")[2]: content
            for key, content in self.bucket.objects.items()
            if not key.endswith("definition.json")
        }

    async def _work(self, message: str) -> Artifact | None:
        turns = TurnStore(cast("S3Client", self.bucket), "artifacts")
        journal = _Journal(self, turns, Unit(self.step, self.item))
        ended = await run_step(self.model.as_bedrock(), self.step, message, journal)
        if isinstance(ended, Asked):
            self.asked = ended.questions
            return None
        return ended


class _Attempt:
    """What a step's journal asks of an attempt."""

    def __init__(self, run: MortalRun) -> None:
        self._run = run
        self.lease_seconds = 1.0
        request = RunRequest("Why?", limits=Limits(turns=run.max_turns))
        self.job = SimpleNamespace(session_id=SESSION, attempt=run.attempt, request=request)

    async def append(self, status: str, *, turn: int | None, detail: dict[str, Any], **_: Any) -> None:
        """Add an event."""
        await self._run.act(f"event {status}")
        self._run.events.append((status.rpartition("_")[2], turn, detail))

    async def claim_tool(self, claim: ToolClaim) -> None:
        """Claim a call, with its event."""
        await self._run.act(f"claim {claim.sort_key}")
        if claim.sort_key in self._run.claims:
            raise ToolClaimed(SESSION, claim.tool)
        self._run.claims[claim.sort_key] = claim
        self._run.events.append(("TOOL", claim.turn, {"tool": claim.tool, "claim": "claimed"}))


class _Journal(StepJournal):
    """A step's journal whose calls of the bucket are acts."""

    def __init__(self, run: MortalRun, turns: TurnStore, unit: Unit) -> None:
        stores = Stores(cast("Any", None), turns, run.claimed)
        keys = turns.keys(SESSION)
        super().__init__(cast("Attempt", _Attempt(run)), stores, unit, Spending(run.max_tokens), keys, run.answers)
        self._run = run

    async def _blocking(self, function: Callable[..., T], *args: Any) -> T:
        await self._run.act(getattr(function, "__name__", ""))
        return function(*args)
