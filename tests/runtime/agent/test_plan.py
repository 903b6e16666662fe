import json
from collections.abc import Iterable
from typing import Any

import pytest

from runtime.agent.artifacts import Artifact, Usage
from runtime.agent.definition import Step, StepInput, Workflow
from runtime.agent.errors import TooManyItems
from runtime.agent.plan import MAX_ITEMS, Plan, Unit


async def work(_given: StepInput) -> Any:
    """Plain code."""


def step(name: str, **fields: Any) -> Step:
    """Return a step."""
    return Step(name, work=work, **fields)


FAN_OUT = Workflow("fan_out", (step("plan", result=list[str]), step("look", each="plan"), step("sum")))


def finish(plan: Plan, units: Iterable[Unit], text: str = "done") -> None:
    """Finish units in the reverse order: which comes first must not matter."""
    for unit in reversed([*units]):
        plan.finish(unit, Artifact(unit.step.name, text, Usage(), unit.number))


def names(units: Iterable[Unit]) -> list[str]:
    """Return what a person calls the units."""
    return [str(unit) for unit in units]


def test_a_step_is_ready_once_what_it_comes_after_is_finished_and_only_once() -> None:
    plan = Plan(Workflow("w", (step("a"), step("b", after=()), step("c", after=("a",)), step("d", after=("b", "c")))))
    a, b = plan.newly_ready()
    assert names([a, b]) == ["a", "b"]
    assert names(plan.newly_ready()) == []
    finish(plan, [b])
    assert names(plan.newly_ready()) == []
    finish(plan, [a])
    [c] = plan.newly_ready()
    finish(plan, [c])
    [d] = plan.newly_ready()
    assert str(d) == "d"
    assert [result.step.name for result in plan.earlier(d.step)] == ["a", "b", "c"]


def test_a_step_runs_for_each_item_with_the_item_and_the_lists_digest() -> None:
    plan = Plan(FAN_OUT)
    finish(plan, plan.newly_ready(), json.dumps(["x", "y"]))
    units = [*plan.newly_ready()]
    assert names(units) == ["look (1 of 2)", "look (2 of 2)"]
    assert [(unit.number, unit.item) for unit in units] == [(0, "x"), (1, "y")]
    assert {unit.made_from for unit in units} == {Artifact("plan", '["x", "y"]', Usage()).digest}
    finish(plan, units[:1])
    assert names(plan.newly_ready()) == []
    finish(plan, units[1:])
    [last] = plan.newly_ready()
    assert [result.value for result in plan.earlier(last.step)] == [["x", "y"], ["done", "done"]]


def test_an_empty_list_gives_an_empty_list_of_results() -> None:
    plan = Plan(FAN_OUT)
    finish(plan, plan.newly_ready(), "[]")
    [last] = plan.newly_ready()
    assert str(last) == "sum"
    assert [result.value for result in plan.earlier(last.step)] == [[], []]


def test_more_items_than_a_run_may_have_are_refused_with_their_number() -> None:
    plan = Plan(FAN_OUT)
    finish(plan, plan.newly_ready(), json.dumps(["x"] * (MAX_ITEMS + 1)))
    with pytest.raises(TooManyItems, match="step look would run for 101 items: 100 at most"):
        list(plan.newly_ready())


def test_the_report_is_the_last_steps_result() -> None:
    plan = Plan(FAN_OUT)
    finish(plan, plan.newly_ready(), "[]")
    finish(plan, plan.newly_ready(), "the report")
    assert plan.report.text == "the report"
    assert [artifact.step for artifact in plan.artifacts()] == ["plan", "sum"]
