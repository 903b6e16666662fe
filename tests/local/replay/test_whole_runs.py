"""Replays of runs with items, with ends from outside, with steps that were never reached, and with a thousand turns."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import psutil
import pytest

from local.replay import replayed
from local.replay.record.errors import RecordEnds
from runtime.agent.definition import Step, StepInput, Workflow
from runtime.journal.records import Event
from tests.local.replay.conftest import Recorder
from tests.support.scripted_model import ScriptedModel, Turn, calls, says

ITEMS = 100
TURNS = 10


class Waiting(ScriptedModel):
    """Answers once something has happened."""

    def __init__(self, happened: asyncio.Event, *turns: Turn | Exception) -> None:
        super().__init__(*turns)
        self._happened = happened

    async def stream(self, messages: Any, *args: Any, **kwargs: Any) -> AsyncIterator[Any]:
        """Play the next turn."""
        await self._happened.wait()
        async for event in super().stream(messages, *args, **kwargs):
            yield event


def look(place: str) -> str:
    """Look somewhere."""
    return f"nothing at {place}"


async def plan(given: StepInput) -> list[str]:
    """Return as many parts as the prompt says."""
    return [f"part {number}" for number in range(int(given.request.prompt))]


async def count(given: StepInput) -> int:
    """Count what was found."""
    return len(given.results["clerk"])


def survey() -> Workflow:
    """Return a workflow with a clerk for each part."""
    clerk = Step("clerk", "clerk.md", (look,), each="plan")
    return Workflow("survey", (Step("plan", work=plan, result=list[str]), clerk, Step("count", work=count, result=int)))


@pytest.mark.slow
def test_a_thousand_turns_are_replayed_in_seconds_and_in_bounded_memory(recorder: Recorder) -> None:
    def model_for(_step: str, item: int | None) -> ScriptedModel:
        asks = [calls("look", place=f"{item}, {turn}, {'far away ' * 200}") for turn in range(TURNS - 1)]
        return ScriptedModel(*asks, says(f"found {item}"))

    folder = recorder.record(survey(), model_for, prompt=str(ITEMS))
    resident, began = psutil.Process().memory_info().rss, time.monotonic()
    found = replayed(folder)
    seconds, grown = time.monotonic() - began, psutil.Process().memory_info().rss - resident
    assert found.same, found
    assert sum(unit.replayed.turns for unit in found.units) == ITEMS * TURNS
    assert found.results["count"] == ITEMS
    assert seconds < 60
    assert grown < 100e6


def test_a_failure_does_not_cut_off_what_was_finished_before_it(recorder: Recorder) -> None:
    finished = asyncio.Event()

    class Last(ScriptedModel):
        def next_turn(self) -> Turn | Exception:
            if len(self.turns) == 1:
                finished.set()
            return super().next_turn()

    def model_for(_step: str, item: int | None) -> ScriptedModel:
        if item == 0:
            return Waiting(finished, RuntimeError("gone"))
        return Last(*(calls("look", place=str(turn)) for turn in range(30)), says("found"))

    folder = recorder.record(survey(), model_for, prompt="2")
    found = replayed(folder)
    assert found.same, found.units
    assert found.error_type == "RuntimeError"


def test_a_cancelled_run_ends_where_its_record_does(recorder: Recorder) -> None:
    def second_turn(event: Event) -> bool:
        return event.turn == 2

    never = asyncio.Event()

    def model_for(_step: str, item: int | None) -> ScriptedModel:
        if item == 0:
            return Waiting(never, says("never"))
        return ScriptedModel(calls("look", place="a"), calls("look", place="b"), says("found"))

    folder = recorder.record(survey(), model_for, prompt="2", cancelled=second_turn)
    found = replayed(folder)
    assert (found.status, found.error_type) == ("SESSION_CANCELLED", "Cancelled")
    assert found.same, found.units


def test_a_mended_step_goes_on_until_a_step_that_was_never_reached(recorder: Recorder) -> None:
    async def broken(_given: StepInput) -> str:
        raise KeyError("orders")

    async def mended(_given: StepInput) -> str:
        return "two orders"

    def flow(code: Any) -> Workflow:
        return Workflow("survey", (Step("orders", work=code), Step("clerk", "clerk.md")))

    model = ScriptedModel(says("fine"))
    folder = recorder.record(flow(broken), lambda _step, _item: model)
    assert replayed(folder).same
    recorder.know(flow(mended))
    found = replayed(folder)
    assert found.error_type == RecordEnds.__name__
    assert found.results == {"orders": "two orders"}
    assert found.notes[-1] == "step clerk never asked its model in the recorded run."
    live = replayed(folder, live_from="clerk", model=lambda _: model)
    assert (live.completed, live.report) == (True, "fine")
    assert model.told[-1][0]["content"][0]["text"].endswith("two orders")
