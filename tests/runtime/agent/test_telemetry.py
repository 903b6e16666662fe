"""What the flush of OpenTelemetry does where there is little of it; a real one is in test_main.py."""

import asyncio
import logging
import sys
from types import SimpleNamespace
from typing import NoReturn

import pytest

from runtime.agent import telemetry


def flush() -> None:
    asyncio.run(telemetry.flush(5))


def test_nothing_is_imported_and_nothing_flushed_where_nobody_uses_opentelemetry(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for module in [name for name in sys.modules if name.split(".")[0] == "opentelemetry"]:
        monkeypatch.delitem(sys.modules, module)
    # None is what Python raises an ImportError for.
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    with caplog.at_level(logging.WARNING):
        flush()
    assert caplog.records == []
    assert [name for name in sys.modules if name.startswith("opentelemetry.")] == []


def test_a_provider_that_fails_does_not_keep_the_others_from_sending(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    flushed: list[str] = []

    def fail() -> NoReturn:
        raise ConnectionError("no collector")

    def provides(force_flush: object) -> SimpleNamespace:
        provider = SimpleNamespace(force_flush=force_flush)
        return SimpleNamespace(get_tracer_provider=lambda: provider, get_meter_provider=lambda: provider)

    monkeypatch.setitem(sys.modules, "opentelemetry.trace", provides(fail))
    monkeypatch.setitem(sys.modules, "opentelemetry.metrics", provides(lambda: flushed.append("metrics")))
    # As the API's own, which stands in where no SDK is set up.
    monkeypatch.setitem(sys.modules, "opentelemetry._logs", SimpleNamespace(get_logger_provider=object))
    with caplog.at_level(logging.WARNING):
        flush()
    assert flushed == ["metrics"]
    assert [record.message for record in caplog.records] == [
        "OpenTelemetry could not send everything: ConnectionError('no collector')"
    ]
