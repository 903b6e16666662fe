"""What operators can use is documented, where they use it and on the page for it."""

from __future__ import annotations

import inspect
import json
import re
from typing import Any

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from runbook import figures, runbook
from runbook.cli.app import app
from runbook.cli.commands import EXIT_CODES
from runbook.connection import PROJECT
from runtime.journal.keys import ANSWERS_PARTITION, RUN_PARTITION
from runtime.journal.vocabulary import Status
from tests.support.iam_linter import condition_keys, resource_formats

PAGE = (PROJECT / "docs" / "runbook.md").read_text(encoding="utf-8")
COMMANDS = sorted(getattr(get_command(app), "commands"))  # noqa: B009 - typer's click has no types
METHODS = sorted(
    name for name, _ in inspect.getmembers(runbook.Runbook, inspect.isfunction) if not name.startswith("_")
)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_has_help_with_an_example_that_could_be_typed(command: str) -> None:
    result = CliRunner().invoke(app, [command, "--help"], env={"COLUMNS": "200"})
    assert result.exit_code == 0
    assert f"Example: runbook {command}" in " ".join(result.stdout.split())


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_is_on_the_page(command: str) -> None:
    assert f"| `{command}` |" in PAGE


@pytest.mark.parametrize("name", METHODS)
def test_a_method_has_a_docstring_and_is_on_the_page(name: str) -> None:
    assert inspect.getdoc(getattr(runbook.Runbook, name))
    assert re.search(rf"`{name}\(", PAGE)


def test_pictures_have_docstrings() -> None:
    drawn = [
        function
        for _, function in inspect.getmembers(figures, inspect.isfunction)
        if function.__module__ == figures.__name__
    ]
    assert all(inspect.getdoc(function) for function in drawn if not function.__name__.startswith("_"))


def test_exit_codes_are_the_same_on_the_page_and_in_the_help() -> None:
    help_text = " ".join(CliRunner().invoke(app, ["--help"], env={"COLUMNS": "200"}).stdout.split())
    for code, meaning in EXIT_CODES.items():
        assert f"| {code} | {meaning} |" in PAGE
        assert f"{code}: {meaning}" in help_text


def test_every_event_is_explained_on_the_page() -> None:
    cells = re.findall(r"`([A-Z_…]+)`", PAGE)
    for status in Status:
        # `AGENT_INVOCATION_STARTED`, `_SUCCEEDED` shortens what begins alike.
        assert any(status == cell or (cell.startswith("_") and status.endswith(cell)) for cell in cells), status


def test_links_on_the_page_lead_somewhere() -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", PAGE):
        assert (PROJECT / "docs" / target).resolve().exists(), target


def answering_statements() -> list[dict[str, Any]]:
    """What the page allows who may answer."""
    (block,) = re.findall(r"```json\n(\[\n  \{\n    \"Effect.*?)```", PAGE, re.DOTALL)
    return json.loads(block)


def test_who_may_answer_has_these_rights_and_conditions_that_aws_knows() -> None:
    writing, waking = answering_statements()
    assert writing["Condition"]["ForAllValues:StringLike"] == {
        "dynamodb:LeadingKeys": [f"{RUN_PARTITION}*", f"{ANSWERS_PARTITION}*"]
    }
    assert all("dynamodb:LeadingKeys" in condition_keys(action) for action in writing["Action"])
    assert (waking["Resource"], resource_formats(waking["Action"])) == ("*", {"*"})
    (row,) = re.findall(r"\| answer \| (.*?) \|", PAGE)
    assert row == ", ".join(f"`{action}`" for action in writing["Action"])
