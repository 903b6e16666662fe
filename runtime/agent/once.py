"""Calls of tools that must not happen twice: claimed before they are made, not made where one may have been."""

import hashlib
import json
from collections.abc import Container
from typing import Any

from runtime.agent.errors import OutcomeUnknown
from runtime.agent.step_journal import StepJournal
from runtime.agent.turns import Unresolved
from runtime.journal.records import ToolClaim
from runtime.journal.vocabulary import StepPhase

CLAIM_CHARACTERS = 500


class OnceOnly:
    """One unit's calls that are made once.

    :ivar unresolved: those whose outcome nobody knows
    """

    def __init__(self, journal: StepJournal, unresolved: tuple[Unresolved, ...] = ()) -> None:
        self._journal = journal
        self.unresolved = list(unresolved)

    async def resume(self, turn: int, ended: Container[int]) -> None:
        """Find the calls of a turn without its results that an earlier attempt has claimed.

        :param ended: the places of those whose results are there all the same
        """
        # Without the turn's answer none of its calls was claimed.
        claims = [claim for claim in await self._journal.claims() if claim.turn == turn and claim.call not in ended]
        self.unresolved += map(_as_unresolved, claims)

    def claim_of(self, turn: int, call: int, tool: str, given: Any) -> ToolClaim:
        """Return the claim of a call."""
        shown = json.dumps(given, sort_keys=True, default=str)
        digest = hashlib.sha256(shown.encode()).hexdigest()[:16]
        _, step, item = self._journal.place
        return ToolClaim(step, item, turn, call, tool, digest, shown[:CLAIM_CHARACTERS])

    async def check(self, claim: ToolClaim) -> None:
        """Check, before a person is asked, that neither a call nor one like it may have been made before.

        :raises OutcomeUnknown: if nobody knows; it is for the model
        :raises AttemptOver: if the attempt may write nothing more
        """
        this = _as_unresolved(claim)
        if this in self.unresolved:
            await self._tell(claim, "unknown")
            raise OutcomeUnknown(claim.tool)
        if any((each.tool, each.digest) == (this.tool, this.digest) for each in self.unresolved):
            await self._tell(claim, "refused")
            raise OutcomeUnknown(claim.tool, again=True)

    async def claim(self, claim: ToolClaim) -> None:
        """Claim a call, right before it is made.

        :raises OutcomeUnknown: if an earlier attempt has claimed it; it is for the model
        :raises AttemptOver: if the attempt may write nothing more
        """
        if not await self._journal.claim(claim):
            self.unresolved.append(_as_unresolved(claim))
            await self._tell(claim, "unknown")
            raise OutcomeUnknown(claim.tool)

    async def _tell(self, claim: ToolClaim, what: str) -> None:
        detail = {"call": claim.call, "tool": claim.tool, "claim": what}
        await self._journal.append(StepPhase.TOOL, claim.turn, detail)


def _as_unresolved(claim: ToolClaim) -> Unresolved:
    return Unresolved(claim.turn, claim.call, claim.tool, claim.digest)
