"""Notebooks, executed from top to bottom in a kernel of their own on the shared embedded cloud."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient
from papermill.iorw import load_notebook_node
from papermill.parameterize import parameterize_notebook

from local import stack_file
from runbook.connection import PROJECT
from tests.support.running_cloud import RunningCloud

NOTEBOOKS = PROJECT / "notebooks"
CELL_SECONDS = 90


@dataclass(frozen=True)
class Executed:
    """A notebook after its execution.

    :ivar values: what was asked for, by expression
    """

    notebook: Any
    values: dict[str, Any]

    @property
    def pictures(self) -> int:
        """How many figures it shows."""
        outputs = [output for cell in self.notebook.cells for output in cell.get("outputs", [])]
        return sum('<svg role="img" aria-label="' in output.get("data", {}).get("text/html", "") for output in outputs)

    @property
    def html(self) -> str:
        """All that its cells show as HTML."""
        outputs = [output for cell in self.notebook.cells for output in cell.get("outputs", [])]
        return "".join(output.get("data", {}).get("text/html", "") for output in outputs)

    @property
    def printed(self) -> str:
        """All that its cells printed."""
        outputs = [output for cell in self.notebook.cells for output in cell.get("outputs", [])]
        return "".join(output["text"] for output in outputs if output["output_type"] == "stream")


Execute = Callable[..., Executed]


@pytest.fixture(scope="module")
def stack_path(cloud: RunningCloud, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the cloud describes itself."""
    path = tmp_path_factory.mktemp("stack") / "stack.json"
    stack_file.write(cloud.stack, path)
    return path


@pytest.fixture
def execute(stack_path: Path, monkeypatch: pytest.MonkeyPatch) -> Execute:
    """Execute a notebook, and return it with the values that some expressions have at its end."""
    monkeypatch.setenv("RUNBOOK_STACK_FILE", str(stack_path))

    # From a folder of its own: a notebook needs none in particular.
    folder = str(stack_path.parent)

    def run(name: str, *expressions: str, **parameters: Any) -> Executed:
        notebook: Any = parameterize_notebook(load_notebook_node(str(NOTEBOOKS / f"{name}.ipynb")), parameters)
        # Through JSON, so that a test can compare plain values; numpy's become Python's.
        pairs = ", ".join(f"{expression!r}: {expression}" for expression in expressions)
        notebook.cells.append(
            nbformat.v4.new_code_cell(
                f"import json\nprint(json.dumps({{{pairs}}}, default=lambda value: value.item()))"
            )
        )
        NotebookClient(
            notebook,
            timeout=CELL_SECONDS,
            kernel_name="python3",
            resources={"metadata": {"path": folder}},
        ).execute()
        return Executed(notebook, json.loads(notebook.cells[-1].outputs[0].text))

    return run


def read(name: str) -> Any:
    """A notebook as it is committed."""
    return nbformat.read(NOTEBOOKS / f"{name}.ipynb", as_version=4)
