"""The example pipeline is one: valid YAML, commands that exist, no long-lived keys."""

from __future__ import annotations

import re
from typing import Any

import yaml
from typer.main import get_command
from typer.testing import CliRunner

from local.deployment.program import PROJECT
from runbook.cli.app import app
from tests.support.configuration_table import STACKS

FILE = PROJECT / "docs" / "examples" / "github-actions.yml"
PIPELINE: dict[str, Any] = yaml.safe_load(FILE.read_text(encoding="utf-8"))
JOBS: dict[str, Any] = PIPELINE["jobs"]
DEPLOYED = ("staging", "prod")
COMMANDS = [step["run"] for job in JOBS.values() for step in job["steps"] if "run" in step]


def test_pull_requests_preview_and_main_deploys_and_verifies() -> None:
    assert [name for name, job in JOBS.items() if "pull_request" in job.get("if", "")] == ["preview"]
    assert not [command for step in JOBS["preview"]["steps"] if "up" in (command := step.get("run", "")).split()]
    for name in DEPLOYED:
        commands = [step["run"].split()[:2] for step in JOBS[name]["steps"] if "run" in step]
        assert commands[-2:] == [["pulumi", "up"], [".venv/bin/runbook", "verify"]]


def test_its_stacks_are_ours() -> None:
    named = {*JOBS["preview"]["strategy"]["matrix"]["stack"], *(JOBS[name]["env"]["STACK"] for name in DEPLOYED)}
    assert named <= set(STACKS)


def test_the_commands_it_runs_exist_with_their_options() -> None:
    targets = set(re.findall(r"^([a-z]+):", (PROJECT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    for command in COMMANDS:
        if command.startswith("make "):
            assert command.split()[1] in targets
    (called,) = {name for command in COMMANDS for name in re.findall(r"bin/runbook (\S+)", command)}
    assert called in getattr(get_command(app), "commands")  # noqa: B009 - typer's click has no types
    help_text = CliRunner().invoke(app, [called, "--help"], env={"COLUMNS": "200"}).stdout
    assert all(JOBS[name]["env"]["VERIFY"] in help_text for name in DEPLOYED)


def test_it_has_no_long_lived_keys_and_every_job_has_a_limit() -> None:
    assert PIPELINE["permissions"] == {"contents": "read", "id-token": "write"}
    assert "AWS_SECRET_ACCESS_KEY" not in FILE.read_text(encoding="utf-8")
    assert all(job["timeout-minutes"] <= 60 for job in JOBS.values())
