"""One replay: the workflow of today on the requests, answers and results of a recorded run, in this process."""

import asyncio
import functools
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any, ParamSpec, TypeVar

from strands.models.model import Model
from strands.types.tools import AgentTool

from local.replay.record.errors import RecordEnds, ReplayError
from local.replay.record.folder import RunFolder, UnitKey
from local.replay.record.line import recorded_line
from local.replay.record.memory import MemoryArtifacts, MemoryJournal, MemoryTurns, no_claims
from local.replay.record.recorded import (
    ApprovedTool,
    Part,
    RecordedModel,
    RecordedTool,
    StoppingModel,
    made_tool,
    playing,
)
from local.replay.settling import Settling
from runbook.labels import item_label
from runtime.agent.apart import run_apart
from runtime.agent.artifacts import Artifact
from runtime.agent.asking import Asked, ask
from runtime.agent.attempt import Attempt, Ending, Waiting
from runtime.agent.definition import Step, StepInput, Work, Workflow, name_of
from runtime.agent.errors import Escaped
from runtime.agent.model import run_step
from runtime.agent.run_clock import RunClock
from runtime.agent.step_journal import StepJournal, Stores
from runtime.agent.steps import WorkflowRun
from runtime.agent.threads import Threads
from runtime.agent.workflow import workflow_for
from runtime.contract.errors import InvalidRequest
from runtime.contract.job import Job
from runtime.contract.request import RunRequest
from runtime.contract.segment import Segment
from runtime.journal.timestamps import utc_now

P = ParamSpec("P")
T = TypeVar("T")
LEASE_SECONDS = 40.0
AT_ONCE = 32
"""Steps and items: more than a stack allows, as those that hold back their end take up places."""
ModelOf = Callable[[Step], Model]


@dataclass(frozen=True)
class Options:
    """How a run is replayed.

    :ivar tools: names of the tools that are really called
    :ivar force: whether these may be such as must not be called twice, or need a person
    :ivar live_from: the first step whose model is really asked; so are those after it
    :ivar debug: run everything in this thread, where a debugger stops
    """

    tools: Sequence[str] = ()
    force: bool = False
    live_from: str | None = None
    debug: bool = False


@dataclass
class Played:
    """What became of a replay."""

    ending: Ending
    journal: MemoryJournal
    artifacts: MemoryArtifacts
    workflow: Workflow
    live: frozenset[str]
    stops: list[Exception] = field(default_factory=list[Exception])


class Inline(ThreadPoolExecutor):
    """Runs what is given to it at once, in the thread that gives it."""

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Run a function."""
        future = Future[T]()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future


async def run_here(function: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Return what a coroutine function returns, in the running loop."""
    try:
        return await function()
    except SystemExit as left:
        raise Escaped(left, "the step's code ") from left


class Player:
    """Replays one run, once.

    :raises ReplayError: if the options don't fit the workflow, or the workflow is gone
    """

    def __init__(self, folder: RunFolder, options: Options) -> None:
        self._folder = folder
        self._options = options
        self._request = _request(folder)
        self._workflow = _workflow(self._request)
        self._live = _live(self._workflow, options.live_from)
        _check_tools(self._workflow, options)
        self._steps = {step.name: self._playable(step) for step in self._workflow.steps if step.work is None}
        self._stops: list[Exception] = []
        failures = folder.failures
        self._model: ModelOf | None = None
        self._settling = Settling({unit: place for place, unit in enumerate(failures)}, lambda: len(self._run.running))
        self._journal = MemoryJournal()
        self._artifacts = MemoryArtifacts(folder.session_id, self._taken())
        self._run = self._made()

    def play(self, model: ModelOf | None = None) -> Played:
        """Replay the run, whatever it does.

        :param model: gives the model of a step that is really asked
        """
        self._model = model
        ending = asyncio.run(self._play())
        return Played(ending, self._journal, self._artifacts, self._workflow, self._live, self._stops)

    async def _play(self) -> Ending:
        # The agent's own pool ends with the first loop that has it.
        threads = Inline() if self._options.debug else Threads(thread_name_prefix="replay", counts=True)
        asyncio.get_running_loop().set_default_executor(threads)
        ended = await self._run.run()
        if isinstance(ended, Waiting):
            raise ReplayError("a step asks a person, and a replay has nobody to ask")
        return ended

    def _made(self) -> WorkflowRun:
        now = utc_now()
        job = Job(self._folder.session_id, self._request, attempt=1, segment=Segment(1), now=now, seconds_left=1e9)
        # Time stands still for the lease: in a debugger, hours may pass between two events.
        clock = RunClock(now, monotonic=lambda: 0.0)
        attempt = Attempt(job, self._journal, clock=clock, environment_id="replay", lease_seconds=LEASE_SECONDS)
        stores = Stores(self._artifacts, MemoryTurns(), no_claims)
        steps = tuple(
            replace(step, work=self._held(step, step.work)) if step.work else step for step in self._workflow.steps
        )
        workflow = Workflow(self._workflow.name, steps)
        run_code = run_here if self._options.debug else run_apart
        return WorkflowRun(attempt, stores, workflow, self._run_step, AT_ONCE, run_code=run_code)

    def _taken(self) -> list[Artifact]:
        """Return what is there from the beginning: what was taken over, and agents' results without a conversation."""
        folder, agents = self._folder, {*self._steps} - self._live
        return [
            artifact
            for unit, artifact in folder.artifacts.items()
            if unit in folder.taken_over or (unit[0] in agents and unit not in folder.conversations)
        ]

    def _playable(self, step: Step) -> Step:
        """Return a step whose tools give recorded results. Made once each: Strands keeps a result's class for good."""
        # What people said is in the recorded results: nothing is asked again.
        played: Any = tuple(self._playable_tool(step, made) for made in step.tools)
        return replace(step, tools=played, once=tuple(step.runs_once), approve=())

    def _playable_tool(self, step: Step, made: Any) -> AgentTool:
        tool = made_tool(made)
        if tool.tool_name not in self._options.tools or made is ask:
            return RecordedTool(tool)
        return ApprovedTool(tool) if tool.tool_name in step.approve else tool

    async def _run_step(self, step: Step, message: str, journal: StepJournal) -> Artifact | Asked:
        _, name, item = journal.place
        part = self._part((name, item))
        playing.set(part)
        played = self._steps[name]
        model = StoppingModel(part, self._real_model(step)) if part.is_live else RecordedModel(part, played)

        async def run() -> Artifact | Asked:
            try:
                return await run_step(model, played, message, journal)
            except Exception as error:
                if part.stopped and part.stopped is not error:
                    raise part.stopped from None
                raise

        return await self._settled((name, item), run())

    def _part(self, unit: UnitKey) -> Part:
        folder, (name, item) = self._folder, unit
        return Part(
            name + item_label(item),
            recorded_line(folder, unit),
            name in self._live,
            folder.redacted,
            folder.failures.get(unit),
            unit in folder.artifacts,
            folder.approved(unit),
        )

    def _held(self, step: Step, code: Work) -> Work:
        @functools.wraps(code)
        async def work(given: StepInput) -> Any:
            item = int(given.idempotency_key.rpartition("/")[2]) if step.each else None
            return await self._settled((step.name, item), code(given))

        return work

    async def _settled(self, unit: UnitKey, work: Awaitable[T]) -> T:
        try:
            return await work
        except Exception as error:
            await self._settling.wait(unit, fails=not isinstance(error, RecordEnds))
            self._stops.append(error)
            raise

    def _real_model(self, step: Step) -> Model:
        if self._model is None:
            raise ReplayError("no model is given for --live-from")
        return self._model(step)


def _request(folder: RunFolder) -> RunRequest:
    """Return the run's request. What was taken over from other runs is in the folder."""
    return replace(folder.request, take_from=())


def _workflow(request: RunRequest) -> Workflow:
    try:
        return workflow_for(request)
    except InvalidRequest as error:
        raise ReplayError(f"the run's workflow is not here any more: {error}") from error


def _live(workflow: Workflow, first: str | None) -> frozenset[str]:
    names = [step.name for step in workflow.steps]
    if first is None:
        return frozenset()
    if first not in names:
        raise ReplayError(f"--live-from is {first!r}, and the steps of workflow {workflow.name} are {', '.join(names)}")
    return frozenset(names[names.index(first) :])


def _check_tools(workflow: Workflow, options: Options) -> None:
    known = {name_of(made) for step in workflow.steps for made in step.tools}
    if unknown := sorted({*options.tools} - known):
        have = f"its tools are {', '.join(sorted(known))}" if known else "it has none"
        raise ReplayError(f"--tools names {unknown[0]!r}, which is no tool of workflow {workflow.name}: {have}")
    careful = {name for step in workflow.steps for name in step.runs_once}
    if not options.force and (refused := sorted(careful.intersection(options.tools))):
        raise ReplayError(
            f"--tools names {refused[0]}, whose calls must not happen twice or need a person: it is called only "
            "with --force"
        )
