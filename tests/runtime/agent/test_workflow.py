from collections.abc import Sequence

import pytest

from runtime.agent.artifacts import Artifact, Usage
from runtime.agent.errors import InvalidWorkflow
from runtime.agent.workflow import WORKFLOWS, Step, Workflow, message_for, table, workflow_for
from runtime.contract.errors import InvalidRequest
from runtime.contract.request import RunRequest
from runtime.journal.errors import InvalidStepName

ANALYST = Step("analyst", "analyst.md")


async def work(_request: RunRequest, _earlier: Sequence[Artifact]) -> str:
    """Plain code."""
    return "done"


def test_every_prompt_has_a_text() -> None:
    prompted = [step for workflow in WORKFLOWS.values() for step in workflow.steps if step.prompt_file]
    assert prompted
    assert all(step.system_prompt.strip() for step in prompted)


@pytest.mark.parametrize("name", ["Analyst", "two words", "a" * 41, ""])
def test_a_step_whose_name_fits_no_status_is_refused_when_it_is_declared(name: str) -> None:
    with pytest.raises(InvalidStepName):
        Step(name, "analyst.md")


def test_two_steps_of_one_name_are_refused_when_the_workflow_is_declared() -> None:
    with pytest.raises(InvalidWorkflow, match="workflow research has two steps named analyst"):
        Workflow("research", (ANALYST, Step("analyst", "reporter.md")))


def test_a_workflow_without_a_step_is_refused_when_it_is_declared() -> None:
    with pytest.raises(InvalidWorkflow, match="workflow research has no step"):
        Workflow("research", ())


def test_two_workflows_of_one_name_are_refused_when_they_are_declared() -> None:
    with pytest.raises(InvalidWorkflow, match="two workflows named research"):
        table(Workflow("research", (ANALYST,)), Workflow("research", (ANALYST,)))


def test_a_missing_prompt_file_is_refused_when_its_step_is_declared() -> None:
    with pytest.raises(InvalidWorkflow, match=r"step analyst has the prompt file analist\.md, which is not in"):
        Step("analyst", "analist.md")


@pytest.mark.parametrize(
    ("step", "sentence"),
    [
        (lambda: Step("fetch"), "step fetch needs either a prompt file or work"),
        (lambda: Step("fetch", "analyst.md", work=work), "step fetch needs either a prompt file or work"),
        (lambda: Step("fetch", work=work, tools=(print,)), "step fetch is plain code: tools are for"),
    ],
)
def test_a_step_is_either_an_agent_or_plain_code(step: object, sentence: str) -> None:
    assert callable(step)
    with pytest.raises(InvalidWorkflow, match=sentence):
        step()


def test_a_request_gets_the_workflow_that_it_names_and_without_a_name_the_first() -> None:
    assert workflow_for(RunRequest("Why?")).name == "default"
    assert workflow_for(RunRequest("Why?", workflow="verify")).name == "verify"


def test_an_unknown_workflow_is_refused_with_the_known_names() -> None:
    sentence = r"request.workflow is 'verfiy' \(6 characters\): it must be one of default, verify"
    with pytest.raises(InvalidRequest, match=sentence):
        workflow_for(RunRequest("Why?", workflow="verfiy"))


def test_a_step_is_told_the_request_first_and_then_what_others_wrote() -> None:
    earlier = [Artifact("one", "first", Usage()), Artifact("two", "second", Usage())]
    assert message_for("Why?", earlier) == (
        "# Request\n\nWhy?\n\n# What the one wrote\n\nfirst\n\n# What the two wrote\n\nsecond"
    )
