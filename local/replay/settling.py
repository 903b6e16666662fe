"""When a step may fail the run: once all others have done what they did in the recorded run.

There, hours lay between what here happens within milliseconds: a failure must not cut off what was finished before it.
"""

import asyncio
from collections.abc import Callable, Mapping

CHECK_SECONDS = 0.02
CHECKS = 10
"""In a row, as between two steps nothing seems to go on."""
Unit = tuple[str, int | None]


class Settling:
    """Steps and items that have come to their end and hold it back.

    :param order: the place of each recorded failure among them
    :param running: what is being worked on, whether it waits here or not
    """

    def __init__(self, order: Mapping[Unit, int], running: Callable[[], int]) -> None:
        self._order = order
        self._running = running
        self._waiting: dict[Unit, tuple[bool, int]] = {}

    async def wait(self, unit: Unit, *, fails: bool) -> None:
        """Return once nothing else goes on, the unit that failed first before the others.

        :param fails: whether the unit fails; False if only its record ends
        """
        place = not fails, self._order.get(unit, len(self._order))
        self._waiting[unit] = place
        try:
            quiet = 0
            while quiet < CHECKS:
                await asyncio.sleep(CHECK_SECONDS)
                is_first = place == min(self._waiting.values())
                quiet = quiet + 1 if is_first and len(self._waiting) >= self._running() else 0
        finally:
            # Where this one is cancelled, another one has ended the run.
            self._waiting.pop(unit, None)
