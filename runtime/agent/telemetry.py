"""Flushes OpenTelemetry before the environment ends, and tells environments apart in what it sends.

Its batches wait for up to five seconds and are flushed by `atexit`, which a process ended by a signal skips. What is
exported, and where to, is set up by whoever starts the process (`opentelemetry-instrument`), if at all.
"""

import asyncio
import logging
import sys
from collections.abc import Callable, Iterator
from typing import Any

from runtime.agent.threads import in_thread

logger = logging.getLogger("bedrock_agentcore.app.telemetry")
_PROVIDERS = {
    "opentelemetry.trace": "get_tracer_provider",
    "opentelemetry._logs": "get_logger_provider",
    "opentelemetry.metrics": "get_meter_provider",
}


async def flush(seconds: float) -> None:
    """Flush the tracer's, the logger's and the meter's provider; errors are logged.

    :param seconds: how long this takes at most; an exporter that gets no answer is abandoned
    """
    flushing = {in_thread(provided): provided for provided in _flushes()}
    if not flushing:
        return
    done, late = await asyncio.wait(flushing, timeout=seconds)
    for flushed in late:
        flushed.cancel()
        logger.warning("OpenTelemetry did not send everything within %g s: %s", seconds, flushing[flushed])
    for error in filter(None, (flushed.exception() for flushed in done)):
        logger.warning("OpenTelemetry could not send everything: %r", error)


def name_instance(instance_id: str) -> None:
    """Give what this process sends an instance id of its own, in place of the one that was drawn when it started."""
    for provider in _providers():
        resource: Any = getattr(provider, "resource", None)
        if "service.instance.id" in getattr(resource, "attributes", ()):
            # All that is sent refers to this object, which has no setter.
            resource._attributes = {**resource.attributes, "service.instance.id": instance_id}


def _flushes() -> Iterator[Callable[[], Any]]:
    for provider in _providers():
        # The API's no-op providers, in place while no SDK is set up, have none.
        if flush_it := getattr(provider, "force_flush", None):
            yield flush_it


def _providers() -> Iterator[Any]:
    for module, provider_of in _PROVIDERS.items():
        # A module that was never imported holds nothing to send.
        if module in sys.modules:
            yield getattr(sys.modules[module], provider_of)()
