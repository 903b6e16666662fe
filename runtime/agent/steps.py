"""Runs a workflow's steps, several at a time, skips what an earlier attempt has finished, and journals each.

`workflow.py` lists the steps, `plan.py` says which can run, `model.py` runs an agent, `background.py` closes the run.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from pydantic_core import to_jsonable_python

from runtime.agent.apart import run_apart
from runtime.agent.artifacts import Artifact, Usage, artifact_key
from runtime.agent.asking import Asked
from runtime.agent.attempt import Attempt, Ending, Waiting
from runtime.agent.definition import Step, StepInput, Workflow
from runtime.agent.errors import ArtifactMissing, AttemptOver, BudgetExceeded, TurnUnreadable
from runtime.agent.plan import Plan, Unit
from runtime.agent.results import begun_before, extension_of, message_for, serialized
from runtime.agent.spending import Spending
from runtime.agent.step_journal import StepJournal, Stores, persistently
from runtime.agent.threads import until_idle
from runtime.agent.turns import newest_of, units_of
from runtime.agent.waiting import Waits
from runtime.contract.request import StepSource
from runtime.journal.errors import JournalError
from runtime.journal.records import error_text
from runtime.journal.vocabulary import Status, StepPhase, step_status
from runtime.journal.waits import Answer, Question

T = TypeVar("T")
logger = logging.getLogger("bedrock_agentcore.app.steps")
StepRunner = Callable[[Step, str, StepJournal], Awaitable[Artifact | Asked]]
"""Runs an agent on a message, or goes on where the journal says that an earlier attempt was, up to what it asks."""
CodeRunner = Callable[[Callable[[], Coroutine[Any, Any, str]]], Awaitable[str]]
"""Runs a step's plain code."""
STOP_SHARE = 1 / 8


@dataclass(frozen=True, slots=True)
class _Failure:
    """What a unit ended with instead of an artifact. Returned: raised from a task, some errors end the event loop."""

    error: BaseException


class WorkflowRun:
    """One attempt's way through the workflow.

    :param parallel_steps: how many steps, and items, are worked on at the same time
    :param max_tokens: how many the run may spend, over all its attempts; 0: any. The request may allow fewer
    :param run_code: where plain code runs
    :param max_waits: how often the run may wait for a person
    :param answer_seconds: how long a person has to answer
    """

    def __init__(
        self,
        attempt: Attempt,
        stores: Stores,
        workflow: Workflow,
        run_step: StepRunner,
        parallel_steps: int,
        max_tokens: int = 0,
        run_code: CodeRunner = run_apart,
        max_waits: int = 0,
        answer_seconds: float = 86_400,
    ) -> None:
        self._attempt = attempt
        self._stores = stores
        self._artifacts = stores.artifacts
        self._plan = Plan(workflow)
        self._run_step = run_step
        self._run_code = run_code
        self._parallel_steps = parallel_steps
        self._session_id = attempt.job.session_id
        limits = attempt.job.request.limits
        self._spending = Spending(min([limit for limit in (max_tokens, limits and limits.tokens) if limit], default=0))
        self._waits = Waits(attempt, stores.turns, workflow, max_waits, answer_seconds)
        self._answers: Mapping[Question, Answer] = {}
        self._turn_keys: list[str] = []
        self._running: list[Unit] = []
        self._journals: dict[Unit, StepJournal] = {}
        self._finished = set[str]()
        self._sources: list[tuple[StepSource, set[str]]] = []
        self._logged: list[BaseException] = []

    @property
    def running(self) -> list[str]:
        """What is being worked on: steps' names, with the item where it is one."""
        return [str(unit) for unit in self._running]

    async def run(self) -> Ending | Waiting:
        """Run all steps, or all that can run before a person answers, and return how the task ended, whatever they do.

        :raises AttemptOver: if the attempt may write nothing more
        :raises asyncio.CancelledError: if the task that runs this is cancelled
        """
        owner = asyncio.current_task()
        try:
            return await self._run_all()
        # Whatever a step raises fails its run, not the event loop.
        except BaseException as error:
            if _is_for_others(error, owner):
                raise
            if _is_being_cancelled():
                # Whoever cancelled journals why, whatever the step raises instead.
                raise asyncio.CancelledError from error
            self._log("The run failed", error)
            return self.failed(error)

    def failed(self, error: BaseException) -> Ending:
        """Return the ending that an error means, with what was spent."""
        detail: dict[str, Any] = {"tokens": self._spending.total.as_detail()}
        if isinstance(error, BudgetExceeded):
            detail |= {"limit": error.limit, "spent": error.by_step}
        return Ending.failed(error, detail)

    async def journal_failure(self, error: BaseException) -> None:
        """Journal that what is running failed."""
        await asyncio.gather(*(self._journal_failure(unit, error) for unit in self._running))

    async def _run_all(self) -> Ending | Waiting:
        began = time.monotonic()
        self._finished = await self._blocking(self._artifacts.finished, self._session_id)
        for source in self._attempt.job.request.take_from:
            self._sources.append((source, await self._blocking(self._artifacts.finished, source.session_id)))
        if self._attempt.job.attempt > 1:
            await self._find_turns()
        self._answers = await self._waits.answers()
        if questions := await self._produce_all():
            return await self._waits.begin(questions)
        return await self._complete(time.monotonic() - began)

    async def _find_turns(self) -> None:
        """Find what earlier attempts have stored, and count what it cost before anything more is spent."""
        self._turn_keys = await self._blocking(self._stores.turns.keys, self._session_id)
        units = units_of(self._turn_keys, self._session_id)
        await asyncio.gather(*(self._count(step, item) for step, item in units))

    async def _count(self, step: str, item: int | None) -> None:
        if key := newest_of(self._turn_keys, self._session_id, step, item):
            try:
                turn = await self._blocking(self._stores.turns.turn, key)
            except TurnUnreadable as error:
                logger.warning("its tokens are not counted: %s", error)
            else:
                self._spending.note(step, item, turn.usage)

    async def _produce_all(self) -> list[Question]:
        """Work on what is ready, as much as may be at a time, until nothing is left; the first failure ends it.

        :return: what all those ask that wait for a person: without an answer nothing more can be done
        """
        owner, questions = asyncio.current_task(), list[Question]()
        ready, tasks = deque[Unit](), dict[asyncio.Task[Artifact | Asked | _Failure], Unit]()
        try:
            while True:
                ready.extend(self._plan.newly_ready())
                while ready and len(tasks) < self._parallel_steps:
                    unit = ready.popleft()
                    tasks[asyncio.create_task(self._produced_or_failed(unit), name=str(unit))] = unit
                if not tasks:
                    return questions
                done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    unit, produced = tasks.pop(task), _unless_failed(task.result())
                    if isinstance(produced, Asked):
                        questions += produced.questions
                    else:
                        self._plan.finish(unit, produced)
        except BaseException as error:
            if not _is_discarded(owner):
                # A cancelled tool's thread goes on: what it does should be done before the run is closed with an error.
                # Where this is cancelled, or may write no more, it has no such time.
                await self._stop(tasks, idle=not (_is_being_cancelled() or _is_for_others(error, owner)))
            raise

    async def _stop(self, tasks: Iterable[asyncio.Task[Any]], *, idle: bool) -> None:
        """Cancel tasks and wait for them, with `idle` for their threads as well: an eighth of the lease at most."""
        if not (tasks := set(tasks)):
            return
        for task in tasks:
            # One that does not let itself be cancelled ends later, and nobody asks how.
            task.add_done_callback(lambda ended: ended.cancelled() or ended.exception())
            task.cancel()
        seconds = self._attempt.lease_seconds * STOP_SHARE
        began = time.monotonic()
        await asyncio.wait(tasks, timeout=seconds)
        if idle:
            await until_idle(seconds - (time.monotonic() - began))

    async def _produced_or_failed(self, unit: Unit) -> Artifact | Asked | _Failure:
        owner = asyncio.current_task()
        try:
            return await self._produced(unit)
        except BaseException as error:
            if _is_for_others(error, owner):
                raise
            if _is_being_cancelled():
                raise asyncio.CancelledError from error
            await self._journal_failure(unit, error)
            return _Failure(error)

    async def _produced(self, unit: Unit) -> Artifact | Asked:
        if self._key(unit) in self._finished:
            found = unit.checked(await self._blocking(self._artifacts.get, self._session_id, *_name(unit)))
            self._note_spent(unit, found)
            await self._journal(unit, StepPhase.SKIPPED, detail=self._detail(found))
            return found
        for source, keys in self._sources:
            if unit.step.name in source.steps and self._key(unit, source.session_id) in keys:
                found = await self._blocking(self._artifacts.get, source.session_id, *_name(unit))
                # Items belong to the list that they were made from.
                if found.made_from == unit.made_from:
                    return await self._take_over(unit, found, source.session_id)
        return await self._work_on(unit)

    async def _take_over(self, unit: Unit, found: Artifact, source: str) -> Artifact:
        # The other run paid for its tokens.
        copied = replace(found, usage=Usage())
        artifact = unit.checked(await self._blocking(self._artifacts.put, self._session_id, copied))
        await self._journal(unit, StepPhase.SKIPPED, detail=self._detail(artifact) | {"takenFrom": source})
        return artifact

    async def _work_on(self, unit: Unit) -> Artifact | Asked:
        self._running.append(unit)
        try:
            began = time.monotonic()
            await self._journal(unit, StepPhase.STARTED)
            worked = await self._worked(unit)
            if isinstance(worked, Asked):
                self._waits.check(unit.step.name)
                return worked
            self._note_spent(unit, worked)
            produced = replace(worked, item=unit.number, extension=extension_of(unit.step), made_from=unit.made_from)
            artifact = unit.checked(await self._blocking(self._artifacts.put, self._session_id, produced))
            detail = self._detail(artifact) | {"seconds": round(time.monotonic() - began, 3)}
            await self._journal(unit, StepPhase.COMPLETED, detail=detail)
            return artifact
        finally:
            self._running.remove(unit)

    async def _worked(self, unit: Unit) -> Artifact | Asked:
        request, step, earlier = self._attempt.job.request, unit.step, self._plan.earlier(unit.step)
        if (code := step.work) is None:
            self._spending.check()
            begun = begun_before(request.claims, step.name, unit.number)
            message = message_for(request.prompt, earlier, to_jsonable_python(unit.item), unit.place, begun)
            journal = StepJournal(self._attempt, self._stores, unit, self._spending, self._turn_keys, self._answers)
            self._journals[unit] = journal
            return await self._run_step(step, message, journal)
        key = "/".join(map(str, (self._session_id, step.name, *([] if unit.number is None else [unit.number]))))

        # Megabytes of data are read and checked beside the event loop as well.
        async def work() -> str:
            results = {result.step.name: result.value for result in earlier}
            return serialized(step, await code(StepInput(request, results, unit.item, key)))

        return Artifact(step.name, await self._run_code(work), Usage())

    async def _complete(self, seconds: float) -> Ending:
        key = self._plan.report.key(self._session_id)
        if key not in await self._blocking(self._artifacts.finished, self._session_id):
            raise ArtifactMissing(key)
        tokens = self._spending.total.as_detail()
        detail = {"reportKey": key, "seconds": round(seconds, 3), "tokens": tokens}
        return Ending(Status.AGENT_BACKGROUND_TASK_COMPLETED, detail=detail)

    async def _journal(self, unit: Unit, phase: StepPhase, **fields: Any) -> None:
        await self._attempt.append(step_status(unit.step.name, phase), step=unit.step.name, item=unit.number, **fields)

    async def _journal_failure(self, unit: Unit, error: BaseException) -> None:
        self._log(f"Step {unit} failed", error)
        journal = self._journals.get(unit)
        call = journal.failed_call if journal else None
        said = {"error_type": type(error).__name__, "error_message": error_text(error)}
        await self._journal(unit, StepPhase.FAILED, detail={"modelCall": call} if call else None, **said)

    def _log(self, what: str, error: BaseException) -> None:
        """Log an error with its traceback, once: the journal has its class and its message only."""
        if not any(error is logged for logged in self._logged):
            self._logged.append(error)
            logger.error("%s: %s", what, error_text(error), exc_info=error)

    def _note_spent(self, unit: Unit, artifact: Artifact) -> None:
        self._spending.note(unit.step.name, unit.number, artifact.usage)

    def _key(self, unit: Unit, session_id: str | None = None) -> str:
        return artifact_key(session_id or self._session_id, *_name(unit))

    def _detail(self, artifact: Artifact) -> dict[str, Any]:
        return {"artifact": artifact.key(self._session_id), "tokens": artifact.usage.as_detail()}

    async def _blocking(self, function: Callable[..., T], *args: Any) -> T:
        return await persistently(self._attempt.lease_seconds, function, *args)


def _unless_failed(produced: Artifact | Asked | _Failure) -> Artifact | Asked:
    if isinstance(produced, _Failure):
        raise produced.error
    return produced


def _name(unit: Unit) -> tuple[str, int | None, str]:
    return unit.step.name, unit.number, extension_of(unit.step)


def _is_for_others(error: BaseException, owner: asyncio.Task[Any] | None) -> bool:
    """Whether the run may write no ending."""
    return isinstance(error, AttemptOver | JournalError) or _is_discarded(owner)


def _is_discarded(owner: asyncio.Task[Any] | None) -> bool:
    """Whether who ran this is gone, for instance with its loop: nothing may be awaited any more."""
    try:
        return asyncio.current_task() is not owner
    except RuntimeError:
        return True


def _is_being_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
