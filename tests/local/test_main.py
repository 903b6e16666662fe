"""The command line as a user has it: a process of its own, which leaves nothing behind."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.support.fake_model import FakeModel
from tests.support.waiting import wait_until

PROJECT = Path(__file__).parents[2]


@pytest.fixture
def own_tmp(tmp_path: Path) -> Iterator[Path]:
    """A temporary directory that has to be empty again at the end."""
    directory = tmp_path / "tmp"
    directory.mkdir()
    yield directory
    assert list(directory.iterdir()) == []


def start(own_tmp: Path, *arguments: str, **variables: str) -> subprocess.Popen[str]:
    """Start `python -m local` with a temporary directory of its own."""
    environment = {**os.environ, "TMPDIR": str(own_tmp), **variables}
    return subprocess.Popen(
        [sys.executable, "-m", "local", *arguments],
        cwd=PROJECT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def assert_all_gone(processes: list[psutil.Process]) -> None:
    _, alive = psutil.wait_procs(processes, timeout=5)
    assert alive == []


def test_run_prints_one_json_object_and_nothing_else(own_tmp: Path) -> None:
    began = time.monotonic()
    process = start(own_tmp, "run", "--json", PROMPT='"What" isn\'t fast?')
    output, errors = process.communicate(timeout=90)
    assert (process.returncode, errors) == (0, "")
    run = json.loads(output)
    assert output.count("\n") == 1
    assert list(run) == [
        "sessionId",
        "outcome",
        "attempts",
        "events",
        "seconds",
        "polls",
        "stateTransitions",
        "logStreams",
        "artifacts",
        "report",
        "artifactsError",
    ]
    assert run["outcome"] == "AGENT_BACKGROUND_TASK_COMPLETED"
    assert run["attempts"] == 1
    assert [event["status"] for event in run["events"]][-1] == run["outcome"]
    assert set(run["seconds"]) == {"invoker", "acknowledge", "task", "total"}
    assert all(value > 0 for value in run["seconds"].values())
    assert run["polls"] >= 1
    assert run["stateTransitions"] >= 9
    assert len(run["logStreams"]) == 1
    assert len(run["artifacts"]) == 2
    assert run["report"]
    assert time.monotonic() - began < 60


def test_up_tells_where_it_is_and_leaves_nothing_when_it_is_stopped(own_tmp: Path, tmp_path: Path) -> None:
    stack_path = tmp_path / "stack.json"
    process = start(own_tmp, "up", "--stack-path", str(stack_path))
    wait_until(lambda: stack_path.exists() or process.poll() is not None, "the stack file", seconds=60)
    assert process.poll() is None, process.communicate()
    stack = json.loads(stack_path.read_text())
    assert stack["endpointUrl"].startswith("http://127.0.0.1:")
    assert stack["outputs"]["stateMachineArn"]
    children = psutil.Process(process.pid).children(recursive=True)
    assert len(children) >= 2
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    assert process.returncode == 130
    assert not stack_path.exists()
    assert_all_gone(children)


def test_what_goes_wrong_is_one_sentence_and_a_code(own_tmp: Path) -> None:
    process = start(own_tmp, "run", "--timeout", "0.01")
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 2
    last_line = errors.strip().splitlines()[-1]
    assert last_line.startswith(("RunNotFound: ", "WatchTimeout: "))
    assert "Traceback" not in errors


def test_a_run_that_fails_is_explained_and_has_a_code_of_its_own(own_tmp: Path) -> None:
    with FakeModel(default_text="") as model:
        process = start(own_tmp, "run", "--model-url", model.url)
        output, _ = process.communicate(timeout=90)
    assert process.returncode == 1
    assert "EmptyAnswer" in output
