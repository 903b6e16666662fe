"""Steps and items that are worked on at the same time, in virtual time: order, failure, resume, retry, one writer."""

import asyncio
import json
import re
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import pytest

from runtime.agent.artifacts import Artifact, Usage
from runtime.agent.definition import Step, StepInput, Workflow
from runtime.agent.results import MAX_MESSAGE_CHARACTERS
from runtime.agent.threads import at_work
from runtime.contract.request import StepSource
from tests.runtime.agent.simulation import LEASE_SECONDS, Simulation, hangs, raises, says
from tests.support.faulty_dynamodb import conflict, first

OTHER = "11111111-0000-4000-8000-000000000000"
FAN_OUT = Workflow(
    "fan_out",
    (
        Step("plan", "planner.md", result=list[str]),
        Step("look", "investigator.md", each="plan"),
        Step("sum", "summary.md"),
    ),
)


def plan_of(*items: str) -> str:
    """Return the artifact of a plan."""
    return json.dumps(list(items))


@pytest.fixture
def fan_out(simulation: Simulation) -> Simulation:
    """A run that looks at five things."""
    simulation.workflow = FAN_OUT
    simulation.work = {"plan": says(plan_of(*"abcde")), "look": says("seen", after=10), "sum": says("the report")}
    return simulation


def test_items_are_worked_on_at_the_same_time_as_many_as_may_be(fan_out: Simulation) -> None:
    fan_out.parallel_steps = 3
    fan_out.run_task()
    assert fan_out.seconds == pytest.approx(1 + 2 * 10 + 1, abs=0.2)
    assert fan_out.statuses[-1] == "COMPLETED"
    looks = [event for event in fan_out.events if event.step == "look"]
    assert [event.item for event in looks if event.status.endswith("_COMPLETED")] == [0, 1, 2, 3, 4]
    assert fan_out.messages["sum"].count("about part") == 5


def test_steps_whose_needs_are_finished_run_at_the_same_time_and_the_others_wait(simulation: Simulation) -> None:
    prompted = [
        Step(name, "analyst.md", after=after)
        for name, after in (("a", ()), ("b", ()), ("c", ("a",)), ("d", ("b", "c")))
    ]
    simulation.workflow = Workflow("graph", tuple(prompted))
    simulation.work = {"a": says("a", after=5), "b": says("b", after=12), "c": says("c", after=5), "d": says("d")}
    simulation.run_task()
    assert simulation.seconds == pytest.approx(13, abs=0.2)
    assert simulation.statuses[1:8] == [
        *("A_STARTED", "B_STARTED", "A_COMPLETED", "C_STARTED", "C_COMPLETED", "B_COMPLETED", "D_STARTED")
    ]
    assert re.findall("What the (.) wrote", simulation.messages["d"]) == ["a", "b", "c"]


def test_the_first_failure_ends_the_run_and_what_is_finished_stays_for_the_retry(fan_out: Simulation) -> None:
    works = iter([says("seen", after=3), raises(ValueError("no such thing"), after=5), *[says("late", after=50)] * 3])

    async def look() -> str:
        return await next(works)()

    fan_out.work["look"] = look
    fan_out.run_task()
    assert fan_out.seconds < 10
    assert (outcome := fan_out.outcome) is not None
    assert (outcome.error_type, outcome.error_message) == ("ValueError", "no such thing")
    [failed] = [event for event in fan_out.events if event.status == "TASK_LOOK_FAILED"]
    assert failed.item == 1
    finished = fan_out.artifacts.finished(fan_out.session_id)
    assert finished == {f"sessions/{fan_out.session_id}/{name}" for name in ("plan.json", "look/0000.md")}


@pytest.mark.parametrize(
    "error", [GeneratorExit("odd"), KeyboardInterrupt("odd"), asyncio.CancelledError("odd"), StopAsyncIteration("odd")]
)
def test_whatever_an_item_raises_the_others_are_cancelled(error: BaseException, fan_out: Simulation) -> None:
    cancelled = list[int]()

    async def hang() -> str:
        try:
            return await hangs()
        finally:
            cancelled.append(1)

    works = iter([raises(error, after=5), hang, hang, hang])

    async def look() -> str:
        return await next(works)()

    async def main() -> int:
        await fan_out.task().run()
        return len(cancelled)

    fan_out.work["look"] = look
    assert fan_out.run(main) == 3
    assert (outcome := fan_out.outcome) is not None
    assert outcome.error_type == type(error).__name__


def test_items_that_swallow_their_cancellation_hold_the_end_up_for_an_eighth_of_the_lease_and_write_nothing(
    fan_out: Simulation,
) -> None:
    async def stubborn() -> str:
        with suppress(asyncio.CancelledError):
            await hangs()
        await asyncio.sleep(LEASE_SECONDS)
        return "at last"

    works = iter([raises(ValueError("no"), after=5), stubborn, stubborn, stubborn])

    async def look() -> str:
        return await next(works)()

    async def main() -> None:
        await fan_out.task().run()
        await asyncio.sleep(2 * LEASE_SECONDS)

    fan_out.work["look"] = look
    fan_out.run(main)
    assert fan_out.statuses[-2:] == ["LOOK_FAILED", "FAILED"]
    failed, ended = fan_out.events[-2:]
    assert (ended.created_at - failed.created_at).total_seconds() == pytest.approx(LEASE_SECONDS / 8, abs=0.2)


def test_the_end_waits_for_threads_that_items_have_left_behind(fan_out: Simulation) -> None:
    """A cancelled tool's thread goes on: what it does should be done before the run is over."""
    idle_at = list[float]()

    async def blocked_in_a_thread() -> str:
        left = at_work()
        left.__enter__()
        asyncio.get_running_loop().call_later(9, lambda: (left.__exit__(None, None, None), idle_at.append(now())))
        return await hangs()

    def now() -> float:
        return asyncio.get_running_loop().time()

    works = iter([raises(ValueError("no"), after=5), *[blocked_in_a_thread] * 3])

    async def look() -> str:
        return await next(works)()

    fan_out.work["look"] = look
    fan_out.run_task()
    assert fan_out.statuses[-1] == "FAILED"
    assert len(idle_at) == 3


def test_an_item_that_is_stored_of_another_list_is_not_taken_for_one_of_this(fan_out: Simulation) -> None:
    fan_out.artifacts.put(fan_out.session_id, Artifact("look", "of old", Usage(), 1, made_from="another list"))
    fan_out.run_task()
    assert (outcome := fan_out.outcome) is not None
    assert outcome.error_type == "OtherList"
    assert outcome.error_message == "what is stored of look (2 of 5) was made from another list: retry the run"


def test_one_at_a_time_is_one_after_the_other(fan_out: Simulation) -> None:
    fan_out.parallel_steps = 1
    fan_out.run_task()
    assert fan_out.seconds == pytest.approx(1 + 5 * 10 + 1, abs=0.2)
    assert items_of(fan_out, "LOOK_COMPLETED") == [0, 1, 2, 3, 4]


@pytest.mark.slow
def test_a_hundred_items_at_once_are_a_few_transactions(fan_out: Simulation) -> None:
    fan_out.parallel_steps = 100
    fan_out.work["plan"] = says(plan_of(*map(str, range(100))))
    fan_out.blocking_seconds = 0.01
    fan_out.run_task()
    assert fan_out.statuses[-1] == "COMPLETED"
    assert items_of(fan_out, "LOOK_COMPLETED") == list(range(100))
    assert max(fan_out.table.transactions) == 80
    assert len(fan_out.table.transactions) < 50
    assert "SKIPPED" not in "".join(fan_out.statuses)


LARGE = 5_000_000


def test_results_of_megabytes_go_through_and_a_model_is_told_of_a_part(fan_out: Simulation) -> None:
    told = list[int]()

    async def plan(_given: StepInput) -> list[str]:
        return ["x" * (LARGE // 10)] * 10

    async def look(given: StepInput) -> str:
        told.append(len(given.results["plan"]))
        return given.item

    fan_out.workflow = Workflow(
        "large",
        (
            Step("plan", work=plan, result=list[str]),
            Step("look", work=look, each="plan"),
            Step("sum", "summary.md"),
        ),
    )
    fan_out.deadline_seconds = 1e7  # the real loop's clock did not begin at 0

    async def main() -> None:
        await fan_out.task().run()

    asyncio.run(main())
    assert fan_out.statuses[-1] == "COMPLETED"
    assert told == [10] * 10
    assert len(fan_out.messages["sum"]) < 1.1 * MAX_MESSAGE_CHARACTERS
    assert "[Cut here" in fan_out.messages["sum"]


def test_code_that_fails_for_an_item_fails_the_run_by_what_it_raised(fan_out: Simulation) -> None:
    async def look(given: StepInput) -> Any:
        if given.item == "b":
            sys.exit("enough")
        return {"wrong": given.item} if given.item == "c" else given.item

    plan, _, end = FAN_OUT.steps
    fan_out.workflow = Workflow("code", (plan, Step("look", work=look, each="plan"), end))
    fan_out.work["plan"] = says(plan_of("a", "b"), after=0)
    fan_out.deadline_seconds = 1e7

    async def main() -> None:
        await fan_out.task().run()

    asyncio.run(main())
    assert (outcome := fan_out.outcome) is not None
    assert (outcome.error_type, outcome.error_message) == ("Escaped", "the step's code raised SystemExit('enough')")


def test_a_later_attempt_does_only_the_items_that_were_not_finished(fan_out: Simulation) -> None:
    digest = Artifact("plan", plan_of(*"abcde"), Usage(), extension="json").digest
    fan_out.artifacts.put(fan_out.session_id, Artifact("plan", plan_of(*"abcde"), Usage(), extension="json"))
    for number in (1, 3):
        fan_out.artifacts.put(
            fan_out.session_id, Artifact("look", "seen before", Usage(1, 1), number, made_from=digest)
        )
    fan_out.run_task(2)
    assert items_of(fan_out, "LOOK_SKIPPED") == [1, 3]
    assert items_of(fan_out, "LOOK_STARTED") == [0, 2, 4]
    assert fan_out.messages["sum"].count("seen before") == 2
    assert fan_out.detail("_TASK_COMPLETED")["tokens"] == {"inputTokens": 42, "outputTokens": 22}


@pytest.mark.parametrize(("planned", "taken"), [("abcde", [0, 1]), ("abcdX", [])], ids=["the same list", "another"])
def test_a_retry_takes_over_items_with_the_list_that_they_were_made_from_only(
    planned: str, taken: Sequence[int], fan_out: Simulation
) -> None:
    theirs = Artifact("plan", plan_of(*"abcde"), Usage(), extension="json")
    for number in (0, 1):
        fan_out.artifacts.put(OTHER, Artifact("look", "seen there", Usage(), number, made_from=theirs.digest))
    fan_out.work["plan"] = says(plan_of(*planned))
    fan_out.take_from = (StepSource(OTHER, ("look",)),)
    fan_out.run_task()
    assert items_of(fan_out, "LOOK_SKIPPED") == taken
    assert fan_out.statuses[-1] == "COMPLETED"


def test_events_of_steps_that_run_at_the_same_time_never_meet_in_the_table(fan_out: Simulation) -> None:
    """One transaction at a time, in real threads; events that wait for it share the next one."""
    fan_out.parallel_steps = 10
    items = plan_of(*map(str, range(30)))
    fan_out.work = {name: says(text, after=0) for name, text in {"plan": items, "look": "seen", "sum": "r"}.items()}
    fan_out.table.seconds = 0.01
    fan_out.deadline_seconds = 1e7  # the real loop's clock did not begin at 0

    async def main() -> None:
        await fan_out.task().run()

    asyncio.run(main())
    assert fan_out.statuses[-1] == "COMPLETED"
    assert fan_out.table.conflicts == 0
    assert max(fan_out.table.transactions) > 5


def test_a_conflict_with_another_writer_costs_milliseconds(fan_out: Simulation) -> None:
    fan_out.table.decide = first(5, conflict)
    fan_out.run_task()
    assert fan_out.statuses[-1] == "COMPLETED"
    assert fan_out.seconds < 1 + 2 * 10 + 1 + LEASE_SECONDS / 100


def items_of(simulation: Simulation, status: str) -> list[int]:
    """Return the items of the events with a status."""
    return sorted(event.item or 0 for event in simulation.events if event.status == f"TASK_{status}")
