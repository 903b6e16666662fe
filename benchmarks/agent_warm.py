"""The agent's acknowledgement, warm: one task at a time, and with tasks overlapping.

The baseline is an echo app in a process of its own, asked in turns with ours. Our agent does all that it does in the
cloud: journal, artifacts and two Strands agents, against an emulator, with a model that takes its time.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from benchmarks.agent_app import ECHO, OURS, AgentApp, agent_app, services
from benchmarks.progress import progress
from benchmarks.rows import Row, ratio_row
from benchmarks.samples import Samples, seconds_of
from tests.support.paced_model import PacedModel

ONE_AT_A_TIME = 120
OVERLAPPING = 100
QUICK_MODEL_SECONDS = 0.02
SLOW_MODEL_SECONDS = 0.4
EVERY_SECONDS = 0.25
WARMUP = 5
BASELINE = "an echo BedrockAgentCoreApp"

Measured = tuple[Samples, Samples]
"""Of our agent, and of the echo app."""


def rows(one_at_a_time: int = ONE_AT_A_TIME, overlapping: int = OVERLAPPING) -> list[Row]:
    """Measure both."""
    progress(f"agent, warm: {one_at_a_time} jobs one at a time")
    alone = _measured(_one_at_a_time, one_at_a_time, QUICK_MODEL_SECONDS)
    progress(f"agent, warm: {overlapping} jobs overlapping, one every {EVERY_SECONDS:g} s")
    together = _measured(_overlapping, overlapping, SLOW_MODEL_SECONDS)
    return [
        ratio_row("agent acknowledges, one task at a time: p50", *alone, target=1.3, baseline_is=BASELINE),
        ratio_row("agent acknowledges, one task at a time: p95", *alone, target=2.0, baseline_is=BASELINE, percent=95),
        ratio_row("agent acknowledges, tasks overlapping: p50", *together, target=1.5, baseline_is=BASELINE),
        ratio_row(
            "agent acknowledges, tasks overlapping: p95", *together, target=3.0, baseline_is=BASELINE, percent=95
        ),
    ]


def _measured(measure: Callable[[AgentApp, AgentApp, int], Measured], count: int, model_seconds: float) -> Measured:
    """Measure with a fresh agent that has worked a few times, and check that all its tasks completed."""
    with (
        PacedModel(model_seconds) as model,
        services(model.url) as service,
        agent_app(OURS, service.environ) as ours,
        agent_app(ECHO) as echo,
    ):
        for _ in range(WARMUP):
            ours.invoke()
            echo.invoke()
            ours.wait_until_idle()
        found = measure(ours, echo, count)
        service.check_completed(WARMUP + count)
    return found


def _one_at_a_time(ours: AgentApp, echo: AgentApp, count: int) -> Measured:
    acknowledged: list[float] = []
    echoed: list[float] = []
    for _ in range(count):
        echoed.append(seconds_of(echo.invoke))
        acknowledged.append(seconds_of(ours.invoke))
        ours.wait_until_idle()
    return Samples.of(acknowledged), Samples.of(echoed)


def _overlapping(ours: AgentApp, echo: AgentApp, count: int) -> Measured:
    acknowledged: list[float] = []
    echoed: list[float] = []
    began = time.monotonic()
    for number in range(count):
        time.sleep(max(0.0, began + number * EVERY_SECONDS - time.monotonic()))
        echoed.append(seconds_of(echo.invoke))
        acknowledged.append(seconds_of(ours.invoke))
    ours.wait_until_idle()
    return Samples.of(acknowledged), Samples.of(echoed)
