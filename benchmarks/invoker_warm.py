"""The invoker's handler, warm: how much it adds to the three remote calls that it exists to make.

The baseline does the very same calls, with the same arguments, on clients that exist already: the transaction of the
first event, the call of the agent with its answer read, the put of the second event.
"""

from __future__ import annotations

import itertools
import logging
import os
import uuid
from collections.abc import Callable
from contextlib import closing
from typing import Any

from awslambdaric.lambda_runtime_log_utils import JsonFormatter

from benchmarks.progress import progress
from benchmarks.rows import Row, ratio_row
from benchmarks.samples import interleaved
from benchmarks.sent import sent_by
from benchmarks.stub_server import StubServer, stub_server
from runtime.contract.start import start_payload

COUNT = 400
RUNTIME_ARN = "arn:aws:bedrock-agentcore:us-east-1:123456789012:runtime/bench-0123456789"
ENVIRON = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_DEFAULT_REGION": "us-east-1",
    "JOURNAL_TABLE": "journal",
    "AGENT_RUNTIME_ARN": RUNTIME_ARN,
    "AGENT_QUALIFIER": "live",
    "LEASE_SECONDS": "120",
    "MAX_RUN_SECONDS": "3600",
    "MAX_ATTEMPTS": "3",
    "JOURNAL_TTL_DAYS": "90",
}
REQUEST = {"prompt": "Our checkout latency doubled after Tuesday's release. What should we look at first?"}


def rows(count: int = COUNT) -> list[Row]:
    """Measure the whole handler against its raw calls."""
    progress(f"invoker, warm: {count} calls of the handler and of its baseline, in turns")
    with stub_server() as server:
        os.environ.update(ENVIRON | {"AWS_ENDPOINT_URL": server.url})
        from runtime.invoker.handler import handler

        _log_as_lambda_does()

        events = itertools.cycle([_event() for _ in range(100)])

        def ours() -> None:
            handler(next(events), None)

        baseline_call = _raw_calls()
        handled, baseline = interleaved(ours, baseline_call, count)
        connections = _new_connections(server, ours, count)
    return [
        ratio_row(
            "invoker, warm: whole handler",
            handled,
            baseline,
            target=1.10,
            baseline_is="its three remote calls on prebuilt clients, loopback stub",
            reason="150 us of our own, a third of it the log line, to 1.9 ms of botocore's; on a busy machine more",
        ),
        Row("invoker, warm: new connections a call", connections, unit="", target=0, baseline="0"),
    ]


def _log_as_lambda_does() -> None:
    """Format and write log lines as AWS's runtime client does with JSON logging on."""
    lines = logging.FileHandler(os.devnull)
    lines.setFormatter(JsonFormatter())
    logging.getLogger().addHandler(lines)


def _event() -> dict[str, Any]:
    return start_payload(str(uuid.uuid4()), attempt=1, request=REQUEST, seconds_left=None, after=None)


def _raw_calls() -> Callable[[], None]:
    """Return the baseline: what one call of the handler sends was recorded, and is sent again as it was."""
    import runtime.invoker.handler as module

    invoker = module.build_invoker(os.environ)
    dynamodb, agentcore = invoker.journal._client, invoker.agentcore  # pyrefly: ignore[protected-access]
    with sent_by(dynamodb, agentcore) as sent:
        invoker.start(_event())

    def call() -> None:
        dynamodb.transact_write_items(**sent["TransactWriteItems"])
        with closing(agentcore.invoke_agent_runtime(**sent["InvokeAgentRuntime"])["response"]) as body:
            body.read()
        dynamodb.put_item(**sent["PutItem"])

    return call


def _new_connections(server: StubServer, action: Callable[[], None], count: int) -> float:
    before, _ = server.counts()
    for _ in range(count):
        action()
    after, _ = server.counts()
    return (after - before) / count
