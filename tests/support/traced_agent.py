"""The real agent under OpenTelemetry's own SDK, as `opentelemetry-instrument` would set it up. Tests run it.

Spans, log records and metrics go to COLLECTOR_URL in batches, ten minutes apart; each span that ends is noted in
SPANS_FILE at once.
"""

import json
import logging
import os
import runpy
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from opentelemetry import _logs, metrics, trace
from opentelemetry.sdk._logs import LoggerProvider, LoggingHandler, ReadableLogRecord
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor, LogRecordExporter, LogRecordExportResult
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import (
    MetricExporter,
    MetricExportResult,
    MetricsData,
    PeriodicExportingMetricReader,
)
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

LATER_MILLISECONDS = 600_000


def send(kind: str, names: Sequence[str]) -> None:
    """Post what a batch holds to the collector."""
    body = json.dumps({"kind": kind, "names": names}).encode()
    with urllib.request.urlopen(os.environ["COLLECTOR_URL"], body, timeout=30):  # noqa: S310 - loopback
        pass


class Noted(SpanProcessor):
    """Notes each span that ends."""

    def on_end(self, span: ReadableSpan) -> None:
        """Note a span."""
        with Path(os.environ["SPANS_FILE"]).open("a", encoding="utf-8") as noted:
            noted.write(f"{span.name}\n")


class Spans(SpanExporter):
    """Exports spans."""

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send a batch of spans."""
        send("spans", [span.name for span in spans])
        return SpanExportResult.SUCCESS


class Logs(LogRecordExporter):
    """Exports log records."""

    def export(self, batch: Sequence[ReadableLogRecord]) -> LogRecordExportResult:
        """Send a batch of log records."""
        send("logs", [str(record.log_record.body) for record in batch])
        return LogRecordExportResult.SUCCESS

    def shutdown(self) -> None:
        """There is nothing to shut down."""

    def force_flush(self, timeout_millis: int = 30_000) -> bool:  # noqa: ARG002 - the interface's
        """There is nothing held back."""
        return True


class Metrics(MetricExporter):
    """Exports metrics."""

    def export(self, metrics_data: MetricsData, timeout_millis: float = 10_000, **kwargs: Any) -> MetricExportResult:  # noqa: ARG002
        """Send the names of all metrics."""
        scopes = [scope for resource in metrics_data.resource_metrics for scope in resource.scope_metrics]
        send("metrics", [metric.name for scope in scopes for metric in scope.metrics])
        return MetricExportResult.SUCCESS

    def force_flush(self, timeout_millis: float = 10_000) -> bool:  # noqa: ARG002 - the interface's
        """There is nothing held back."""
        return True

    def shutdown(self, timeout_millis: float = 30_000, **kwargs: Any) -> None:
        """There is nothing to shut down."""


def set_up() -> None:
    """Set up the three providers."""
    tracers = TracerProvider()
    tracers.add_span_processor(Noted())
    tracers.add_span_processor(BatchSpanProcessor(Spans(), schedule_delay_millis=LATER_MILLISECONDS))
    trace.set_tracer_provider(tracers)
    loggers = LoggerProvider()
    loggers.add_log_record_processor(BatchLogRecordProcessor(Logs(), schedule_delay_millis=LATER_MILLISECONDS))
    _logs.set_logger_provider(loggers)
    logging.getLogger().addHandler(LoggingHandler(logger_provider=loggers))
    reader = PeriodicExportingMetricReader(Metrics(), export_interval_millis=LATER_MILLISECONDS)
    metrics.set_meter_provider(MeterProvider([reader]))


if __name__ == "__main__":
    set_up()
    runpy.run_module("runtime.agent.main", run_name="__main__")
