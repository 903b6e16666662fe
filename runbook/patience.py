"""Writing into the journal of a run that others write to as well.

DynamoDB cancels one of two transactions that meet, so what the runbook writes is tried again for a while.
"""

import random
import time
from collections.abc import Callable

from runtime.journal.errors import JournalUnavailable
from runtime.journal.records import RunMetadata

TRY_SECONDS = 30.0
FIRST_PAUSE_SECONDS = 0.05
MAX_PAUSE_SECONDS = 2.0


def until_taken(
    write: Callable[[], None],
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Write until the table has taken it.

    :param write: writes the same event each time
    :raises JournalUnavailable: if the table doesn't take it within :data:`TRY_SECONDS`
    """
    give_up, pause = clock() + TRY_SECONDS, FIRST_PAUSE_SECONDS
    while True:
        try:
            write()
        except JournalUnavailable:
            if clock() + pause >= give_up:
                raise
            sleep(pause * random.uniform(0.5, 1.0))
            pause = min(pause * 2, MAX_PAUSE_SECONDS)
        else:
            return


def days_to_live(run: RunMetadata) -> int:
    """Return after how many days DynamoDB may forget what is written of a run: as for its first record."""
    return round((run.expires_at - run.created_at.timestamp()) / 86_400)
