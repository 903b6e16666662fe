"""The Lambda that starts agents."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile

from components.invoker import code
from local.deployment.program import PROJECT
from tests.support.pulumi_program import deployed

FUNCTION = deployed("dev").one("Function").inputs
ZIP: list[str] = sorted(code().assets)


def test_the_zip_holds_the_journal_and_the_invoker_and_nothing_else() -> None:
    assert {"runtime/__init__.py", "runtime/invoker/handler.py", "runtime/journal/writer.py"} <= set(ZIP)
    assert all(name.endswith(".py") for name in ZIP)
    assert not [name for name in ZIP if name.startswith("runtime/agent")]


def test_the_zip_is_a_few_kilobytes(tmp_path: Path) -> None:
    with ZipFile(tmp_path / "function.zip", "w", ZIP_DEFLATED) as archive:
        for name in ZIP:
            archive.write(PROJECT / name, name)
    assert (tmp_path / "function.zip").stat().st_size <= 32_000


def test_the_zip_needs_boto3_and_the_standard_library_only() -> None:
    # Both are in Lambda's runtime, so that nothing has to be installed into the zip.
    provided = {*sys.stdlib_module_names, "boto3", "botocore", "runtime"}
    assert {package for name in ZIP for package in imports(PROJECT / name)} <= provided


def test_the_zip_has_every_module_of_ours_that_it_imports() -> None:
    packages = {".".join(Path(name).with_suffix("").parts[:2]) for name in ZIP}
    imported = {module for name in ZIP for module in modules(PROJECT / name) if module.startswith("runtime.")}
    assert {".".join(module.split(".")[:2]) for module in imported} <= packages


def modules(path: Path) -> Iterator[str]:
    """What a module imports when it runs: imports for type checkers only don't count."""
    nodes: list[ast.AST] = [ast.parse(path.read_text(encoding="utf-8"))]
    while nodes:
        node = nodes.pop()
        if not (isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"):
            nodes += ast.iter_child_nodes(node)
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


def imports(path: Path) -> set[str]:
    return {module.partition(".")[0] for module in modules(path)}


def test_the_handler_exists() -> None:
    module, _, name = FUNCTION["handler"].rpartition(".")
    path = PROJECT / f"{module.replace('.', '/')}.py"
    tree = ast.parse(path.read_text(encoding="utf-8"))
    defined = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    assert name in defined


def test_the_function_may_call_the_one_agent_through_runtime_and_endpoint() -> None:
    [statement] = [s for s in deployed("dev").statements("invoker") if s["Action"][0].startswith("bedrock-agentcore:")]
    assert statement["Action"] == ["bedrock-agentcore:InvokeAgentRuntime", "bedrock-agentcore:StopRuntimeSession"]
    arn = deployed("dev").outputs["agentRuntimeArn"]
    assert statement["Resource"] == [arn, f"{arn}/runtime-endpoint/live"]


def test_the_function_may_ask_for_executions_of_this_stacks_machine_only() -> None:
    [statement] = [s for s in deployed("dev").statements("invoker") if s["Action"][0].startswith("states:")]
    executions = "arn:aws:states:us-east-1:123456789012:execution:fire-and-forget-dev-workflow-machine-*:*"
    assert (statement["Action"], statement["Resource"]) == (["states:DescribeExecution"], [executions])


def test_the_function_writes_to_its_own_log_group_only() -> None:
    [statement] = [s for s in deployed("dev").statements("invoker") if s["Action"][0].startswith("logs:")]
    group = "arn:aws:logs:us-east-1:123456789012:log-group:/aws/lambda/fire-and-forget-dev-invoker"
    assert statement["Resource"] == [f"{group}:log-stream:*"]
