"""`python -m local notebooks`, with a program in JupyterLab's place: how it begins and ends."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Generator
from contextlib import contextmanager, nullcontext
from typing import Any

import pytest
from typer.testing import CliRunner

from local import __main__ as command
from local import stack_file
from local.jupyter import without_version

Start = Callable[..., Any]


class Cloud:
    """An embedded cloud, as far as anybody looks after it.

    :param lives: how often it is alive when asked
    """

    def __init__(self, lives: int = 1000) -> None:
        self._lives = lives

    def check(self) -> None:
        """Die, some time."""
        self._lives -= 1
        if not self._lives:
            raise RuntimeError("the emulator died")


@pytest.fixture
def start(monkeypatch: pytest.MonkeyPatch) -> Start:
    """Start the command, with a shell's script for JupyterLab; return its result and JupyterLab's command line."""
    real = subprocess.Popen

    def run(script: str, *arguments: str, cloud: Cloud | None = None) -> Any:
        called: list[Any] = []

        @contextmanager
        def started(*_arguments: object) -> Generator[Cloud]:
            yield cloud or Cloud()

        def popen(arguments: list[str], **_options: object) -> Any:
            called.append(arguments)
            called.append(real(["sh", "-c", script]))
            return called[1]

        monkeypatch.setattr(stack_file, "claim", nullcontext)
        monkeypatch.setattr(command, "_started_cloud", started)
        monkeypatch.setattr(command.subprocess, "Popen", popen)
        result = CliRunner().invoke(command.app, ["notebooks", "--no-samples", "--allow-root", *arguments])
        return result, *called

    return run


def test_the_exit_code_is_jupyters_and_options_reach_it(start: Start) -> None:
    result, arguments, _ = start("exit 7", "--port=8899", "--ServerApp.token", "x")
    assert result.exit_code == 7
    assert arguments[-4:] == ["--allow-root", "--port=8899", "--ServerApp.token", "x"]
    assert start("kill -9 $$")[0].exit_code == 128 + 9


def test_a_cloud_that_dies_is_noticed_and_ends_jupyter_too(start: Start) -> None:
    result, _, jupyter = start("exec sleep 60", cloud=Cloud(lives=2))
    assert str(result.exception) == "the emulator died"
    assert jupyter.returncode == -15


@pytest.mark.skipif(os.geteuid() != 0, reason="only root is refused")
def test_root_is_told_at_once_what_to_do() -> None:
    result = CliRunner().invoke(command.app, ["notebooks"])
    assert result.exit_code == 2
    assert "make notebooks ARGS=--allow-root" in " ".join(result.output.replace("│", " ").split())


def test_a_saved_notebook_has_no_version_of_the_interpreter() -> None:
    metadata = {"language_info": {"name": "python", "version": "3.11.7"}}
    without_version({"type": "notebook", "content": {"metadata": metadata}}, path="x", contents_manager=None)
    assert metadata == {"language_info": {"name": "python"}}
    without_version({"type": "file", "content": "text"})
