"""Steps: what one costs besides its writes, how many go on at the same time, and what an item takes of memory.

The agent's own parts against an emulator. The first two rows have code for steps, since a model's time is a model's;
the others the real agent with a Strands agent for each item of the workflow `investigate`.
"""

from __future__ import annotations

import asyncio
import math
import time
import uuid
from collections.abc import Sequence
from typing import Any

from benchmarks.agent_app import OURS, AgentApp, Services, agent_app, services
from benchmarks.agent_parts import AgentParts
from benchmarks.progress import progress
from benchmarks.rows import Row, ratio_row
from benchmarks.samples import Samples, interleaved, seconds_of
from runtime.agent.artifacts import Artifact, Usage
from runtime.agent.attempt import Ending
from runtime.agent.definition import Step, StepInput, Workflow
from runtime.agent.step_journal import StepJournal
from runtime.agent.steps import WorkflowRun
from tests.support.paced_model import PacedModel

CHAIN = 10
ROUNDS = 30
AT_ONCE = 50
STEP_SECONDS = 1.0
PARALLEL_STEPS = 4
MOST_PARALLEL_STEPS = 32
ITEMS = 100
ITEM_SECONDS = 8.0
"""Long enough for a hundred agents to be at work at the same time."""
MIB = 1024 * 1024


def rows(rounds: int = ROUNDS, at_once: int = AT_ONCE, items: int = ITEMS) -> list[Row]:
    """Measure all."""
    with services() as service:
        here = _Here(service)
        progress(f"agent, steps: {rounds} times {CHAIN} steps that do nothing, and their writes")
        chain = Workflow("chain", tuple(Step(f"step_{number}", work=_nothing) for number in range(CHAIN)))
        alone = interleaved(lambda: here.run(chain, 1), lambda: here.write_like(chain), rounds, warmup=2)
        progress(f"agent, steps: {at_once} that block for {STEP_SECONDS:g} s, {MOST_PARALLEL_STEPS} at a time")
        wide = Workflow("wide", tuple(Step(f"step_{n}", work=_blocks, after=()) for n in range(at_once)))
        together = seconds_of(lambda: here.run(wide, MOST_PARALLEL_STEPS))
    return [
        ratio_row(
            "a step that does nothing",
            *alone,
            target=1.3,
            baseline_is="its two events and its artifact, written one after the other by the same code",
            reason="a thread with an event loop for the step's code; on a busy machine each change of threads waits",
        ),
        _parallel(f"{at_once} steps of {STEP_SECONDS:g} s", together, at_once, MOST_PARALLEL_STEPS),
        _a_few_at_a_time(at_once),
        _memory(items),
    ]


def _a_few_at_a_time(items: int) -> Row:
    progress(f"agent, steps: {items} agents of {STEP_SECONDS:g} s, {PARALLEL_STEPS} at a time")
    with PacedModel(STEP_SECONDS, items) as model, services(model.url) as service, _agent(service) as ours:
        session_id = str(uuid.uuid4())
        ours.invoke(session_id, "investigate")
        ours.wait_until_idle()
        service.check_completed(1)
        events = [event for event in service.journal.events(session_id) if event.step == "investigator"]
    took = (events[-1].created_at - events[0].created_at).total_seconds()
    return _parallel(f"{items} agents of {STEP_SECONDS:g} s", took, items, PARALLEL_STEPS)


def _memory(items: int) -> Row:
    progress(f"agent, steps: the memory of {items} agents at the same time")
    with PacedModel(ITEM_SECONDS, items) as model, services(model.url) as service, _agent(service, items) as ours:
        ours.invoke()
        ours.wait_until_idle()
        before = ours.resident_bytes
        ours.invoke(workflow="investigate")
        resident = _watched(ours)
        service.check_completed(2)
    return Row(
        f"memory of an item, {items} at the same time",
        (max(resident) - before) / MIB / items,
        "MiB",
        target=2.0,
        baseline="before they began, after a run of the default workflow",
        measured={"resident before, MiB": before / MIB, "resident, MiB": Samples.of(each / MIB for each in resident)},
    )


def _parallel(what: str, took: float, count: int, parallel_steps: int) -> Row:
    ideal = STEP_SECONDS * math.ceil(count / parallel_steps)
    return Row(
        f"{what}, {parallel_steps} at a time",
        took / ideal,
        target=1.5,
        baseline=f"{ideal:g} s, which is what `parallelSteps` allows",
        measured={"s": took},
        reason="a busy machine: threads and agents share its processors with whatever else runs",
    )


def _agent(service: Services, parallel_steps: int = PARALLEL_STEPS) -> Any:
    return agent_app(OURS, {**service.environ, "PARALLEL_STEPS": str(parallel_steps)})


def _watched(ours: AgentApp) -> Sequence[int]:
    resident: list[int] = []
    while ours.ping() != "Healthy":
        resident.append(ours.resident_bytes)
        time.sleep(0.1)
    return resident


async def _nothing(_given: StepInput) -> str:
    return "done"


async def _blocks(_given: StepInput) -> str:
    time.sleep(STEP_SECONDS)  # noqa: ASYNC251 - as a step may
    return "done"


class _Here:
    """The agent's parts in this process."""

    def __init__(self, service: Services) -> None:
        self._parts = AgentParts(service)

    def run(self, workflow: Workflow, parallel_steps: int) -> None:
        """Run a workflow's steps."""

        async def main() -> None:
            attempt = self._parts.attempt(str(uuid.uuid4()))
            ending = await WorkflowRun(attempt, self._parts.stores, workflow, _no_model, parallel_steps).run()
            if not isinstance(ending, Ending) or ending.error_type:
                raise RuntimeError(f"the steps did not end: {ending}")

        asyncio.run(main())

    def write_like(self, workflow: Workflow) -> None:
        """Write what the steps write, and list what is there before and after, without the steps."""
        session_id, artifacts = str(uuid.uuid4()), self._parts.stores.artifacts
        artifacts.finished(session_id)
        for step in workflow.steps:
            self._parts.append(session_id, f"TASK_{step.name.upper()}_STARTED")
            artifacts.put(session_id, Artifact(step.name, "done", Usage()))
            self._parts.append(session_id, f"TASK_{step.name.upper()}_COMPLETED")
        artifacts.finished(session_id)


async def _no_model(step: Step, _message: str, _journal: StepJournal) -> Artifact:
    raise NotImplementedError(step.name)
