"""What a contributor relies on: every make target explains itself, and the supported Pythons are named in one place."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import yaml

from components.python_version import DEPLOYED

PROJECT = Path(__file__).parents[1]
MAKEFILE = (PROJECT / "Makefile").read_text(encoding="utf-8")
PYPROJECT: dict[str, Any] = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))
VERSION = re.compile(r"\b3\.1[0-9]\b")


def output_of(*command: str) -> str:
    return subprocess.run(command, cwd=PROJECT, check=True, capture_output=True, text=True).stdout


def test_every_target_has_its_line_of_help_and_stands_in_the_readme() -> None:
    (phony,) = re.findall(r"^\.PHONY: (.*)$", MAKEFILE, re.MULTILINE)
    helped = re.findall(r"^make (\S+) +\S", output_of("make", "--no-print-directory", "help"), re.MULTILINE)
    assert helped == phony.split()
    readme = (PROJECT / "README.md").read_text(encoding="utf-8")
    assert not [target for target in helped if f"`make {target}`" not in readme]


def test_the_supported_pythons_are_those_of_the_project_file_and_one_of_them_is_deployed() -> None:
    supported = output_of(".ci/pythons").split()
    first, end = supported[0], int(supported[-1].removeprefix("3.")) + 1
    assert PYPROJECT["project"]["requires-python"] == f">={first},<3.{end}"
    assert DEPLOYED in supported


def test_no_other_file_of_the_tools_names_a_python() -> None:
    files = [PROJECT / "Makefile", *(PROJECT / ".ci").iterdir(), PROJECT / ".pre-commit-config.yaml"]
    for path in files:
        # Examples of what can be typed are in comments and help.
        code = [re.split(r"(^|\s)#", line)[0] for line in path.read_text(encoding="utf-8").splitlines()]
        assert not VERSION.search("\n".join(code)), path
    tools = PYPROJECT["tool"]
    assert "target-version" not in tools["ruff"]
    assert "python-version" not in tools["pyrefly"]


def test_ci_runs_what_a_contributor_runs() -> None:
    run = (PROJECT / ".ci" / "run").read_text(encoding="utf-8")
    assert re.findall(r"^make (\S+)", run, re.MULTILINE) == ["check", "test", "unit"]


def test_the_hooks_are_tools_of_the_environment_and_the_tests_they_run_exist() -> None:
    config: Any = yaml.safe_load((PROJECT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
    pinned = (PROJECT / "requirements.txt").read_text(encoding="utf-8")
    (source,) = config["repos"]
    assert source["repo"] == "local"
    for hook in source["hooks"]:
        command, *arguments = hook["entry"].split()
        tool = command.removeprefix(".venv/bin/")
        assert tool == "python" or f"\n{tool}==" in pinned
        assert all((PROJECT / name).is_file() for name in arguments if name.startswith("tests/"))


def test_the_uv_that_is_pinned_builds_the_project_itself() -> None:
    (pinned,) = re.findall(r"^uv==(\S+)", (PROJECT / "requirements.txt").read_text(encoding="utf-8"), re.MULTILINE)
    assert PYPROJECT["build-system"]["requires"] == [f"uv_build=={pinned}"]
