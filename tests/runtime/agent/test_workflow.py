import pytest

from runtime.agent.workflow import WORKFLOWS, workflow_for
from runtime.contract.errors import InvalidRequest
from runtime.contract.request import RunRequest


def test_every_prompt_has_a_text() -> None:
    prompted = [step for workflow in WORKFLOWS.values() for step in workflow.steps if step.prompt_file]
    assert prompted
    assert all(step.system_prompt.strip() for step in prompted)


def test_a_request_gets_the_workflow_that_it_names_and_without_a_name_the_first() -> None:
    assert workflow_for(RunRequest("Why?")).name == "default"
    assert workflow_for(RunRequest("Why?", workflow="verify")).name == "verify"


def test_an_unknown_workflow_is_refused_with_the_known_names() -> None:
    sentence = rf"request.workflow is 'verfiy' \(6 characters\): it must be one of {', '.join(WORKFLOWS)}"
    with pytest.raises(InvalidRequest, match=sentence):
        workflow_for(RunRequest("Why?", workflow="verfiy"))
