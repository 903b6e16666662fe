"""The command line as a user has it: a process of its own, which leaves nothing behind."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from local import stack_file
from local.emulator.clients import RootSession
from local.loopback.ports import free_port
from tests.support.fake_model import FakeModel
from tests.support.waiting import wait_until

pytestmark = pytest.mark.slow

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
    process = start(own_tmp, "run", "--json", "--workflow", "investigate", PROMPT='"What" isn\'t fast?')
    output, errors = process.communicate(timeout=90)
    assert (process.returncode, errors) == (0, "")
    run = json.loads(output)
    assert output.count("\n") == 1
    assert list(run) == [
        "sessionId",
        "workflow",
        "request",
        "outcome",
        "attempts",
        "steps",
        "events",
        "seconds",
        "waits",
        "polls",
        "stateTransitions",
        "logStreams",
        "artifacts",
        "report",
        "artifactsError",
        "cannedReplies",
    ]
    assert run["cannedReplies"] is True
    assert run["outcome"] == "AGENT_BACKGROUND_TASK_COMPLETED"
    assert run["attempts"] == 1
    assert [event["status"] for event in run["events"]][-1] == run["outcome"]
    assert set(run["seconds"]) == {"invoker", "acknowledge", "task", "waited", "total"}
    assert run["waits"] == []
    assert run["seconds"].pop("waited") == 0
    assert all(value > 0 for value in run["seconds"].values())
    assert run["polls"] >= 1
    assert run["stateTransitions"] >= 9
    assert len(run["logStreams"]) == 1
    # The planner's canned list has two items.
    assert [key.partition("/")[2].partition("/")[2] for key in run["artifacts"]] == [
        *("investigator/0000.md", "investigator/0001.md", "planner.json", "summary.md")
    ]
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


@pytest.mark.parametrize("seconds", ["-1", "0", "nan", "inf"])
def test_a_time_limit_that_is_none_is_refused_before_anything_starts(own_tmp: Path, seconds: str) -> None:
    process = start(own_tmp, "run", "--timeout", seconds)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 2
    assert errors == f"--timeout is {seconds}; it must be a number of seconds above 0.\n"


@pytest.mark.parametrize(
    "url",
    [
        *("nonsense", "http://127.0.0.1:high", "http://127.0.0.1/?key=s3cret"),
        *("http://me:s3cret@127.0.0.1:11434", "http://me:s3/cr@et@127.0.0.1:11434"),
    ],
)
def test_a_model_url_that_can_not_be_used_is_refused_before_anything_starts_and_keeps_its_secrets(
    own_tmp: Path, url: str
) -> None:
    process = start(own_tmp, "run", "--model-url", url)
    output, errors = process.communicate(timeout=30)
    assert (process.returncode, output) == (2, "")
    assert errors.startswith("--model-url is ")
    assert errors.count("\n") == 1
    assert not re.search("s3|cret", errors)


def test_an_emulator_that_dies_under_a_run_is_what_the_run_says(own_tmp: Path) -> None:
    with FakeModel(default_text="yes") as model:
        model.queue_text("yes")
        model.queue_hang()
        process = start(own_tmp, "run", "--model-url", model.url)
        wait_until(lambda: len(model.requests) > 1 or process.poll() is not None, "the run's first call", seconds=60)
        assert process.poll() is None, process.communicate()
        for child in psutil.Process(process.pid).children():
            if "local.emulator.edge" in child.cmdline():
                child.kill()
        _, errors = process.communicate(timeout=90)
    assert process.returncode == 2
    assert errors.strip().splitlines()[-1].startswith("EmulatorError: The emulator died while in use")
    assert "Traceback" not in errors


@pytest.mark.parametrize(
    ("status", "why"),
    [(401, "/v1/chat/completions answered 401 Unauthorized"), (None, "Connection refused")],
    ids=["refuses", "is not there"],
)
def test_a_model_server_that_cannot_answer_is_a_sentence_at_the_start(
    own_tmp: Path, status: int | None, why: str
) -> None:
    with FakeModel() as model:
        url = model.url if status else f"http://127.0.0.1:{free_port()}"
        if status:
            model.queue_error(status)
        process = start(own_tmp, "run", "--model-url", url)
        output, errors = process.communicate(timeout=90)
    assert (process.returncode, output) == (2, "")
    last_line = errors.strip().splitlines()[-1]
    assert last_line.startswith(f"ModelError: --model-url {url} can't answer the agents. ")
    assert why in last_line


def test_a_second_cloud_in_one_clone_is_refused_and_the_first_goes_on(own_tmp: Path, tmp_path: Path) -> None:
    stack_path = tmp_path / "stack.json"
    first = start(own_tmp, "up", "--stack-path", str(stack_path))
    wait_until(lambda: stack_path.exists() or first.poll() is not None, "the stack file", seconds=60)
    second = start(own_tmp, "up", "--stack-path", str(stack_path))
    _, errors = second.communicate(timeout=30)
    assert second.returncode == 2
    assert f"An embedded cloud is already running, process {first.pid}, described in {stack_path}." in errors
    assert stack_path.stat().st_mode & 0o077 == 0
    stack = stack_file.read(stack_path)
    tables = RootSession(stack.endpoint_url, stack.key).client("dynamodb").list_tables()["TableNames"]
    assert stack.outputs["journalTableName"] in tables
    first.send_signal(signal.SIGINT)
    output, _ = first.communicate(timeout=30)
    assert f"AWS_ACCESS_KEY_ID={stack.key.access_key_id} AWS_SECRET_ACCESS_KEY={stack.key.secret_access_key}" in output
    assert not stack_path.exists()
