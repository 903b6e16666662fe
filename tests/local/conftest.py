"""One emulator for all tests that only deploy into one, and a way to deploy a few lines of a program."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from textwrap import dedent
from typing import Any

import pytest

from local.deployment.deploy import deploy
from local.emulator.process import Emulator

DeployProgram = Callable[[str], dict[str, Any]]


@pytest.fixture(scope="session")
def emulator() -> Iterator[Emulator]:
    """A running emulator; what a test creates in it needs names of its own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SECRET_OF_THIS_MACHINE", "for nobody in the emulator")
        with Emulator() as running:
            yield running


@pytest.fixture(scope="session")
def deploy_program(emulator: Emulator, tmp_path_factory: pytest.TempPathFactory) -> DeployProgram:
    """Deploy the text of a program, in which json, pulumi and aws are imported, and return its outputs."""

    def run(program: str) -> dict[str, Any]:
        project = tmp_path_factory.mktemp("project")
        (project / "Pulumi.yaml").write_text("{name: some-program, runtime: python, config: {}}")
        (project / "Pulumi.local.yaml").write_text("config: {}")
        header = "import json\nimport pulumi\nimport pulumi_aws as aws\n"
        (project / "__main__.py").write_text(header + dedent(program))
        return deploy(emulator, project=project)

    return run
