"""The workflows: which steps work on a request, one after another. This and `prompts/` are what you edit.

A request names its workflow (`"workflow": "verify"`); without a name it gets the first. Each step is given the request
and what the steps before it wrote; its answer becomes its artifact, and the last step's artifact is the run's report. A
step's name is part of its events (`TASK_ANALYST_STARTED`) and of its artifact's key: if one is renamed, runs under way
do it again.
"""

from collections import Counter
from collections.abc import Callable, Coroutine, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from runtime.agent import earlier_runs, verification
from runtime.agent.artifacts import Artifact
from runtime.agent.errors import InvalidWorkflow
from runtime.contract.errors import InvalidRequest
from runtime.contract.fields import described
from runtime.contract.request import RunRequest
from runtime.journal.vocabulary import check_step_name

PROMPTS = Path(__file__).parent / "prompts"
Work: TypeAlias = Callable[[RunRequest, Sequence[Artifact]], Coroutine[Any, Any, str]]
"""Plain code as a step: gets the request and what the steps before it wrote, and returns its artifact's text.

It has a thread and an event loop of its own, so it may block. It may run more than once: if an attempt is lost before
the artifact is stored, the next one runs it again.
"""


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a workflow: an agent with a prompt, or plain code.

    :ivar name: 1 to 40 of a-z, 0-9 and _, a letter first
    :ivar prompt_file: an agent's system prompt, a file in `prompts/`
    :ivar tools: functions that the agent may call; see `earlier_runs.py`
    :ivar work: code instead of an agent
    :raises InvalidStepName: if the name can't become part of an event's status
    :raises InvalidWorkflow: if there are both prompt and code or neither, code with tools, or no such file
    """

    name: str
    prompt_file: str | None = None
    tools: Sequence[Callable[..., Any]] = ()
    work: Work | None = None

    def __post_init__(self) -> None:
        check_step_name(self.name)
        if (self.prompt_file is None) == (self.work is None):
            raise InvalidWorkflow(f"step {self.name} needs either a prompt file or work, not both")
        if self.work and self.tools:
            raise InvalidWorkflow(f"step {self.name} is plain code: tools are for steps with a prompt file")
        if self.prompt_file is not None and not (PROMPTS / self.prompt_file).is_file():
            raise InvalidWorkflow(f"step {self.name} has the prompt file {self.prompt_file}, which is not in {PROMPTS}")

    @property
    def system_prompt(self) -> str:
        """The text of the prompt file."""
        return (PROMPTS / (self.prompt_file or "")).read_text(encoding="utf-8")


@dataclass(frozen=True, slots=True)
class Workflow:
    """Steps that work on a request one after another.

    :raises InvalidWorkflow: if there is no step, or two share a name
    """

    name: str
    steps: tuple[Step, ...]

    def __post_init__(self) -> None:
        if not self.steps:
            raise InvalidWorkflow(f"workflow {self.name} has no step")
        if twice := _more_than_once(step.name for step in self.steps):
            raise InvalidWorkflow(f"workflow {self.name} has two steps named {twice}: one would hide the other")


def table(*workflows: Workflow) -> dict[str, Workflow]:
    """Return workflows by name, the default first.

    :raises InvalidWorkflow: if two share a name
    """
    if twice := _more_than_once(workflow.name for workflow in workflows):
        raise InvalidWorkflow(f"there are two workflows named {twice}")
    return {workflow.name: workflow for workflow in workflows}


def _more_than_once(names: Iterable[str]) -> str | None:
    return next((name for name, count in Counter(names).items() if count > 1), None)


WORKFLOWS = table(
    Workflow("default", (Step("analyst", "analyst.md"), Step("reporter", "reporter.md"))),
    # What `runbook verify` runs: no model, cents, seconds.
    Workflow("verify", (Step("prepare", work=verification.prepare), Step("work", work=verification.work))),
    # An agent with a tool: the example to copy.
    Workflow("follow_up", (Step("librarian", "librarian.md", (earlier_runs.read_run,)),)),
)


def workflow_for(request: RunRequest) -> Workflow:
    """Return the workflow that a request names, or the first.

    :raises InvalidRequest: if no workflow has that name
    """
    name = request.workflow or next(iter(WORKFLOWS))
    if name not in WORKFLOWS:
        raise InvalidRequest("request.workflow", described(name), f"one of {', '.join(WORKFLOWS)}")
    return WORKFLOWS[name]


def message_for(prompt: str, earlier: Sequence[Artifact]) -> str:
    """Return an agent's message: the request, then what the steps before it wrote."""
    parts = ["# Request", prompt]
    for artifact in earlier:
        parts += [f"# What the {artifact.step} wrote", artifact.text]
    return "\n\n".join(parts)
