from __future__ import annotations

import json
from pathlib import Path

import pytest

from local import stack_file
from local.stack_file import LocalStack

STACK = LocalStack("http://127.0.0.1:1", "http://127.0.0.1:2", "us-east-1", "local", {"journalTableName": "journal"})


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
        "outputs": {"journalTableName": "journal"},
    }


def test_only_its_owner_may_read_it_and_nothing_else_is_left(tmp_path: Path) -> None:
    path = tmp_path / "stack.json"
    path.write_text("an older one, readable by all")
    stack_file.write(STACK, path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_removing_it_twice_is_harmless(tmp_path: Path) -> None:
    path = tmp_path / "stack.json"
    stack_file.write(STACK, path)
    stack_file.remove(path)
    stack_file.remove(path)
    with pytest.raises(FileNotFoundError):
        stack_file.read(path)


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"endpointUrl": 1}'])
def test_another_file_in_its_place_is_said_to_be_one(tmp_path: Path, content: str) -> None:
    path = tmp_path / "stack.json"
    path.write_text(content)
    with pytest.raises(ValueError, match=r"stack\.json is not a description of an embedded cloud"):
        stack_file.read(path)
