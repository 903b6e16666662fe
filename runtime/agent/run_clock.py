"""The clock of one attempt in one process: a first moment, and what has passed since by a clock that nobody can set.

No moment of one machine is compared with a moment of another: the invoker tells the agent its time and how many
seconds are left, the agent answers with its own, and the state machine translates what the agent writes later.
"""

import time
from collections.abc import Callable
from datetime import datetime, timedelta

MAX_CALL = timedelta(seconds=60)
"""How long an invocation takes at most to arrive: the invoker gives up on it then."""


class RunClock:
    """A clock that begins at a moment.

    :param monotonic: seconds that never run backwards
    """

    def __init__(self, began_at: datetime, monotonic: Callable[[], float] = time.monotonic) -> None:
        self.began_at = began_at
        self._monotonic = monotonic
        self._began = monotonic()

    def elapsed(self) -> float:
        """Return the seconds since the clock began."""
        return self._monotonic() - self._began

    def now(self) -> datetime:
        """Return the time."""
        return self.began_at + timedelta(seconds=self.elapsed())


def beginning(own: datetime, given: datetime) -> datetime:
    """Return the moment at which an agent's clock begins.

    It is the machine's own time, so that the journal's events are in order however long the environment took to
    start; where that can't be right, it is the time that the invoker gave. An agent's events are therefore never
    earlier than what was in the journal before, and at most a minute ahead.

    :param own: the time of this machine
    :param given: the time at which the invoker sent the job
    """
    return own if timedelta(0) <= own - given <= MAX_CALL else given
