"""What the agent of one step, or of one item, keeps outside its process: its turns, its claims, and events about both.

It knows nothing of Strands; `conversation.py` does.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from botocore.exceptions import BotoCoreError, ClientError

from runtime.agent.artifacts import ArtifactStore, is_transient
from runtime.agent.attempt import Attempt
from runtime.agent.errors import CannotResume, TurnUnreadable
from runtime.agent.patience import pauses
from runtime.agent.plan import Unit
from runtime.agent.spending import Spending
from runtime.agent.threads import in_thread
from runtime.agent.turns import StoredTurn, Turn, TurnStore, definition_key, newest_of, turn_key
from runtime.journal.errors import ToolClaimed
from runtime.journal.records import ToolClaim
from runtime.journal.vocabulary import StepPhase, step_status
from runtime.journal.waits import Answer, Question

T = TypeVar("T")
logger = logging.getLogger("bedrock_agentcore.app.steps")


@dataclass(frozen=True, slots=True)
class Stores:
    """Where a run's work is kept.

    :ivar claims: reads the claimed calls of tools of a run, a step and an item
    """

    artifacts: ArtifactStore
    turns: TurnStore
    claims: Callable[[str, str, int | None], Iterable[ToolClaim]]


class StepJournal:
    """One unit's side of the journal and of the bucket, within an attempt.

    :param turn_keys: the keys of the turns that earlier attempts of the run have stored
    :ivar answers: what a person has said to the questions of this segment of the run
    :ivar failed_call: the model's newest call if it failed: `turn` (the one it was for), `errorType`, `errorMessage`
    """

    def __init__(
        self,
        attempt: Attempt,
        stores: Stores,
        unit: Unit,
        spending: Spending,
        turn_keys: Iterable[str] = (),
        answers: Mapping[Question, Answer] | None = None,
    ) -> None:
        self._attempt = attempt
        self._stores = stores
        self._unit = unit
        self.spending = spending
        self._turn_keys = turn_keys
        self.answers = answers or {}
        self.failed_call: Mapping[str, Any] | None = None

    @property
    def place(self) -> tuple[str, str, int | None]:
        """The run, the step, and the item's number."""
        return self._attempt.job.session_id, self._unit.step.name, self._unit.number

    @property
    def max_turns(self) -> int | None:
        """How many answers of the model the request allows, if it says so."""
        limits = self._attempt.job.request.limits
        return limits.turns if limits else None

    def idempotency_key(self, turn: int, call: int) -> str:
        """Return what a call of a tool is known by, the same in each attempt."""
        return "/".join(str(part) for part in (*self.place, turn, call) if part is not None)

    async def restored(self) -> StoredTurn | None:
        """Return what an earlier attempt has stored, or None where this one begins.

        :raises CannotResume: if it can't be read, and tools that run once were called
        """
        key = newest_of(self._turn_keys, *self.place)
        if key is None:
            return None
        try:
            return await self._blocking(self._stores.turns.restored, key)
        except TurnUnreadable as error:
            if claims := await self.claims():
                called = [f"{claim.tool}({claim.shown})" for claim in claims]
                raise CannotResume(str(self._unit), str(error), called) from error
            logger.warning("step %s begins anew: %s", self._unit, error)
            return None

    async def claims(self) -> list[ToolClaim]:
        """Return the calls that were claimed, by this attempt and earlier ones."""
        return await self._blocking(lambda: [*self._stores.claims(*self.place)])

    async def define(self, content: bytes) -> None:
        """Store what the step is in this attempt."""
        await self._blocking(self._stores.turns.put, definition_key(*self.place, self._attempt.job.attempt), content)

    async def store(self, turn: Turn, detail: dict[str, Any]) -> str:
        """Store a turn, journal it, and return its key.

        :raises AttemptOver: if the attempt may write nothing more
        """
        key = turn_key(*self.place, self._attempt.job.attempt, turn.number, turn.kind)
        await self._blocking(self._stores.turns.put, key, turn.serialized())
        self.note_spent(turn)
        await self.append(StepPhase.TURN, turn.number, detail)
        return key

    def note_spent(self, turn: Turn) -> None:
        """Count a turn's tokens, which are those of all before it as well."""
        self.spending.note(self._unit.step.name, self._unit.number, turn.usage)

    async def claim(self, claim: ToolClaim) -> bool:
        """Claim a call of a tool, and return whether it may be made: False if an earlier attempt claimed it.

        :raises AttemptOver: if the attempt may write nothing more
        """
        try:
            await self._attempt.claim_tool(claim)
        except ToolClaimed:
            return False
        return True

    async def append(self, phase: StepPhase, turn: int | None, detail: dict[str, Any]) -> None:
        """Journal what happened.

        :raises AttemptOver: if the attempt may write nothing more
        """
        _, step, item = self.place
        await self._attempt.append(step_status(step, phase), step=step, item=item, turn=turn, detail=detail)

    async def _blocking(self, function: Callable[..., T], *args: Any) -> T:
        return await persistently(self._attempt.lease_seconds, function, *args)


async def persistently(seconds: float, function: Callable[..., T], *args: Any) -> T:
    """Call the bucket or the table in a thread, and retry what is transient.

    :param seconds: for how long: a lease, as a step's text may have cost an hour
    """
    loop = asyncio.get_running_loop()
    give_up, waits = loop.time() + seconds, pauses(seconds)
    while True:
        try:
            return await in_thread(function, *args)
        except (BotoCoreError, ClientError) as error:
            pause = next(waits)
            if not is_transient(error) or loop.time() + pause > give_up:
                raise
            logger.warning("retrying the bucket in %.1f s: %s", pause, error)
        await asyncio.sleep(pause)
