import pytest

from runtime.agent.artifacts import Artifact, Usage
from runtime.agent.workflow import WORKFLOW, Step, message_for
from runtime.journal.errors import InvalidStepName


def test_every_step_has_a_name_of_its_own_and_a_prompt() -> None:
    assert len({step.name for step in WORKFLOW}) == len(WORKFLOW) > 0
    assert all(step.system_prompt.strip() for step in WORKFLOW)


@pytest.mark.parametrize("name", ["Analyst", "two words", "a" * 41, ""])
def test_a_step_whose_name_fits_no_status_is_refused_when_it_is_declared(name: str) -> None:
    with pytest.raises(InvalidStepName):
        Step(name, "analyst.md")


def test_a_step_is_told_the_request_first_and_then_what_others_wrote() -> None:
    earlier = [Artifact("one", "first", Usage()), Artifact("two", "second", Usage())]
    assert message_for("Why?", earlier) == (
        "# Request\n\nWhy?\n\n# What the one wrote\n\nfirst\n\n# What the two wrote\n\nsecond"
    )
