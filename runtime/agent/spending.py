"""How many tokens a run has spent, and whether it may spend more.

It counts over all steps, items and attempts, from the totals that stand in each turn and artifact. Calls that were
never stored, because their environment died, are not in it.
"""

from collections import defaultdict

from runtime.agent.artifacts import Usage
from runtime.agent.errors import BudgetExceeded


class Spending:
    """The tokens of one run.

    :param limit: how many it may spend, of all kinds together; 0: any
    """

    def __init__(self, limit: int = 0) -> None:
        self._limit = limit
        self._by_unit: dict[tuple[str, int | None], Usage] = {}

    def note(self, step: str, item: int | None, usage: Usage) -> None:
        """Note what a step or an item has spent so far, all in all."""
        self._by_unit[step, item] = usage

    @property
    def total(self) -> Usage:
        """What the run has spent."""
        return sum(self._by_unit.values(), Usage())

    def by_step(self) -> dict[str, int]:
        """Return the tokens that each step has spent."""
        found: defaultdict[str, int] = defaultdict(int)
        for (step, _), usage in self._by_unit.items():
            found[step] += usage.total
        return dict(found)

    def check(self) -> None:
        """Check that another call of a model may be made. It may take the run beyond its budget, once per running item.

        :raises BudgetExceeded: if the budget is spent
        """
        if self._limit and self.total.total >= self._limit:
            raise BudgetExceeded(self._limit, self.by_step())
