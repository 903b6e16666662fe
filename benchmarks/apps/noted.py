"""The deployed agent, which notes in the file NOTES what it has for OpenTelemetry: spans that end, records it logs.

Started in place of `main.py`, beside which it stands.
"""

import json
import logging
import os
import runpy
from typing import Any

from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor


def note(kind: str, what: Any) -> None:
    """Add a line to the file at once."""
    with open(os.environ["NOTES"], "a", encoding="utf-8") as notes:  # noqa: PTH123 - as little as possible
        notes.write(json.dumps({"kind": kind, "what": what}) + "\n")


class Spans(SpanProcessor):
    """Notes spans."""

    def on_end(self, span: ReadableSpan) -> None:
        """Note a span by its id."""
        context = span.get_span_context()
        assert context
        note("span", format(context.span_id, "016x"))


class Records(logging.Handler):
    """Notes log records."""

    def emit(self, record: logging.LogRecord) -> None:
        """Note a record by its text."""
        note("record", record.getMessage())


if __name__ == "__main__":
    provider: Any = trace.get_tracer_provider()
    provider.add_span_processor(Spans())
    logging.getLogger().addHandler(Records())
    runpy.run_path("main.py", run_name="__main__")
