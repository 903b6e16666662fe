"""One attempt's side of the journal: its claim, its lease, and what it may still write.

A background task holds a lease: every event that it writes says until when it counts as alive. The state machine
starts the next attempt once the newest lease is over, so a task that can't renew its lease stops itself before
that. All writes run in threads, because a table that doesn't answer must not stop the event loop.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NoReturn

from runtime.agent.errors import AttemptOver
from runtime.agent.patience import pauses
from runtime.agent.run_clock import RunClock
from runtime.agent.threads import in_thread
from runtime.contract.job import Job
from runtime.journal.errors import AttemptClaimed, AttemptSuperseded, JournalUnavailable, RunClosed
from runtime.journal.records import Event, error_text
from runtime.journal.vocabulary import Status
from runtime.journal.writer import JournalWriter

HEARTBEAT_SHARE = 1 / 4
MARGIN_SHARE = 1 / 8
RELEASE_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Ending:
    """How a background task ended, as it goes into the journal."""

    status: Status
    error_type: str | None = None
    error_message: str | None = None
    detail: dict[str, Any] = field(default_factory=dict[str, Any])

    @classmethod
    def failed(cls, error: BaseException, detail: dict[str, Any] | None = None) -> "Ending":
        """Return the ending that an error means."""
        return cls(Status.AGENT_BACKGROUND_TASK_FAILED, type(error).__name__, error_text(error), detail or {})


class Attempt:
    """Writes the events of one attempt for as long as it holds its lease.

    :param environment_id: the execution environment that this process is
    :ivar clock: what its events are stamped with; it began when the job arrived
    """

    def __init__(
        self,
        job: Job,
        journal: JournalWriter,
        *,
        clock: RunClock,
        environment_id: str,
        lease_seconds: float,
    ) -> None:
        self.job = job
        self.clock = clock
        self._journal = journal
        self.environment_id = environment_id
        self.lease_seconds = lease_seconds
        # The first lease begins when the state machine learns of the acknowledgement, which is no earlier than this.
        self._last_sign = clock.elapsed()
        self._released = False

    async def claim(self) -> None:
        """Claim the attempt and journal its start.

        :raises AttemptOver: if another task has claimed it, the run is closed, or the journal can't be written
        """

        def write(event: Event) -> None:
            self._journal.claim_attempt(event, self.job.attempt, self.job.max_attempts)

        await self._write(write, Status.AGENT_BACKGROUND_TASK_STARTED)

    async def append(self, status: str, **fields: Any) -> None:
        """Add an event, trying again for as long as the lease lasts.

        :raises AttemptOver: if the run is closed, a later attempt has begun, or the lease is over
        :raises JournalDenied: if the table refuses for good
        """
        await self._write(self._append, status, **fields)

    async def close(self, ending: Ending) -> None:
        """Close the run with this ending and never with another, trying again for as long as the lease lasts.

        :raises AttemptOver: if somebody else has closed it, a later attempt has begun, or the lease is over
        :raises JournalDenied: if the table refuses for good
        """

        def write(event: Event) -> None:
            self._journal.close(event, self.job.attempt, self.job.max_attempts)

        await self._write(
            write,
            ending.status,
            error_type=ending.error_type,
            error_message=ending.error_message,
            detail=ending.detail,
        )

    async def keep_alive(self) -> NoReturn:
        """Write a heartbeat whenever nothing else was written for a quarter of the lease.

        :raises AttemptOver: as soon as the attempt may write nothing more
        """
        interval = self.lease_seconds * HEARTBEAT_SHARE
        while True:
            due_in = self._last_sign + interval - self.clock.elapsed()
            if due_in > 0:
                await asyncio.sleep(due_in)
            else:
                await self.append(Status.AGENT_BACKGROUND_TASK_HEARTBEAT)

    async def release(self, step: str | None) -> None:
        """Give the lease back because the environment is going down: the next attempt need not wait for its end.

        :param step: the step that was running
        """
        # Whatever still runs here would otherwise take the lease again with its next event.
        self._released = True
        event = self._stamp(
            Status.AGENT_BACKGROUND_TASK_HEARTBEAT,
            lease_seconds=0,
            step=step,
            detail={"released": "the environment is shutting down"},
        )
        async with asyncio.timeout(RELEASE_SECONDS):
            await in_thread(self._append, event)

    async def release_unclaimed(self) -> None:
        """Give the lease that came with the acknowledgement back, of an attempt that nobody has claimed.

        The state machine starts that attempt once more: none is used up.

        :raises AttemptSuperseded: if somebody has claimed it, or a later one
        """
        self._released = True
        detail = {"released": "the environment is shutting down", "unclaimed": True}
        event = self._stamp(Status.AGENT_BACKGROUND_TASK_HEARTBEAT, lease_seconds=0, detail=detail)
        async with asyncio.timeout(RELEASE_SECONDS):
            await in_thread(self._append_unclaimed, event)

    def _append_unclaimed(self, event: Event) -> None:
        # As if it were the attempt before: this one's claim is then one of those that must not be there.
        self._journal.append_as_attempt(event, self.job.attempt - 1, self.job.max_attempts)

    def _append(self, event: Event) -> None:
        self._journal.append_as_attempt(event, self.job.attempt, self.job.max_attempts)

    async def _write(self, write: Callable[[Event], None], status: str, **fields: Any) -> None:
        waits = pauses(self.lease_seconds)
        # The same event in every try: one that was taken although its answer got lost is recognised by its id.
        stamped_at, event = self.clock.elapsed(), self._stamp(status, **fields)
        while True:
            remaining = self._remaining()
            if self._released or remaining <= 0:
                raise AttemptOver(f"the lease was over before {status} could be written")
            try:
                async with asyncio.timeout(remaining):
                    await in_thread(write, event)
            except (RunClosed, AttemptClaimed, AttemptSuperseded) as refusal:
                raise AttemptOver(str(refusal)) from refusal
            except (JournalUnavailable, TimeoutError):
                await asyncio.sleep(next(waits))
            else:
                self._last_sign = max(self._last_sign, stamped_at)
                return

    def _stamp(self, status: str, **fields: Any) -> Event:
        return self._journal.stamp(
            self.job.session_id,
            status,
            at=self.clock.now(),
            attempt=self.job.attempt,
            environment_id=self.environment_id,
            **{"lease_seconds": self.lease_seconds} | fields,
        )

    def _remaining(self) -> float:
        """Seconds until this attempt has to stop: a little before the state machine counts it as lost."""
        return self._last_sign + self.lease_seconds * (1 - MARGIN_SHARE) - self.clock.elapsed()
