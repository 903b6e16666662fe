"""Runs the whole program under mocks and keeps what it registered, for tests to ask about.

Answers as AWS would where the program depends on the answer; everything else is an echo of the inputs.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, cast
from unittest import mock

from pulumi.runtime import mocks, rpc

from components import agent_bundle
from local.deployment.program import run_program, stack_config
from runtime.agent.definition import Workflow

ACCOUNT_ID = "123456789012"
REGION = "us-east-1"
RUNTIME_VERSION = "7"
_STACK_TYPE = "pulumi:pulumi:Stack"
# Property values with this key are wrapped, secrets among them: sdk/python/lib/pulumi/runtime/rpc.py.
_SIGNATURE = "4dabf18193072939515e22adb298388d"


@dataclass(frozen=True)
class Registration:
    """A resource as the program registered it.

    :ivar depends_on: URNs, of what it uses and of what it waits for besides
    :ivar waits_for: URNs of what it waits for without using it
    """

    urn: str
    type: str
    name: str
    parent_urn: str
    inputs: dict[str, Any]
    options: dict[str, Any]
    depends_on: tuple[str, ...]
    waits_for: tuple[str, ...]


class Recorder(mocks.MockMonitor):
    """Keeps every registration on its way to the mocks."""

    def __init__(self, answers: mocks.Mocks) -> None:
        super().__init__(answers)
        self.registrations: list[Registration] = []
        self.registered_outputs: dict[str, dict[str, Any]] = {}
        self._lock = threading.Lock()

    def RegisterResource(self, request: Any) -> Any:  # noqa: N802 (gRPC's name)
        urn = self.make_urn(request.parent, request.type, request.name)
        names = ("protect", "retainOnDelete")
        options = {name: getattr(request, name) for name in names if request.HasField(name)}
        options["deleteBeforeReplace"] = request.deleteBeforeReplace
        options["ignoreChanges"] = list(request.ignoreChanges)
        options["deleteTimeout"] = request.customTimeouts.delete
        inputs = rpc.deserialize_properties(request.object, keep_unknowns=True)
        uses = request.propertyDependencies.values()
        registration = Registration(
            urn,
            request.type,
            request.name,
            request.parent,
            plain(inputs),
            options,
            tuple(request.dependencies),
            tuple(sorted({*request.dependencies} - {urn for used in uses for urn in used.urns})),
        )
        with self._lock:
            self.registrations.append(registration)
        return super().RegisterResource(request)

    def RegisterResourceOutputs(self, request: Any) -> Any:  # noqa: N802 (gRPC's name)
        with self._lock:
            self.registered_outputs[request.urn] = rpc.deserialize_properties(request.outputs, keep_unknowns=True)
        return super().RegisterResourceOutputs(request)


def plain(value: Any) -> Any:
    """The value without the wrapping of secrets."""
    if isinstance(value, dict):
        mapping = cast("dict[str, Any]", value)
        if _SIGNATURE in mapping:
            return plain(mapping.get("value"))
        return {key: plain(inner) for key, inner in mapping.items()}
    if isinstance(value, list):
        return [plain(inner) for inner in cast("list[Any]", value)]
    return value


class Echo(mocks.Mocks):
    """Answers each registration with its inputs and what AWS would add."""

    def __init__(self, unknown: bool) -> None:
        self.unknown = unknown
        self.invokes: list[str] = []

    def new_resource(self, args: mocks.MockResourceArgs) -> tuple[str | None, dict[str, Any]]:
        outputs = dict(args.inputs)
        if self.unknown:
            return "", outputs
        kind = args.typ.rpartition(":")[2]
        outputs.setdefault("name", args.name)
        for output, answer in _ANSWERS.get(kind, {}).items():
            outputs[output] = answer.format_map(outputs)
        return f"{args.name}-id", outputs

    def call(self, args: mocks.MockCallArgs) -> tuple[dict[str, Any], list[tuple[str, str]]]:
        self.invokes.append(args.token)
        answers = {
            "aws:index/getCallerIdentity:getCallerIdentity": {"accountId": ACCOUNT_ID},
            "aws:index/getRegion:getRegion": {"region": REGION},
        }
        return answers[args.token], []


_HERE = f"{REGION}:{ACCOUNT_ID}"
_RUNTIME_ARN = f"arn:aws:bedrock-agentcore:{_HERE}:runtime/"
_ANSWERS = {
    "AgentcoreAgentRuntime": {
        "agentRuntimeArn": _RUNTIME_ARN + "{agentRuntimeName}-AbCdEfGhIj",
        "agentRuntimeId": "{agentRuntimeName}-AbCdEfGhIj",
        "agentRuntimeVersion": RUNTIME_VERSION,
    },
    "AgentcoreAgentRuntimeEndpoint": {
        "agentRuntimeEndpointArn": _RUNTIME_ARN + "{agentRuntimeId}/runtime-endpoint/{name}"
    },
    "Bucket": {"bucket": "{name}", "arn": "arn:aws:s3:::{name}"},
    "EventRule": {"arn": f"arn:aws:events:{_HERE}:rule/{{name}}"},
    "Function": {"arn": f"arn:aws:lambda:{_HERE}:function:{{name}}"},
    "Key": {"arn": f"arn:aws:kms:{_HERE}:key/{{name}}", "keyId": "{name}"},
    "LogGroup": {"arn": f"arn:aws:logs:{_HERE}:log-group:{{name}}"},
    "Queue": {
        "arn": f"arn:aws:sqs:{_HERE}:{{name}}",
        "url": f"https://sqs.{REGION}.amazonaws.com/{ACCOUNT_ID}/{{name}}",
    },
    "Role": {"arn": f"arn:aws:iam::{ACCOUNT_ID}:role/{{name}}"},
    "StateMachine": {"arn": f"arn:aws:states:{_HERE}:stateMachine:{{name}}"},
    "Table": {"arn": f"arn:aws:dynamodb:{_HERE}:table/{{name}}"},
    "Topic": {"arn": f"arn:aws:sns:{_HERE}:{{name}}"},
}


@dataclass(frozen=True)
class Deployment:
    """What one run of the program registered and exported."""

    name: str
    outputs: dict[str, Any]
    registrations: list[Registration]
    registered_outputs: dict[str, dict[str, Any]]
    invokes: list[str] = field(default_factory=list[str])

    @property
    def resources(self) -> list[Registration]:
        """Everything but the stack itself."""
        return [found for found in self.registrations if found.type != _STACK_TYPE]

    def all(self, kind: str) -> list[Registration]:
        """Every resource of a kind, such as `Role`."""
        return [found for found in self.resources if found.type.rpartition(":")[2] == kind]

    def one(self, kind: str, name: str = "") -> Registration:
        """The only resource of a kind, or the one with a name.

        :raises AssertionError: if there isn't exactly one
        """
        found = [each for each in self.all(kind) if name in ("", each.name)]
        assert len(found) == 1, f"{len(found)} resources of kind {kind} {name}"
        return found[0]

    def statements(self, actor: str) -> list[dict[str, Any]]:
        """The statements of an actor's only policy."""
        return json.loads(self.one("RolePolicy", f"{actor}-policy").inputs["policy"])["Statement"]

    def trust(self, actor: str) -> dict[str, Any]:
        """The only statement of an actor's trust policy."""
        [statement] = json.loads(self.one("Role", f"{actor}-role").inputs["assumeRolePolicy"])["Statement"]
        return statement


def deploy(stack: str = "dev", overrides: Mapping[str, Any] | None = None, *, preview: bool = False) -> Deployment:
    """Run the program for a stack; in a preview nothing that AWS makes up is known."""
    answers = Echo(unknown=preview)
    recorder = Recorder(answers)
    # A text made of an output that isn't waited for says so in the text, unless Pulumi is told to raise.
    strict = mock.patch.dict(os.environ, {"PULUMI_ERROR_OUTPUT_STRING": "true"})
    with strict, mock.patch.object(agent_bundle, "build", _no_bundle):
        outputs = run_program(answers, stack_config(stack, overrides), stack, preview=preview, monitor=recorder)
    return Deployment(stack, outputs, recorder.registrations, recorder.registered_outputs, answers.invokes)


# Two more stacks to look at, made of the one that people begin with: one with every optional part and with no number
# that is the default, one that is pinned and whose workflows ask nobody.
VARIANTS: dict[str, dict[str, Any]] = {
    "everything": {
        "agentImage": f"{ACCOUNT_ID}.dkr.ecr.{REGION}.amazonaws.com/agents/mine:1.2",
        "alarmEmail": "oncall@example.com",
        "answerSeconds": 43200,
        "callbackPollSeconds": 121,
        "captureModelText": True,
        "completion": "callback",
        "customerKey": True,
        "eventSource": "my.orders",
        "idleSessionTimeoutSeconds": 122,
        "journalTtlDays": 17,
        "leaseSeconds": 44,
        "logRetentionDays": 60,
        "maxAttempts": 6,
        "maxRunSeconds": 555,
        "maxSessionLifetimeSeconds": 7200,
        "maxWaits": "2",
        "platformVersion": "V1",
        "pollMaxIntervalSeconds": 3600,
        "questionEmail": "approvals@example.com",
        "quietHours": 6,
        "schedule": "cron(0 6 * * ? *)",
        "scheduledRequest": {"prompt": "What changed since yesterday?"},
    },
    "pinned": {
        "agentVersion": "3",
        "modelId": "amazon.nova-lite-v1:0",
        "pollIntervalSeconds": 300,
        "runMetrics": False,
    },
}


@cache
def deployed(stack: str, *, preview: bool = False) -> Deployment:
    """The stack as its file describes it, or one of the variants, run once for all tests that only look."""
    with nobody_asked() if stack == "pinned" else nullcontext():
        return deploy("dev", VARIANTS[stack]) if stack in VARIANTS else deploy(stack, preview=preview)


def nobody_asked() -> AbstractContextManager[Any]:
    """Let no workflow ask a person."""
    return mock.patch.object(Workflow, "asks", property(lambda _: False))


_build = agent_bundle.build


def _no_bundle(kind: str) -> agent_bundle.AgentCode:
    """Our own code for real; dependencies take seconds and a package index, and have tests of their own."""
    if kind == "source":
        return _build(kind)
    return agent_bundle.AgentCode(Path("bundle.zip"), "b" * 64, ("opentelemetry-instrument", "main.py"))
