"""Where docstrings, comments and pages point to a file or a module of the project in backticks, it is there.

A path may leave out the folders that its reader knows, so `workflow.py` and `prompts/` are found wherever they are.
What a module is said to have is looked up in its source, not by importing it.
"""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[1]
QUOTED = re.compile(r"`~?([\w./-]+)`")
FILE = re.compile(r"[\w./-]+\.(py|md|ipynb)|[\w.-]+(/[\w.-]+)*/")
PACKAGES = ("benchmarks", "components", "docs", "local", "runbook", "runtime", "tests")
MODULE = re.compile(rf"({'|'.join(PACKAGES)})(\.[A-Za-z_]\w*)+")
# A changelog tells of what was, and what agents are told is no documentation.
NOT_READ = ("CHANGELOG.md", "runtime/agent/prompts/")
# Made on the machine, so not in the tree.
MADE = (".build/", ".local/", ".venv/")


def tracked() -> list[str]:
    listed = subprocess.run(["git", "ls-files"], cwd=PROJECT, check=True, capture_output=True, text=True).stdout
    return [path for path in listed.splitlines() if (PROJECT / path).is_file()]


FILES = tracked()
PATHS = [f"/{path}" for path in FILES] + sorted(
    {f"/{parent}/" for path in FILES for parent in Path(path).parents if parent != Path()}
)
READ = [path for path in FILES if path.endswith((".py", ".md")) and not path.startswith(NOT_READ)]


def stale(text: str) -> Iterator[str]:
    """What a text points to that is not there."""
    for quoted in QUOTED.findall(text):
        if MODULE.fullmatch(quoted) and not FILE.fullmatch(quoted):
            if not is_defined(quoted):
                yield quoted
        elif FILE.fullmatch(quoted) and not quoted.startswith(("/", *MADE)) and not is_file(quoted):
            yield quoted


def is_file(path: str) -> bool:
    # With the project's own folders first, it is the whole path.
    if path.startswith(tuple(f"{package}/" for package in PACKAGES)):
        return f"/{path}" in PATHS
    return any(known.endswith(f"/{path}") for known in PATHS)


def is_defined(name: str) -> bool:
    """Whether a dotted name is a package, a module, or something that one defines or imports."""
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        place = PROJECT.joinpath(*parts[:length])
        source = place / "__init__.py" if place.is_dir() else place.with_suffix(".py")
        if source.is_file():
            return set(parts[length:]) <= names_in(source)
    return PROJECT.joinpath(*parts).is_dir()


@cache
def names_in(source: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                names.add(node.name)
            case ast.Name(id=found, ctx=ast.Store()) | ast.alias(name=found) | ast.arg(arg=found):
                names.add(found)
            case _:
                pass
    return names


def test_what_is_pointed_to_is_there() -> None:
    found = {path: list(stale((PROJECT / path).read_text(encoding="utf-8"))) for path in READ}
    assert not {path: pointers for path, pointers in found.items() if pointers}


@pytest.mark.parametrize(
    "pointer",
    [
        *("runtime/agent/no_such.py", "no_such.py", "agent/no_such/", "local/prompts/"),
        *("runtime.agent.no_such", "~runtime.agent.job.no_such", "tests.no_such"),
    ],
)
def test_a_pointer_to_what_is_not_there_is_found(pointer: str) -> None:
    assert list(stale(f"As `{pointer}` says.")) == [pointer.removeprefix("~")]
