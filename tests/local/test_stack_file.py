from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from local import stack_file
from local.emulator.clients import AccessKey
from local.stack_file import LocalStack

STACK = LocalStack(
    endpoint_url="http://127.0.0.1:1",
    agentcore_endpoint_url="http://127.0.0.1:2",
    region="us-east-1",
    stack="local",
    outputs={"journalTableName": "journal"},
    key=AccessKey("AKIAEXAMPLE", "a secret"),
)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "new" / "stack.json"
    stack_file.write(STACK, path)
    assert stack_file.read(path) == STACK


def test_the_names_in_the_file_are_those_of_the_design(tmp_path: Path) -> None:
    path = tmp_path / "stack.json"
    stack_file.write(STACK, path)
    assert json.loads(path.read_text()) == {
        "endpointUrl": "http://127.0.0.1:1",
        "agentcoreEndpointUrl": "http://127.0.0.1:2",
        "region": "us-east-1",
        "stack": "local",
        "accessKeyId": "AKIAEXAMPLE",
        "secretAccessKey": "a secret",
        "process": {"id": os.getpid(), "startedAt": psutil.Process().create_time()},
        "outputs": {"journalTableName": "journal"},
    }


def test_only_its_owner_may_read_it_and_nothing_else_is_left(tmp_path: Path) -> None:
    path = tmp_path / "stack.json"
    path.write_text("an older one, readable by all")
    stack_file.write(STACK, path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_the_secret_is_not_shown_where_a_stack_is() -> None:
    assert "a secret" not in repr(STACK)


def test_removing_it_twice_is_harmless(tmp_path: Path) -> None:
    path = tmp_path / "stack.json"
    stack_file.write(STACK, path)
    stack_file.remove(path)
    stack_file.remove(path)
    with pytest.raises(FileNotFoundError):
        stack_file.read(path)


@pytest.mark.slow
def test_one_that_a_killed_cloud_left_behind_is_recognised(tmp_path: Path) -> None:
    path = tmp_path / "stack.json"
    program = "import sys; from pathlib import Path; from local import stack_file\n"
    program += "from tests.local.test_stack_file import STACK; stack_file.write(STACK, Path(sys.argv[1]))"
    subprocess.run([sys.executable, "-c", program, str(path)], check=True, timeout=60)
    with pytest.raises(ValueError, match=r"stack\.json was left behind by an embedded cloud that is no longer running"):
        stack_file.read(path)


def test_another_process_with_the_number_of_the_killed_one_is_not_taken_for_it(tmp_path: Path) -> None:
    path = tmp_path / "stack.json"
    stack_file.write(STACK, path)
    content = json.loads(path.read_text())
    content["process"]["startedAt"] -= 3600
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match="was left behind"):
        stack_file.read(path)


def _bytes(content: bytes) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(content)


def _text(content: str) -> Callable[[Path], object]:
    return _bytes(content.encode())


def _edited(**changes: Any) -> Callable[[Path], object]:
    def make(path: Path) -> None:
        stack_file.write(STACK, path)
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))

    return make


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (_text(""), "Expecting value"),
        (_text("[]"), "indices"),
        (_text("{}"), "outputs is missing"),
        (_text("[" * 100_000), "recursion"),
        (_bytes(b"\x7fELF\xff\xfe"), "not UTF-8 text"),
        (_bytes(b" " * (stack_file.MAX_BYTES + 1)), "larger than 1000000 bytes"),
        (Path.mkdir, "not a regular file"),
        (os.mkfifo, "not a regular file"),
        (_edited(endpointUrl=1), "endpointUrl is int, not text"),
        (_edited(secretAccessKey=None), "secretAccessKey is NoneType, not text"),
        (_edited(outputs=[]), "no attribute 'items'"),
        (_edited(process={"id": 1e999, "startedAt": 0}), "infinity"),
    ],
)
def test_whatever_else_is_in_its_place_is_said_to_be_no_description(
    tmp_path: Path, make: Callable[[Path], object], problem: str
) -> None:
    path = tmp_path / "stack.json"
    make(path)
    with pytest.raises(ValueError, match=rf"stack\.json is not a description of an embedded cloud: .*{problem}"):
        stack_file.read(path)


def test_a_second_cloud_for_the_same_file_is_refused_and_leaves_it_alone(tmp_path: Path) -> None:
    path = tmp_path / "stack.json"
    running = rf"already running, process {os.getpid()}, described in .*stack\.json"
    with stack_file.claim(path):
        stack_file.write(STACK, path)
        with pytest.raises(ValueError, match=running), stack_file.claim(path):
            pass
        assert stack_file.read(path) == STACK
        with stack_file.claim(tmp_path / "another.json"):
            pass
    assert not path.exists()
    with stack_file.claim(path):
        pass


def test_a_directory_in_its_place_is_no_place_for_a_cloud(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="is not a file: move it away"), stack_file.claim(tmp_path):
        pass
