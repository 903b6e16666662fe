"""The process around a command, as a shell has it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from runbook.connection import PROJECT
from tests.runbook.conftest import start_command

SECONDS = 30
RUNBOOK = f"{sys.executable} -m runbook"


def shell(command: str) -> subprocess.CompletedProcess[str]:
    """Run a command line in bash."""
    return subprocess.run(
        ["/bin/bash", "-c", f"set -o pipefail; {command}"],
        cwd=PROJECT,
        env={**os.environ, "RUNBOOK_STACK_FILE": "/nowhere/stack.json"},
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )


def test_an_environment_gets_the_command_without_a_network_and_wherever_it_is(tmp_path: Path) -> None:
    environment = tmp_path / "with a space"
    uv = [sys.executable, "-m", "uv", "--quiet", "--offline", "--no-cache"]
    subprocess.run([*uv, "venv", "--python", sys.executable, environment], check=True)
    # What `make setup` does once the requirements are there.
    install = [*uv, "pip", "install", "--no-deps", "--python", environment, "--editable", PROJECT]
    subprocess.run(install, check=True, timeout=SECONDS)
    done = subprocess.run(
        [environment / "bin" / "runbook", "list"],
        cwd=tmp_path,
        env={"RUNBOOK_STACK_FILE": "/nowhere/stack.json", "PYTHONPATH": sysconfig.get_path("purelib")},
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr.startswith("error: the embedded cloud is not running")


def test_the_shell_completes_what_is_typed() -> None:
    done = shell(f"_RUNBOOK_COMPLETE=complete_bash COMP_WORDS='runbook dead' COMP_CWORD=1 {RUNBOOK}")
    assert done.stdout.split() == ["dead-letters"]


@pytest.mark.parametrize("arguments", ["list", "--help", "--show-completion bash"])
def test_without_a_standard_output_nothing_is_done(arguments: str) -> None:
    done = shell(f"{RUNBOOK} {arguments} >&-")
    assert (done.returncode, done.stderr) == (3, "error: standard output is closed: nothing was done\n")


@pytest.mark.parametrize("arguments", ["--help", "--show-completion bash"])
def test_a_full_disk_is_a_sentence(arguments: str) -> None:
    done = shell(f"{RUNBOOK} {arguments} >/dev/full")
    assert (done.returncode, done.stderr) == (3, "error: the output can't be written: No space left on device\n")


@pytest.mark.parametrize("arguments", ["--help", "--show-completion bash"])
def test_a_reader_that_has_gone_is_exit_code_141(arguments: str) -> None:
    done = shell(f"(sleep 0.01; {RUNBOOK} {arguments}) | exec true")
    assert (done.returncode, done.stdout, done.stderr) == (141, "", "")


@pytest.mark.parametrize("closed", ["2>&-", "2>/dev/full", "<&-"])
def test_other_streams_may_be_closed(closed: str) -> None:
    done = shell(f"{RUNBOOK} list {closed}")
    assert done.returncode == 3
    assert "Traceback" not in done.stderr


def test_ctrl_c_while_the_command_is_imported_is_exit_code_130_and_no_traceback(tmp_path: Path) -> None:
    (tmp_path / "boto3.py").write_text("import sys, time\nprint('importing', flush=True)\ntime.sleep(30)\n")
    importing = start_command({**os.environ, "PYTHONPATH": str(tmp_path)}, "list")
    try:
        assert importing.stdout
        assert importing.stdout.readline() == "importing\n"
        importing.send_signal(signal.SIGINT)
        _, errors = importing.communicate(timeout=SECONDS)
    finally:
        importing.kill()
        importing.wait(SECONDS)
    assert (importing.returncode, errors) == (130, "")
