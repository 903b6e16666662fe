from collections.abc import Callable
from dataclasses import replace
from typing import Annotated, Any, cast

import pytest
from pydantic import BaseModel, Field

from runtime.agent.asking import ask
from runtime.agent.definition import Step, StepInput, Workflow, table
from runtime.agent.errors import InvalidWorkflow
from runtime.journal.errors import InvalidStepName

ANALYST = Step("analyst", "analyst.md")
# For what a type checker refuses as well.
ANY_STEP: Any = Step
ANY_WORKFLOW: Any = Workflow


class Lead(BaseModel):
    """A result."""

    question: str


class Tree(BaseModel):
    """A result that contains itself."""

    branches: list["Tree"]


async def work(_given: StepInput) -> str:
    """Plain code."""
    return "done"


async def two_arguments(_given: StepInput, _more: str) -> str:
    """Code that can't be called."""
    return "done"


def steps(*made: Step) -> Workflow:
    """Return a workflow."""
    return Workflow("research", made)


PLAN = Step("plan", work=work, result=list[Lead])
LOOK = Step("look", work=work, each="plan")


@pytest.mark.parametrize("name", ["Analyst", "two words", "a" * 41, ""])
def test_a_step_whose_name_fits_no_status_is_refused_when_it_is_declared(name: str) -> None:
    with pytest.raises(InvalidStepName):
        Step(name, "analyst.md")


@pytest.mark.parametrize(
    ("declare", "sentence"),
    [
        (lambda: Step("fetch"), "step fetch needs either a prompt file or work"),
        (lambda: Step("fetch", "analyst.md", work=work), "step fetch needs either a prompt file or work"),
        (lambda: Step("fetch", work=work, tools=(print,)), "step fetch is plain code: tools are for"),
        (lambda: Step("fetch", work=cast("Any", print)), "step fetch has the work print, which is no async function"),
        (lambda: Step("fetch", "analist.md"), r"step fetch has the prompt file analist\.md, which is not in"),
        (lambda: Step("fetch", work=work, result=print), "step fetch has the result <built-in function print>"),
        (lambda: Step("fetch", "analyst.md", result=Tree), "step fetch has the result .*, which contains itself"),
        (lambda: Step("fetch", "analyst.md", result=list[Tree]), "which contains itself: no model can be told"),
        (steps, "workflow research has no step"),
        (lambda: ANY_STEP("fetch", work=two_arguments), "step fetch has the work two_arguments, which has to take one"),
        (
            lambda: ANY_STEP("fetch", "analyst.md", tools=print),
            "step fetch has tools=<.*, which has to be a tuple",
        ),
        (lambda: Step("fetch", "analyst.md", (print,), once=("post",)), "step fetch has once=post, which is none of"),
        (
            lambda: Step("fetch", "analyst.md", (print,), approve=("post",)),
            "step fetch has approve=post, which is none",
        ),
        (
            lambda: Step("fetch", work=work, approve=("post",)),
            "step fetch is plain code: tools are for",
        ),
        (
            lambda: ANY_STEP("b", "analyst.md", (print,), approve=(print,)),
            "b has approve=<.*: what is meant is a tool's",
        ),
        (lambda: ANY_STEP("b", "analyst.md", (print,), once=(1, "a")), "b has once=1: what is meant is a tool's name"),
        (lambda: ANY_STEP("b", "analyst.md", (print,), approve=None), "b has approve=None, which has to be a tuple"),
        (lambda: ANY_STEP("b", "analyst.md", ("ask",)), "b has the tool 'ask', which is no function"),
        (lambda: Step("b", "analyst.md", (print, print)), "b has two tools of the name print"),
        (lambda: ANY_STEP("b", "analyst.md", (print,), approve="print"), "step b has approve='print', which has to be"),
        (lambda: ANY_STEP("b", work=work, after="a"), "step b has after='a', which has to be a tuple"),
        (lambda: Step("fetch", "../definition.py"), "which is not in"),
        (lambda: Workflow("Two words", (ANALYST,)), "workflow name 'Two words' is not 1 to 40 of a-z"),
        (lambda: ANY_WORKFLOW("research", ANALYST), "workflow research has no tuple of steps: is a comma missing"),
        (lambda: steps(ANALYST, Step("analyst", work=work)), "workflow research has two steps of the name analyst"),
        (lambda: table(steps(ANALYST), steps(ANALYST)), "two workflows of the name research"),
        (lambda: steps(Step("a", work=work, after=("b",)), Step("b", work=work)), "a comes after b, but .*: none"),
        (lambda: steps(ANALYST, Step("b", work=work, after=("a",))), "b comes after a, but .*: analyst"),
        (lambda: steps(ANALYST, LOOK, Step("end", work=work)), "look comes after plan, but"),
        (lambda: steps(ANALYST, Step("b", work=work, each="analyst"), PLAN), "b runs for each item of analyst, whose"),
        (lambda: steps(PLAN, LOOK), "step look is the last one and runs once per item"),
        (
            lambda: steps(PLAN, replace(LOOK, result=list[str]), Step("b", work=work, each="look"), ANALYST),
            "b runs for each item of look, which runs once per item itself",
        ),
    ],
)
def test_what_cannot_run_is_refused_when_it_is_declared(declare: Callable[[], object], sentence: str) -> None:
    with pytest.raises(InvalidWorkflow, match=sentence):
        declare()


def test_a_list_that_says_how_long_it_may_be_is_a_list() -> None:
    plan = Step("plan", work=work, result=Annotated[list[Lead], Field(max_length=6)])
    assert steps(plan, LOOK, Step("sum", work=work)).needs(LOOK) == ("plan",)


def test_code_may_give_what_contains_itself() -> None:
    assert Step("fetch", work=work, result=Tree).adapter.validate_python({"branches": []}) == Tree(branches=[])


def test_a_step_comes_after_the_one_before_it_unless_it_says_otherwise() -> None:
    workflow = steps(
        Step("a", work=work),
        Step("b", work=work, after=()),
        Step("c", work=work, after=("a", "b")),
        Step("d", work=work),
    )
    assert [workflow.needs(step) for step in workflow.steps] == [(), (), ("a", "b"), ("c",)]
    assert workflow.all_needs(workflow.steps[-1]) == ("a", "b", "c")


def test_a_step_that_runs_for_each_item_comes_after_the_list() -> None:
    workflow = steps(PLAN, Step("b", work=work, after=()), LOOK, Step("sum", work=work))
    assert workflow.needs(workflow.steps[2]) == ("plan", "b")
    assert workflow.all_needs(workflow.steps[3]) == ("plan", "b", "look")


def test_a_step_asks_that_has_a_tool_to_approve_or_the_tool_for_questions() -> None:
    approved = Step("a", "analyst.md", (print, len), once=("len",), approve=("print",))
    asking = Step("b", "analyst.md", (ask,))
    assert approved.runs_once == {"print", "len"}
    assert asking.runs_once == frozenset()
    assert [step.asks for step in (approved, asking, ANALYST)] == [True, True, False]
    assert all(steps(ANALYST, step).asks for step in (approved, asking))
    assert not steps(ANALYST).asks


def test_the_digest_changes_with_what_a_step_does_and_with_nothing_else() -> None:
    digest = steps(PLAN, LOOK, ANALYST).digest
    assert len(digest) == 12
    assert digest == steps(Step("plan", work=work, result=list[Lead]), LOOK, ANALYST).digest
    others = [
        steps(PLAN, LOOK, Step("analyst", "reporter.md")),
        steps(PLAN, LOOK, Step("analyst", "analyst.md", (print,))),
        steps(PLAN, LOOK, Step("analyst", "analyst.md", (print,), approve=("print",))),
        steps(PLAN, LOOK, Step("analyst", "analyst.md", after=())),
        steps(Step("plan", work=work, result=list[str]), LOOK, ANALYST),
    ]
    assert len({digest, *(other.digest for other in others)}) == 6
