"""What AWS has been seen to answer, and the row that comes of it. The clients are scripted: no emulator says these."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from email.utils import format_datetime
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError

from runbook.clients import Clients
from runbook.outputs import StackOutputs
from runbook.runbook import Runbook
from runbook.verify import preflight
from runbook.verify.findings import Row, Verdict
from runtime.journal.timestamps import utc_now
from tests.runbook.conftest import ACCOUNT, REGION, stack_outputs

ARN = f"arn:aws:sts::{ACCOUNT}:assumed-role/deployer/somebody"
STREAM = [{"messageStart": {}}, {"messageStop": {"stopReason": "end_turn"}}]


def answers(value: Any) -> Callable[..., Any]:
    """A call that returns a value, makes it, or raises it."""

    def call(**_: Any) -> Any:
        if isinstance(value, Exception):
            raise value
        return value() if callable(value) else value

    return call


def refusal(code: str, message: str, operation: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": message}}, operation)


def identity(account: str = ACCOUNT, ahead: timedelta = timedelta(0)) -> Callable[[], dict[str, Any]]:
    def now() -> dict[str, Any]:
        date = format_datetime(utc_now() + ahead, usegmt=True)
        return {"Account": account, "Arn": ARN, "ResponseMetadata": {"HTTPHeaders": {"date": date}}}

    return now


def described(**said: Any) -> dict[str, Any]:
    return {"Payload": io.BytesIO(json.dumps(said).encode())}


def service(region: str = REGION, **operations: Any) -> Any:
    calls = {name: answers(value) for name, value in operations.items()}
    return SimpleNamespace(meta=SimpleNamespace(region_name=region), **calls)


def rows(**changed: Any) -> dict[str, Row]:
    """The rows of a stack where all is well, but for what is changed."""
    services = {
        "sts": service(get_caller_identity=identity()),
        "stepfunctions": service(),
        "bedrock-agentcore-control": service(
            get_agent_runtime={"status": "READY", "environmentVariables": {"MODEL_ID": "us.anthropic.a-model"}},
            get_agent_runtime_endpoint={"status": "READY", "liveVersion": "7"},
        ),
        "lambda": service(invoke=described(boto3="1.43.1", python="3.13.9", stopRuntimeSession=True)),
        "bedrock-runtime": service(converse_stream={"stream": STREAM}),
        "service-quotas": service(get_service_quota={"Quota": {"QuotaName": "Active sessions", "Value": 2500.0}}),
    }
    services |= {name.replace("_", "-"): value for name, value in changed.items()}
    clients = Clients(services.__getitem__)
    runbook = Runbook(StackOutputs.from_mapping("dev", stack_outputs("dev")), clients)
    return {row.what: row for row in (look.row() for look in preflight.looks(runbook))}


def test_a_stack_where_all_is_well() -> None:
    found = rows()
    assert {row.verdict for row in found.values()} == {Verdict.OK}
    assert {what: row.seen for what, row in found.items()} == {
        "identity": ARN,
        "this clock": "within 1 s",
        "agent": "version 7 is live",
        "function": "boto3 1.43.1, Python 3.13.9",
        "model": "us.anthropic.a-model",
        "quota: active sessions": "2500",
    }


@pytest.mark.parametrize(
    ("code", "message", "do"),
    [
        (
            "ResourceNotFoundException",
            "Model use case details have not been submitted for this account. Fill out the Anthropic use case details",
            "use-case form",
        ),
        ("ValidationException", "You have not filled out the required use-case form for this model.", "use-case form"),
        (
            "AccessDeniedException",
            "Model access is denied: not authorized to perform the required AWS Marketplace actions",
            "aws-marketplace:Subscribe",
        ),
        (
            "ResourceNotFoundException",
            "Access denied. This Model is marked by provider as Legacy and you have not been actively using the model",
            "set modelId to a current one",
        ),
        (
            "ValidationException",
            "Invocation of model ID anthropic.a-model with on-demand throughput isn't supported.",
            "inference profile",
        ),
        ("AccessDeniedException", "User x is not authorized to perform this", "bedrock:InvokeModelWithResponseStream"),
    ],
    ids=["form", "form, other words", "marketplace", "legacy", "profile", "a right"],
)
def test_a_model_that_cannot_be_used_yet_says_what_to_do(code: str, message: str, do: str) -> None:
    error = refusal(code, message, "ConverseStream")
    row = rows(bedrock_runtime=service(converse_stream=error))["model"]
    assert row.verdict == Verdict.FAILED
    assert message[:40] in row.seen
    assert do in row.do


def test_a_refusal_in_the_stream_counts_like_one_before_it() -> None:
    def broken() -> Iterator[Any]:
        yield STREAM[0]
        raise refusal("AccessDeniedException", "aws-marketplace:Subscribe is missing", "ConverseStream")

    row = rows(bedrock_runtime=service(converse_stream={"stream": broken()}))["model"]
    assert "quarter of an hour" in row.do


@pytest.mark.parametrize(
    ("what", "changed", "seen"),
    [
        ("identity", {"sts": service(get_caller_identity=identity("999999999999"))}, "account 999999999999"),
        ("identity", {"stepfunctions": service("eu-west-1")}, "clients of region eu-west-1"),
        ("this clock", {"sts": service(get_caller_identity=identity(ahead=timedelta(hours=1)))}, "s behind"),
        ("this clock", {"sts": service(get_caller_identity=identity(ahead=-timedelta(hours=1)))}, "s ahead"),
        (
            "agent",
            {
                "bedrock_agentcore_control": service(
                    get_agent_runtime={"status": "READY", "environmentVariables": {"MODEL_ID": "m"}},
                    get_agent_runtime_endpoint={"status": "UPDATE_FAILED", "failureReason": "no such version"},
                )
            },
            "endpoint is UPDATE_FAILED: no such version",
        ),
        (
            "function",
            {"lambda": service(invoke=described(boto3="1.40.4", python="3.13.7", stopRuntimeSession=False))},
            "boto3 1.40.4, Python 3.13.7, without it",
        ),
        (
            "function",
            {
                "lambda": service(
                    invoke={
                        "FunctionError": "Unhandled",
                        **described(errorType="InvalidRequest", errorMessage="operation is 'describe'"),
                    }
                )
            },
            "InvalidRequest: operation is 'describe'",
        ),
        (
            "quota: active sessions",
            {"service_quotas": service(get_service_quota={"Quota": {"QuotaName": "Active sessions", "Value": 0.0}})},
            "Active sessions is 0",
        ),
    ],
    ids=["account", "region", "behind", "ahead", "endpoint", "boto3", "older function", "quota"],
)
def test_each_thing_that_is_wrong_has_its_row(what: str, changed: dict[str, Any], seen: str) -> None:
    found = rows(**changed)
    assert {row.what for row in found.values() if row.verdict != Verdict.OK} == {what}
    assert seen in found[what].seen
    assert found[what].do
