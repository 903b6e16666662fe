"""Turns: what one costs besides its writes, how many bytes a step puts, and what it takes to restore a long one.

A Strands agent with a scripted model, and the agent's own parts against an emulator.
"""

from __future__ import annotations

import asyncio
import json
import time
import tracemalloc
import uuid
from collections.abc import Sequence
from typing import Any

from strands import Agent

from benchmarks.agent_app import PROMPT, services
from benchmarks.agent_parts import AgentParts
from benchmarks.progress import progress
from benchmarks.rows import Row
from benchmarks.samples import Samples, seconds_of
from runtime.agent.artifacts import Usage
from runtime.agent.definition import Step
from runtime.agent.model import run_step
from runtime.agent.plan import Unit
from runtime.agent.spending import Spending
from runtime.agent.step_journal import StepJournal
from runtime.agent.turns import StoredTurn, Turn, TurnKind, definition_key, newest_of, turn_key
from tests.support.scripted_model import DeterministicModel, calls, says

ROUNDS = 30
CALLS = 10
"""Of tools, one an answer, in a step whose turns are timed."""
LONG_CALLS = 49
"""Makes 50 answers."""
CHARACTERS = 4096
ANSWERS = 1000
STATUS = "TASK_CLERK_TURN"
KIB, MIB = 1024, 1024 * 1024


def rows(rounds: int = ROUNDS, answers: int = ANSWERS) -> list[Row]:
    """Measure all."""
    with services() as service:
        parts = AgentParts(service)
        return [_overhead(parts, rounds), _bytes(parts), *_restored(parts, answers)]


async def look_up(what: str) -> str:
    """Look something up."""
    return what


STEP = Step("clerk", "analyst.md", (look_up,))


def _overhead(parts: AgentParts, rounds: int) -> Row:
    progress(f"agent, turns: {rounds} times {CALLS} calls of a tool, with and without what is stored of them")
    session_id = str(uuid.uuid4())
    _run(parts, session_id, CALLS, 10)
    written = [
        (key, parts.stores.turns.turn(key))
        for key in sorted(parts.stores.turns.keys(session_id))
        if "definition" not in key
    ]
    events = [event for event in parts.reader.events(session_id) if event.status == STATUS]
    times: dict[str, list[float]] = {"ours": [], "Strands alone": [], "writes alone": []}
    for number in range(rounds + 2):
        again = str(uuid.uuid4())
        actions = {
            "ours": lambda again=again: _run(parts, again, CALLS, 10),
            "Strands alone": lambda: _alone(CALLS, 10),
            "writes alone": lambda: _write(parts, written, events),
        }
        for name in sorted(actions, reverse=number % 2 == 0):
            took = seconds_of(actions[name])
            if number >= 2:
                times[name].append(took)
    samples = {name: Samples.of(values) for name, values in times.items()}
    ours, alone, writes = (samples[name].median for name in times)
    return Row(
        "a turn, without Strands' own work",
        (ours - alone) / writes,
        target=1.2,
        baseline="its object, its event and the step's definition, written one after the other by the same code",
        measured={f"{name}, s": found for name, found in samples.items()},
        reason="two threads a turn, and on a busy machine each change of threads waits",
    )


def _bytes(parts: AgentParts) -> Row:
    progress(f"agent, turns: the bytes of {LONG_CALLS + 1} answers whose tools return {CHARACTERS} characters")
    session_id = str(uuid.uuid4())
    _run(parts, session_id, LONG_CALLS, CHARACTERS)
    turns, keys = parts.stores.turns, parts.stores.turns.keys(session_id)
    newest = newest_of(keys, session_id, STEP.name, None)
    if newest is None:
        raise RuntimeError("nothing was stored")
    conversation = len(json.dumps(turns.restored(newest).messages))
    put = sum(len(turns.turn(key).serialized()) for key in keys if "definition" not in key)
    return Row(
        f"bytes put by a step of {LONG_CALLS + 1} answers",
        put / conversation,
        target=3.0,
        baseline="its conversation as JSON",
        measured={"put, KiB": put / KIB, "conversation, KiB": conversation / KIB, "objects": float(len(keys))},
    )


def _restored(parts: AgentParts, answers: int) -> list[Row]:
    progress(f"agent, turns: {answers} answers with their tools' results are stored, and restored")
    session_id = str(uuid.uuid4())
    newest = _stored(parts, session_id, answers)
    tracemalloc.start()
    began = time.perf_counter()
    found: StoredTurn = parts.stores.turns.restored(newest)
    took = time.perf_counter() - began
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    if len(found.messages) != 2 * answers:
        raise RuntimeError(f"{2 * answers} messages were stored, and {len(found.messages)} restored")
    what = f"restore of {answers:,} answers and their tools' results"
    size = len(json.dumps(found.messages)) / MIB
    return [
        Row(what, took, "s", measured={"objects": float(2 * answers), "conversation, MiB": size}),
        Row(f"{what}: peak memory", peak / MIB, "MiB", measured={"conversation, MiB": size}),
    ]


def _run(parts: AgentParts, session_id: str, answers: int, characters: int) -> None:
    async def main() -> None:
        journal = StepJournal(parts.attempt(session_id), parts.stores, Unit(STEP, None), Spending())
        await run_step(_model(answers, characters).as_bedrock(), STEP, PROMPT, journal)

    asyncio.run(main())


def _alone(answers: int, characters: int) -> None:
    from strands import tool

    model = _model(answers, characters).as_bedrock()
    agent = Agent(model=model, system_prompt=STEP.system_prompt, tools=[tool(look_up)], callback_handler=None)
    asyncio.run(agent.invoke_async(PROMPT))


def _model(answers: int, characters: int) -> DeterministicModel:
    return DeterministicModel(*[calls("look_up", what="a" * characters)] * answers, says("done"))


def _write(parts: AgentParts, written: Sequence[tuple[str, Turn]], events: Sequence[Any]) -> None:
    session_id = str(uuid.uuid4())
    parts.stores.turns.put(definition_key(session_id, STEP.name, None, 1), json.dumps(STEP.system_prompt).encode())
    for (key, turn), event in zip(written, events, strict=True):
        # Elsewhere: an object that is there already is not put again.
        parts.stores.turns.put(f"{key}.{session_id}", turn.serialized())
        parts.append(session_id, STATUS, step=STEP.name, turn=turn.number, detail=event.detail)


def _stored(parts: AgentParts, session_id: str, answers: int) -> str:
    """Store a line of turns, and return the newest one's key."""
    parent: str | None = None
    call = {"toolUse": {"toolUseId": "call", "name": "look_up", "input": {"what": "this"}}}
    result = {"toolResult": {"toolUseId": "call", "status": "success", "content": [{"text": "a" * CHARACTERS}]}}
    for number in range(1, answers + 1):
        for kind, role, block in ((TurnKind.MODEL, "assistant", call), (TurnKind.TOOLS, "user", result)):
            key = turn_key(session_id, STEP.name, None, 1, number, kind)
            message = {"role": role, "content": [block]}
            turn = Turn(number, kind, [message], parent, Usage(number, number), (), None, "digest", "any")
            parts.stores.turns.put(key, turn.serialized())
            parent = key
    if parent is None:
        raise RuntimeError("nothing was stored")
    return parent
