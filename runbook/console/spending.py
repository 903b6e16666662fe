"""What the runs of a list cost together. A run that has ended is asked for once."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

from botocore.exceptions import BotoCoreError, ClientError

from runbook.console.overview import AT_ONCE, Row
from runbook.errors import RunbookError
from runbook.runbook import Runbook

MAX_COUNTED = 200
"""Each run takes about ten calls."""


@dataclass(frozen=True, slots=True)
class Spent:
    """What runs cost, at list prices.

    :ivar counted: how many runs were added up
    :ivar runs: how many there are
    :ivar is_partial: whether something that they used has no price
    """

    usd: float
    counted: int
    runs: int
    is_partial: bool


class Spending:
    """Adds up what runs cost."""

    def __init__(self, runbook: Runbook) -> None:
        self._runbook = runbook
        self._known: dict[str, tuple[float, bool]] = {}

    def of(self, rows: Sequence[Row]) -> Spent:
        """Return what the newest :data:`MAX_COUNTED` of some runs cost so far.

        :raises botocore.exceptions.ClientError: if AWS doesn't tell which model the agent uses
        """
        model_id = self._runbook.model_id() if rows else ""
        with ThreadPoolExecutor(AT_ONCE) as threads:
            asked = threads.map(partial(self._cost, model_id), rows[:MAX_COUNTED])
            costs = [cost for cost in asked if cost is not None]
        return Spent(sum(usd for usd, _ in costs), len(costs), len(rows), any(partial for _, partial in costs))

    def _cost(self, model_id: str, row: Row) -> tuple[float, bool] | None:
        """What a run cost, and whether that is all; None for one that nothing tells about."""
        if row.session_id in self._known:
            return self._known[row.session_id]
        try:
            cost = self._runbook.cost(row.session_id, model_id=model_id)
        except (RunbookError, ClientError, BotoCoreError):
            return None
        found = cost.usd, bool(cost.unpriced)
        if not row.is_open:
            self._known[row.session_id] = found
        return found
