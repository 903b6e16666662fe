"""The workflows: which steps work on a request, in which order. This and `prompts/` are what you edit.

A request names its workflow (`"workflow": "investigate"`); without a name it gets the first. A step is told the request
and the results of the steps that it comes after; what it answers becomes its artifact, and the last one's artifact is
the run's report. A step's name becomes part of its events (`TASK_ANALYST_STARTED`) and of its artifact's key: renaming
one makes runs that are under way do it again. What a step can be: :class:`runtime.agent.definition.Step`.
"""

from pydantic import BaseModel, Field

from runtime.agent import verification
from runtime.agent.definition import Step, Workflow, table
from runtime.agent.earlier_runs import read_run
from runtime.agent.notices import post_notice
from runtime.contract.errors import InvalidRequest
from runtime.contract.fields import described
from runtime.contract.request import RunRequest


class Lead(BaseModel):
    """Something that is worth looking into on its own."""

    question: str = Field(description="what to find out, in one sentence")
    why: str = Field(description="what the answer would decide")


WORKFLOWS = table(
    Workflow("default", (Step("analyst", "analyst.md"), Step("reporter", "reporter.md"))),
    # One agent plans, one works on each item at the same time, one sums up.
    Workflow(
        "investigate",
        (
            Step("planner", "planner.md", result=list[Lead]),
            Step("investigator", "investigator.md", each="planner"),
            Step("summary", "summary.md"),
        ),
    ),
    # One agent with two tools, of which a person has to approve one; the example to copy.
    Workflow("follow_up", (Step("librarian", "librarian.md", (read_run, post_notice), approve=("post_notice",)),)),
    # What `runbook verify` runs: no model, cents, seconds. The first two write at the same time.
    Workflow(
        "verify",
        (
            Step("prepare", work=verification.prepare),
            Step("beside", work=verification.beside, after=()),
            Step("work", work=verification.work, after=("prepare", "beside")),
        ),
    ),
)


def workflow_for(request: RunRequest) -> Workflow:
    """Return the workflow that a request names, or the first.

    :raises InvalidRequest: if there is none of that name
    """
    name = request.workflow or next(iter(WORKFLOWS))
    if name not in WORKFLOWS:
        raise InvalidRequest("request.workflow", described(name), f"one of {', '.join(WORKFLOWS)}")
    return WORKFLOWS[name]
