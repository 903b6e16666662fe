"""The background task: claims its attempt, works under a lease and a deadline, and closes the run or lets it wait.

Whatever happens ends in exactly one terminal event, or in none if the run waits for a person, or another attempt, a
cancellation or the state machine has ended it.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta

from runtime.agent.attempt import Attempt, Ending, Waiting
from runtime.agent.errors import AttemptOver, RunTimedOut
from runtime.agent.steps import WorkflowRun
from runtime.journal.errors import JournalError
from runtime.journal.timestamps import to_timestamp

STOP_SECONDS = 1.0
CLAIM_SECONDS = 0.3
"""How long a claim may still take once the environment is told to shut down."""
# A child of the SDK's logger, whose handler writes JSON with the request's and the session's ids.
logger = logging.getLogger("bedrock_agentcore.app.background")


class BackgroundTask:
    """One attempt of a run, from its claim to its end.

    :param labels: what this attempt works with, for its first event
    :param wake: wakes whoever waits for a session
    """

    def __init__(
        self,
        attempt: Attempt,
        workflow: WorkflowRun,
        labels: Mapping[str, str] | None = None,
        wake: Callable[[str], Awaitable[None]] | None = None,
    ) -> None:
        self._attempt = attempt
        self._workflow = workflow
        self._labels = labels
        self._wake = wake
        self.closing = False

    async def run(self) -> None:
        """Run the whole attempt. Errors are journalled and logged, not raised.

        :raises asyncio.CancelledError: if the environment shuts down; the lease is given back first
        """
        job = self._attempt.job
        try:
            await self._claim()
            logger.info(
                "Attempt %d of run %s began in environment %s",
                job.attempt,
                job.session_id,
                self._attempt.environment_id,
            )
            ending = await self._work()
            self.closing = True
            if isinstance(ending, Waiting):
                await self._attempt.wait_for_answer(ending)
                until = to_timestamp(ending.wait.until)
                logger.info("Attempt %d of run %s asks a person: it waits until %s", job.attempt, job.session_id, until)
            else:
                await self._attempt.close(ending)
                logger.info("Attempt %d of run %s ended as %s", job.attempt, job.session_id, ending.status)
            await self._tell()
        except AttemptOver as over:
            logger.info("Attempt %d of run %s stops: %s", job.attempt, job.session_id, over)
        except JournalError:
            # Nothing can be written: the state machine will notice that the lease has expired.
            logger.exception("Attempt %d of run %s can't be journalled", job.attempt, job.session_id)

    async def give_back(self) -> None:
        """Give back the lease of an attempt that this task has not claimed."""
        await self._give_lease_back(self._attempt.release_unclaimed())

    async def _claim(self) -> None:
        claiming = asyncio.create_task(self._attempt.claim(self._labels), name="claim")
        try:
            await asyncio.shield(claiming)
        except asyncio.CancelledError:
            await asyncio.wait({claiming}, timeout=CLAIM_SECONDS)
            if claiming.done() and not claiming.cancelled() and claiming.exception() is None:
                await self._release()
            else:
                claiming.cancel()
                await self.give_back()
            raise

    async def _work(self) -> Ending | Waiting:
        workflow = asyncio.create_task(self._workflow.run(), name="workflow")
        heartbeat = asyncio.create_task(self._attempt.keep_alive(), name="heartbeat")
        try:
            seconds_left = self._attempt.job.seconds_left - self._attempt.clock.elapsed()
            done, _ = await asyncio.wait(
                {workflow, heartbeat}, timeout=max(0.0, seconds_left), return_when=asyncio.FIRST_COMPLETED
            )
            if workflow in done:
                return workflow.result()
            if heartbeat in done:
                # It never returns, so this raises.
                heartbeat.result()
            workflow.cancel()
            return await self._time_out()
        except asyncio.CancelledError:
            workflow.cancel()
            await self._release()
            raise
        finally:
            workflow.cancel()
            heartbeat.cancel()
            # No longer than that: a step that swallows its cancellation must not keep the run open.
            await asyncio.wait({workflow, heartbeat}, timeout=STOP_SECONDS)

    async def _time_out(self) -> Ending:
        steps = self._workflow.running
        said = f"step {steps[0]} was running" if len(steps) == 1 else f"steps {', '.join(steps)} were running"
        running = said if steps else "between two steps"
        deadline = self._attempt.clock.began_at + timedelta(seconds=self._attempt.job.seconds_left)
        error = RunTimedOut(f"the run's deadline, {to_timestamp(deadline)}, came: {running}")
        await self._workflow.journal_failure(error)
        return self._workflow.failed(error)

    async def _release(self) -> None:
        await self._give_lease_back(self._attempt.release(self._workflow.running))

    async def _give_lease_back(self, release: Awaitable[None]) -> None:
        try:
            await release
            await self._tell()
        except (TimeoutError, JournalError) as error:
            logger.warning("could not give the lease back: %s", error)

    async def _tell(self) -> None:
        if self._wake:
            await self._wake(self._attempt.job.session_id)
