"""What runs in the cloud imports only what is there: this reads the source, so that no test's own imports hide it."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
RUNTIME = sorted((ROOT / "runtime").rglob("*.py"))
FUNCTION = [path for path in RUNTIME if "agent" not in path.parts]
IN_EVERY_LAMBDA = {"boto3", "botocore", "runtime"}


class _Imports(ast.NodeVisitor):
    """Collects the modules that are imported when a module runs: not those for the type checker alone."""

    def __init__(self) -> None:
        self.found: set[str] = set()

    def visit_Import(self, node: ast.Import) -> None:
        self.found |= {alias.name for alias in node.names}

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        assert node.level == 0, "imports are absolute"
        self.found |= {f"{node.module}.{alias.name}" for alias in node.names}

    def visit_If(self, node: ast.If) -> None:
        for statement in node.orelse if ast.unparse(node.test) == "TYPE_CHECKING" else [*node.body, *node.orelse]:
            self.visit(statement)


def imports_of(path: Path) -> Iterator[str]:
    visitor = _Imports()
    visitor.visit(ast.parse(path.read_text(encoding="utf-8")))
    yield from sorted(visitor.found)


@pytest.mark.parametrize("path", RUNTIME, ids=lambda path: str(path.relative_to(ROOT)))
def test_nothing_of_the_runtime_imports_what_only_a_deployer_has(path: Path) -> None:
    ours = {"components", "local", "runbook", "tests", "benchmarks", "pulumi", "pulumi_aws"}
    assert not {name.split(".")[0] for name in imports_of(path)} & ours


@pytest.mark.parametrize("path", FUNCTION, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_functions_code_imports_the_standard_library_and_boto3_only(path: Path) -> None:
    allowed = IN_EVERY_LAMBDA | sys.stdlib_module_names
    assert {name.split(".")[0] for name in imports_of(path)} <= allowed
    assert not [name for name in imports_of(path) if name.startswith("runtime.agent")]


def test_the_agent_imports_strands_in_the_background_only() -> None:
    at_import = {
        path.name: [name for name in imports_of(path) if name.split(".")[0] == "strands"]
        for path in RUNTIME
        if "agent" in path.parts
    }
    assert sorted(name for name, found in at_import.items() if found) == ["conversation.py", "messages.py", "model.py"]
    allowed = {
        "model": ["dependencies.py"],
        "conversation": ["model.py"],
        "messages": ["conversation.py", "model.py"],
    }
    for module, importers_allowed in allowed.items():
        importers = [path.name for path in RUNTIME if f"from runtime.agent.{module} import" in path.read_text("utf-8")]
        assert importers == importers_allowed


def test_records_are_neither_updated_nor_deleted_anywhere() -> None:
    for path in RUNTIME:
        called = {node.attr for node in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(node, ast.Attribute)}
        forbidden = {"update_item", "delete_item", "batch_write_item", "delete_object", "delete_objects", "scan"}
        assert not called & forbidden, path


def test_one_module_of_the_agent_knows_how_a_blocking_call_is_made() -> None:
    spelled = [path.name for path in RUNTIME if "run_in_executor" in path.read_text("utf-8")]
    assert spelled == ["threads.py"]
