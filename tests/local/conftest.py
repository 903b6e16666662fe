"""One emulator for all tests that only deploy into one, and a way to deploy a few lines of a program."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from local.deploy import deploy
from local.emulator import Emulator

DeployProgram = Callable[[str], dict[str, Any]]


@pytest.fixture(scope="session")
def emulator() -> Iterator[Emulator]:
    """A running emulator; what a test creates in it needs names of its own."""
    with Emulator() as running:
        yield running


@pytest.fixture
def deploy_program(emulator: Emulator, tmp_path: Path) -> DeployProgram:
    """Deploy the text of a program, in which json, pulumi and aws are imported, and return its outputs."""
    (tmp_path / "Pulumi.yaml").write_text("{name: some-program, runtime: python, config: {}}")
    (tmp_path / "Pulumi.local.yaml").write_text("config: {}")

    def run(program: str) -> dict[str, Any]:
        header = "import json\nimport pulumi\nimport pulumi_aws as aws\n"
        (tmp_path / "__main__.py").write_text(header + dedent(program))
        return deploy(emulator, project=tmp_path)

    return run
