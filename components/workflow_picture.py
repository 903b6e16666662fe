"""The state machine as a Mermaid diagram, made from its definition: `python -m components.workflow_picture`.

docs/architecture.md contains the output; a test fails when the two differ.
"""

from collections.abc import Iterator
from typing import Any

from components.settings import Settings
from components.workflow_budget import WorkflowSettings
from components.workflow_definition import build_definition


def draw(definition: dict[str, Any]) -> str:
    """Return the diagram of a state machine; an arrow that a Catch makes is labelled with its errors."""
    lines = ["stateDiagram-v2", f"    [*] --> {definition['StartAt']}"]
    for name, state in definition["States"].items():
        lines += [f"    {name} --> {then}{label}" for then, label in _arrows(state)]
        if state["Type"] in ("Succeed", "Fail"):
            lines.append(f"    {name} --> [*]")
    return "\n".join(lines)


def _arrows(state: dict[str, Any]) -> Iterator[tuple[str, str]]:
    followers = [choice["Next"] for choice in state.get("Choices", [])]
    followers += [state[key] for key in ("Next", "Default") if key in state]
    yield from ((then, "") for then in dict.fromkeys(followers))
    for catch in state.get("Catch", []):
        if catch["Next"] not in followers:
            errors = " or ".join(error.rpartition(".")[2] for error in catch["ErrorEquals"])
            yield catch["Next"], f": {'any error' if errors == 'ALL' else errors}"


def default_picture() -> str:
    """Return the diagram of the state machine with default settings."""
    return draw(build_definition(WorkflowSettings(Settings.defaults(), "invoker", "journal", "default")))


if __name__ == "__main__":
    print(default_picture())  # noqa: T201
