"""Runs a workflow's steps one after another, skips what an earlier attempt has finished, and journals each.

`workflow.py` lists the steps, `model.py` runs one of them, `background.py` closes the run.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any, TypeVar

from botocore.exceptions import BotoCoreError, ClientError

from runtime.agent.apart import run_apart
from runtime.agent.artifacts import Artifact, ArtifactStore, Usage, artifact_key, is_transient
from runtime.agent.attempt import Attempt, Ending
from runtime.agent.errors import ArtifactMissing, AttemptOver
from runtime.agent.patience import pauses
from runtime.agent.threads import in_thread
from runtime.agent.workflow import Step, message_for
from runtime.journal.records import error_text
from runtime.journal.vocabulary import Status, StepPhase, step_status

T = TypeVar("T")
logger = logging.getLogger("bedrock_agentcore.app.steps")
StepRunner = Callable[[Step, str], Awaitable[Artifact]]
"""Runs an agent on a message."""


class WorkflowRun:
    """One attempt's way through the workflow.

    :ivar current_step: the step that is running, or None between steps
    """

    def __init__(
        self,
        attempt: Attempt,
        artifacts: ArtifactStore,
        steps: Sequence[Step],
        run_step: StepRunner,
    ) -> None:
        self.current_step: Step | None = None
        self._attempt = attempt
        self._artifacts = artifacts
        self._steps = steps
        self._run_step = run_step
        self._session_id = attempt.job.session_id

    async def run(self) -> Ending:
        """Run all steps and return how the task ended, whatever they do.

        :raises AttemptOver: if the attempt may write nothing more
        :raises asyncio.CancelledError: if the task that runs this is cancelled
        """
        owner = asyncio.current_task()
        try:
            return await self._run_all()
        # Whatever a step raises fails its run, not the event loop.
        except BaseException as error:
            if not _runs_in(owner):
                # This coroutine is being discarded, for instance with its loop: nothing can be written.
                raise
            if _is_being_cancelled():
                # Whoever cancelled journals why, whatever the step raises instead.
                raise asyncio.CancelledError from error
            if isinstance(error, AttemptOver):
                raise
            await self.journal_failure(error)
            return Ending.failed(error)

    async def journal_failure(self, error: BaseException) -> None:
        """Journal that the current step failed, if there is one."""
        if self.current_step:
            await self._journal_step(
                self.current_step, StepPhase.FAILED, error_type=type(error).__name__, error_message=error_text(error)
            )

    async def _run_all(self) -> Ending:
        began = time.monotonic()
        finished = await self._blocking(self._artifacts.finished, self._session_id)
        inherited = await self._find_inherited()
        earlier: list[Artifact] = []
        for step in self._steps:
            if artifact_key(self._session_id, step.name) in finished:
                artifact = await self._blocking(self._artifacts.get, self._session_id, step.name)
                await self._journal_step(step, StepPhase.SKIPPED, detail=self._step_detail(artifact))
            elif step.name in inherited:
                artifact = await self._take_over(step, inherited[step.name])
            else:
                artifact = await self._work_on(step, earlier)
            earlier.append(artifact)
        return await self._complete(earlier, time.monotonic() - began)

    async def _find_inherited(self) -> dict[str, str]:
        """Return the runs from which finished steps can be taken over, by the step's name."""
        found: dict[str, str] = {}
        for source in self._attempt.job.request.take_from:
            keys = await self._blocking(self._artifacts.finished, source.session_id)
            there = (step for step in source.steps if artifact_key(source.session_id, step) in keys)
            found = dict.fromkeys(there, source.session_id) | found
        return found

    async def _take_over(self, step: Step, source: str) -> Artifact:
        found = await self._blocking(self._artifacts.get, source, step.name)
        # The other run paid for its tokens.
        copy = Artifact(step.name, found.text, Usage())
        artifact = await self._blocking(self._artifacts.put, self._session_id, copy)
        await self._journal_step(step, StepPhase.SKIPPED, detail=self._step_detail(artifact) | {"takenFrom": source})
        return artifact

    async def _work_on(self, step: Step, earlier: Sequence[Artifact]) -> Artifact:
        self.current_step = step
        began = time.monotonic()
        await self._journal_step(step, StepPhase.STARTED)
        produced = await self._produce(step, earlier)
        artifact = await self._blocking(self._artifacts.put, self._session_id, produced)
        seconds = round(time.monotonic() - began, 3)
        await self._journal_step(step, StepPhase.COMPLETED, detail=self._step_detail(artifact) | {"seconds": seconds})
        self.current_step = None
        return artifact

    async def _produce(self, step: Step, earlier: Sequence[Artifact]) -> Artifact:
        request = self._attempt.job.request
        if step.work is None:
            return await self._run_step(step, message_for(request.prompt, earlier))
        return Artifact(step.name, await run_apart(partial(step.work, request, tuple(earlier))), Usage())

    async def _complete(self, artifacts: Sequence[Artifact], seconds: float) -> Ending:
        key = artifact_key(self._session_id, artifacts[-1].step)
        if key not in await self._blocking(self._artifacts.finished, self._session_id):
            raise ArtifactMissing(key)
        usage = sum((artifact.usage for artifact in artifacts), Usage())
        detail = {"reportKey": key, "seconds": round(seconds, 3), "tokens": usage.as_detail()}
        return Ending(Status.AGENT_BACKGROUND_TASK_COMPLETED, detail=detail)

    async def _journal_step(self, step: Step, phase: StepPhase, **fields: Any) -> None:
        await self._attempt.append(step_status(step.name, phase), step=step.name, **fields)

    def _step_detail(self, artifact: Artifact) -> dict[str, Any]:
        return {"artifact": artifact_key(self._session_id, artifact.step), "tokens": artifact.usage.as_detail()}

    async def _blocking(self, function: Callable[..., T], *args: Any) -> T:
        """Call the bucket in a thread and retry for as long as a lease: a step's text may have cost an hour."""
        loop = asyncio.get_running_loop()
        give_up, waits = loop.time() + self._attempt.lease_seconds, pauses(self._attempt.lease_seconds)
        while True:
            try:
                return await in_thread(function, *args)
            except (BotoCoreError, ClientError) as error:
                pause = next(waits)
                if not is_transient(error) or loop.time() + pause > give_up:
                    raise
                logger.warning("retrying the bucket in %.1f s: %s", pause, error)
            await asyncio.sleep(pause)


def _runs_in(owner: asyncio.Task[Any] | None) -> bool:
    try:
        return asyncio.current_task() is owner
    except RuntimeError:
        return False


def _is_being_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
