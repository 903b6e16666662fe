"""One attempt's side of the journal: its claim, its lease, and what it may still write.

A background task holds a lease: every event that it writes says until when it counts as alive. The state machine
starts the next attempt once the newest lease is over, so a task that can't renew its lease stops itself before
that. All writes run in threads, because a table that doesn't answer must not stop the event loop, and one after
another, because transactions that meet at one record cancel each other: steps that run at the same time share them.
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/transaction-apis.html#transaction-conflict-handling
"""

import asyncio
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, NoReturn

from runtime.agent.errors import AttemptOver
from runtime.agent.patience import conflict_pauses, pauses
from runtime.agent.run_clock import RunClock
from runtime.agent.threads import in_thread
from runtime.contract.job import Job
from runtime.journal.errors import (
    AttemptClaimed,
    AttemptSuperseded,
    JournalConflict,
    JournalUnavailable,
    NotAnswered,
    RunClosed,
    RunWaiting,
)
from runtime.journal.records import Event, ToolClaim, error_text
from runtime.journal.vocabulary import Status, StepPhase, step_status
from runtime.journal.waits import Wait
from runtime.journal.writer import MAX_EVENTS, JournalWriter

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


@dataclass(frozen=True, slots=True)
class Waiting:
    """How a background task ended whose run waits for a person.

    :ivar detail: of the event: `wait`, `until`, `questions`
    """

    wait: Wait
    detail: dict[str, Any]


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
        self._turn = asyncio.Lock()
        self._waiting = deque[tuple[Event, asyncio.Future[None]]]()
        self._flushing: asyncio.Task[None] | None = None

    async def claim(self, detail: Mapping[str, Any] | None = None) -> None:
        """Claim the attempt and journal its start.

        :param detail: what is worth keeping of how this attempt works
        :raises AttemptOver: if another task has claimed it, the run is closed, or the journal can't be written
        """

        def write(event: Event) -> None:
            self._journal.claim_attempt(event, self.job.standing)

        await self._write_alone(write, Status.AGENT_BACKGROUND_TASK_STARTED, detail=detail)

    async def append(self, status: str, **fields: Any) -> None:
        """Add an event, trying again for as long as the lease lasts; together with others that wait to be written.

        It is written even where the one who waits for this is cancelled.

        :raises AttemptOver: if the run is closed, a later attempt has begun, or the lease is over
        :raises JournalDenied: if the table refuses for good
        """
        written = asyncio.get_running_loop().create_future()
        self._waiting.append((self._stamp(status, **fields), written))
        if self._flushing is None or self._flushing.done():
            self._flushing = asyncio.create_task(self._flush(), name="journal")
        await written

    async def claim_tool(self, claim: ToolClaim) -> None:
        """Claim a call of a tool that must not happen twice, trying again for as long as the lease lasts.

        :raises ToolClaimed: if an earlier attempt has claimed it
        :raises AttemptOver: as for :meth:`append`
        :raises JournalDenied: as for :meth:`append`
        """

        def write(event: Event) -> None:
            self._journal.claim_tool(event, claim, self.job.standing)

        await self._write_alone(
            write,
            step_status(claim.step, StepPhase.TOOL),
            step=claim.step,
            item=claim.item,
            turn=claim.turn,
            detail={"call": claim.call, "tool": claim.tool, "claim": "claimed"},
        )

    async def wait_for_answer(self, waiting: Waiting) -> None:
        """Let the run wait for a person, trying again for as long as the lease lasts; the attempt is over with it.

        :raises AttemptOver: as for :meth:`append`
        :raises JournalDenied: as for :meth:`append`
        """

        def write(event: Event) -> None:
            self._journal.open_wait(event, waiting.wait, self.job.standing)

        await self._write_alone(write, Status.RUN_WAITING, detail=waiting.detail, lease_seconds=0)
        # The lease is given back with this event: nothing may take it again.
        self._released = True

    async def close(self, ending: Ending) -> None:
        """Close the run with this ending and never with another, trying again for as long as the lease lasts.

        :raises AttemptOver: if somebody else has closed it, a later attempt has begun, or the lease is over
        :raises JournalDenied: if the table refuses for good
        """

        def write(event: Event) -> None:
            self._journal.close(event, self.job.standing)

        await self._write_alone(
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

    async def release(self, running: Sequence[str]) -> None:
        """Give the lease back because the environment is going down: the next attempt need not wait for its end.

        :param running: what was being worked on
        """
        # Whatever still runs here would otherwise take the lease again with its next event.
        self._released = True
        detail: dict[str, Any] = {"released": "the environment is shutting down"}
        detail |= {"running": list(running)} if running else {}
        event = self._stamp(Status.AGENT_BACKGROUND_TASK_HEARTBEAT, lease_seconds=0, detail=detail)
        await self._write_once_more(lambda: self._append(event))

    async def release_unclaimed(self) -> None:
        """Give the lease that came with the acknowledgement back, of an attempt that nobody has claimed.

        The state machine starts that attempt once more: none is used up.

        :raises AttemptSuperseded: if somebody has claimed it, or a later one
        """
        self._released = True
        detail = {"released": "the environment is shutting down", "unclaimed": True}
        event = self._stamp(Status.AGENT_BACKGROUND_TASK_HEARTBEAT, lease_seconds=0, detail=detail)
        await self._write_once_more(lambda: self._append_unclaimed(event))

    async def _write_once_more(self, write: Callable[[], None]) -> None:
        # Not in turn: whatever is being written meanwhile could take all the time, and is a conflict at worst.
        async with asyncio.timeout(RELEASE_SECONDS):
            for pause in conflict_pauses():
                with suppress(JournalConflict):
                    await in_thread(write)
                    break
                await asyncio.sleep(pause)

    def _append_unclaimed(self, event: Event) -> None:
        # As if it were the attempt before: this one's claim is then one of those that must not be there.
        self._journal.append_as_attempt([event], replace(self.job.standing, attempt=self.job.attempt - 1))

    def _append(self, *events: Event) -> None:
        self._journal.append_as_attempt(events, self.job.standing)

    async def _flush(self) -> None:
        """Write what waits, as much as fits into a transaction at a time."""
        while self._waiting:
            async with self._turn:
                batch = [self._waiting.popleft() for _ in range(min(len(self._waiting), MAX_EVENTS))]
                events = [event for event, _ in batch]
                error: Exception | None = None
                try:
                    await self._write(partial(self._append, *events), events[-1])
                # Whatever it is: nobody else tells those who wait.
                except Exception as refusal:
                    error = refusal
            for _, written in batch:
                if not written.done():
                    written.set_exception(error) if error else written.set_result(None)

    async def _write_alone(self, write: Callable[[Event], None], status: str, **fields: Any) -> None:
        event = self._stamp(status, **fields)
        async with self._turn:
            await self._write(lambda: write(event), event)

    async def _write(self, write: Callable[[], None], newest: Event) -> None:
        """Write, trying again for as long as the lease lasts.

        :param write: the same events in every try: those that were taken although the answer got lost are then
            recognised by their ids
        :param newest: the last of them, whose lease counts
        """
        waits, conflict_waits = pauses(self.lease_seconds), conflict_pauses()
        while True:
            remaining = self._remaining()
            if self._released or remaining <= 0:
                raise AttemptOver(f"the lease was over before {newest.status} could be written")
            try:
                async with asyncio.timeout(remaining):
                    await in_thread(write)
            except (RunClosed, RunWaiting, NotAnswered, AttemptClaimed, AttemptSuperseded) as refusal:
                raise AttemptOver(str(refusal)) from refusal
            except JournalConflict:
                await asyncio.sleep(next(conflict_waits))
            except (JournalUnavailable, TimeoutError):
                await asyncio.sleep(next(waits))
            else:
                stamped_at = (newest.created_at - self.clock.began_at).total_seconds()
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
