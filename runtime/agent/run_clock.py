"""The clock of one attempt in one process: a starting time, and what has elapsed since by a monotonic clock.

Times of different machines are never compared: the invoker tells the agent its time and how many seconds are left, the
agent answers with its own time, and the state machine translates what the agent writes later.
"""

import time
from collections.abc import Callable
from datetime import datetime, timedelta

MAX_CALL = timedelta(seconds=60)
"""How long an invocation may take to arrive: after that the invoker gives up."""


class RunClock:
    """A clock that starts at a given time.

    :param monotonic: seconds that never go backwards
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
    """Return the time at which an agent's clock starts.

    This is the machine's own time, so that the journal's events are in order however long the environment took to
    start; if that can't be right, it is the invoker's. An agent's events are therefore never earlier than what was in
    the journal before, and at most a minute ahead.

    :param own: the time of this machine
    :param given: the time at which the invoker sent the job
    """
    return own if timedelta(0) <= own - given <= MAX_CALL else given
