"""Which IAM actions a program of ours needs, read from its code: every AWS call that its modules can make.

Owns the reading. That each action is really needed, a run without it shows (tests/end_to_end/test_permissions.py);
this also covers what no run comes by.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import boto3
from botocore import xform_name

from local.deployment.program import PROJECT

# https://docs.aws.amazon.com/service-authorization/latest/reference/reference_policies_actions-resources-contextkeys.html
ACTIONS: dict[str, set[str]] = {
    "put_item": {"dynamodb:PutItem"},
    # Puts and condition checks are all that the writer's transactions hold.
    "transact_write_items": {"dynamodb:PutItem", "dynamodb:ConditionCheckItem"},
    "query": {"dynamodb:Query"},
    # ListBucket decides whether an object that isn't there is a 404 or a 403.
    "get_object": {"s3:GetObject", "s3:ListBucket"},
    "put_object": {"s3:PutObject"},
    "invoke_agent_runtime": {"bedrock-agentcore:InvokeAgentRuntime"},
    "stop_runtime_session": {"bedrock-agentcore:StopRuntimeSession"},
    "describe_execution": {"states:DescribeExecution"},
    "send_task_success": {"states:SendTaskSuccess"},
    # Strands calls ConverseStream.
    "BedrockModel": {"bedrock:InvokeModelWithResponseStream"},
}
# Without Lambda, whose invoke_async is the name of Strands' own method.
_SERVICES = ("dynamodb", "s3", "bedrock-agentcore", "stepfunctions", "bedrock-runtime", "sqs", "events")


def actions_called(entry: Path) -> set[str]:
    """The actions of every call in a module and in the modules of ours that it imports, whenever it does.

    :raises KeyError: if a call is made whose actions aren't known here
    """
    called = {name for path in _reached(entry) for name in _called(path)}
    return {action for name in called if name in _operations() or name in ACTIONS for action in ACTIONS[name]}


def _reached(entry: Path) -> set[Path]:
    reached, waiting = set[Path](), [entry]
    while waiting:
        path = waiting.pop()
        if path not in reached:
            reached.add(path)
            waiting += _imported(path)
    return reached


def _imported(path: Path) -> Iterator[Path]:
    for node in ast.walk(_tree(path)):
        if isinstance(node, ast.ImportFrom) and node.module:
            modules = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        else:
            continue
        for module in modules:
            file = PROJECT / f"{module.replace('.', '/')}.py"
            if file.is_file():
                yield file


def _called(path: Path) -> Iterator[str]:
    for node in ast.walk(_tree(path)):
        if isinstance(node, ast.Call):
            if isinstance(node.func, ast.Attribute):
                yield node.func.attr
            elif isinstance(node.func, ast.Name):
                yield node.func.id


@cache
def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


@cache
def _operations() -> frozenset[str]:
    """Every method of the clients that our code could use."""
    session = boto3.Session(region_name="us-east-1")
    return frozenset(
        xform_name(operation)
        for service in _SERVICES
        for operation in session.client(service).meta.service_model.operation_names
    )
