"""What arrives of a run whose environment is released the moment it has its outcome, in the form that is deployed.

The agent itself notes which spans end and what is logged; a receiver on loopback counts what comes by OTLP. It gets it
from OpenTelemetry's exporters: AWS's, which sign, take no other address.
"""

from __future__ import annotations

import json
import secrets
import tempfile
import time
import uuid
from collections import Counter
from pathlib import Path

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from benchmarks.agent_app import Services, services
from benchmarks.deployed_code import DeployedCode, deployed_code
from benchmarks.progress import progress
from benchmarks.rows import Row
from tests.support.http_server import HttpServer
from tests.support.paced_model import PacedModel
from tests.support.waiting import wait_until

NOTED = Path(__file__).with_name("apps") / "noted.py"
COUNT = 5
MODEL_SECONDS = 0.02
LOOK_SECONDS = 0.005
AGENT = "invoke_agent analyst"

Found = tuple[Counter[str], ...]
"""Spans by their ids, and log records by their texts."""


def rows(count: int = COUNT) -> list[Row]:
    """Release one environment after the other."""
    progress(f"agent, released: {count} runs, each released at its outcome")
    with deployed_code() as code, PacedModel(MODEL_SECONDS) as model, services(model.url) as service:
        code.add(NOTED)
        runs = [_run(code, service) for _ in range(count)]
        service.check_completed(count)
    return [
        Row(
            f"agent, as deployed: {what} that arrive of {count} runs released at once",
            sum((noted[place] & arrived[place]).total() for noted, arrived in runs),
            "",
            target=sum(noted[place].total() for noted, _ in runs),
            at_least=True,
            baseline="all that there were",
        )
        for place, what in enumerate(("spans", "log records"))
    ]


def _run(code: DeployedCode, service: Services) -> tuple[Found, Found]:
    """Return what there was of a run, and what has arrived of it.

    :raises RuntimeError: if its spans don't belong to the trace of whoever invoked it
    """
    session_id, trace_id = str(uuid.uuid4()), f"{int(time.time()):08x}{secrets.token_hex(12)}"
    trace = f"Root=1-{trace_id[:8]}-{trace_id[8:]};Parent={secrets.token_hex(8)};Sampled=1"
    with HttpServer() as receiver, tempfile.TemporaryDirectory(prefix="bench-notes-") as folder:
        notes = Path(folder, "notes")
        environ = {**service.environ, "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url, "NOTES": str(notes)}
        with code.agent(environ, NOTED.name) as app:
            app.invoke(session_id, trace=trace)
            wait_until(lambda: service.journal.outcome(session_id), "the outcome", 30, LOOK_SECONDS)
            app.release()
        noted = [json.loads(line) for line in notes.read_text(encoding="utf-8").splitlines()]
        spans, records = _spans(receiver), _records(receiver)
    if strays := {span.trace_id.hex() for span in spans if span.name == AGENT} - {trace_id}:
        raise RuntimeError(f"spans {AGENT!r} of a run of trace {trace_id} belong to {strays}")
    there_was = tuple(Counter(line["what"] for line in noted if line["kind"] == kind) for kind in ("span", "record"))
    return there_was, (Counter(span.span_id.hex() for span in spans), records)


def _spans(receiver: HttpServer) -> list[Span]:
    sent = [
        ExportTraceServiceRequest.FromString(found.body) for found in receiver.requests if found.path == "/v1/traces"
    ]
    return [
        span
        for each in sent
        for resource in each.resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ]


def _records(receiver: HttpServer) -> Counter[str]:
    sent = [ExportLogsServiceRequest.FromString(found.body) for found in receiver.requests if found.path == "/v1/logs"]
    return Counter(
        record.body.string_value
        for each in sent
        for resource in each.resource_logs
        for scope in resource.scope_logs
        for record in scope.log_records
    )
