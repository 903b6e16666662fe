"""The workflow: which agents work on a request, one after another. This and `prompts/` are what you edit.

Each step gets the request and what the steps before it wrote; what it answers becomes its artifact, and the
last one's artifact is the run's report. A step's name becomes part of its events (`TASK_ANALYST_STARTED`) and
of its artifact's key: renaming one makes runs that are under way do it again.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runtime.agent.artifacts import Artifact
from runtime.journal.vocabulary import check_step_name

PROMPTS = Path(__file__).parent / "prompts"


@dataclass(frozen=True, slots=True)
class Step:
    """One agent of the workflow.

    :ivar name: 1 to 40 of a-z, 0-9 and _, a letter first
    :ivar prompt_file: its system prompt, a file in `prompts/`
    :ivar tools: Strands tools, functions decorated with `@tool`
    :raises InvalidStepName: if the name can't become part of an event's status
    """

    name: str
    prompt_file: str
    tools: Sequence[Callable[..., Any]] = ()

    def __post_init__(self) -> None:
        check_step_name(self.name)

    @property
    def system_prompt(self) -> str:
        """The text of the prompt file."""
        return (PROMPTS / self.prompt_file).read_text(encoding="utf-8")


WORKFLOW: tuple[Step, ...] = (
    Step("analyst", "analyst.md"),
    Step("reporter", "reporter.md"),
)


def message_for(prompt: str, earlier: Sequence[Artifact]) -> str:
    """Return what a step is told: the request, then what the steps before it wrote."""
    parts = ["# Request", prompt]
    for artifact in earlier:
        parts += [f"# What the {artifact.step} wrote", artifact.text]
    return "\n\n".join(parts)
