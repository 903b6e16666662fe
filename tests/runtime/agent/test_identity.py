"""What differs between environments that are restored from one snapshot."""

import random
from collections.abc import Iterator

import pytest
from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from runtime.agent.identity import environment_id
from runtime.agent.patience import conflict_pauses

INSTANCE = "service.instance.id"


@pytest.fixture
def snapshot() -> Iterator[object]:
    """The state of `random` in a snapshot that no environment was made of yet."""
    environment_id.cache_clear()
    before = random.getstate()
    yield before
    random.setstate(before)
    environment_id.cache_clear()


def restore(snapshot: object) -> None:
    environment_id.cache_clear()
    random.setstate(snapshot)  # pyrefly: ignore[bad-argument-type]


def test_environments_of_one_snapshot_draw_other_ids_jitter_and_random_numbers(snapshot: object) -> None:
    drawn = set[str]()
    for _ in range(2):
        restore(snapshot)
        jitter = [pause for pause, _ in zip(conflict_pauses(), range(3), strict=False)]
        drawn |= {environment_id(), str(jitter), str(random.random())}
    assert len(drawn) == 6


def test_an_environment_keeps_its_id(snapshot: object) -> None:
    restore(snapshot)
    assert environment_id() == environment_id()


def test_what_an_environment_sends_names_it_although_tracers_were_made_in_the_snapshot(
    snapshot: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    exported = InMemorySpanExporter()
    provider = TracerProvider(resource=Resource({INSTANCE: "the snapshot's", "service.name": "agent"}))
    provider.add_span_processor(SimpleSpanProcessor(exported))
    monkeypatch.setattr(trace, "get_tracer_provider", lambda: provider)
    tracer = provider.get_tracer("made before")
    restore(snapshot)
    environment_id()
    tracer.start_span("work").end()
    (span,) = exported.get_finished_spans()
    assert dict(span.resource.attributes) == {INSTANCE: environment_id(), "service.name": "agent"}
