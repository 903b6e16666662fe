"""/ping while tasks overlap and one of them blocks on I/O and burns processor time; the baseline is the echo app's.

AgentCore takes an environment whose /ping doesn't answer for dead.
"""

from __future__ import annotations

import time

from benchmarks.agent_app import ECHO, PROJECT, AgentApp, agent_app, services
from benchmarks.progress import progress
from benchmarks.rows import Row, ratio_row
from benchmarks.samples import Samples, seconds_of
from tests.support.paced_model import PacedModel

BUSY = PROJECT / "benchmarks" / "apps" / "busy.py"
ROUNDS = 5
PINGS = 100
OTHER_TASKS = 3
MODEL_SECONDS = 0.3
EVERY_SECONDS = 0.015


def rows(rounds: int = ROUNDS, pings: int = PINGS) -> list[Row]:
    """Measure pings while a tool works, round after round."""
    with (
        PacedModel(MODEL_SECONDS) as model,
        services(model.url) as service,
        agent_app(BUSY, service.environ) as ours,
        agent_app(ECHO) as echo,
    ):
        ours.invoke()
        ours.wait_until_idle()
        progress(f"agent, /ping: {rounds} times {pings} pings while a tool works")
        ours_seconds: list[float] = []
        echo_seconds: list[float] = []
        for _ in range(rounds):
            at_work, idle = _round(model, ours, echo, pings)
            ours_seconds += at_work
            echo_seconds += idle
        service.check_completed(1 + rounds * (1 + OTHER_TASKS))
    return [
        ratio_row(
            "/ping, worst, tasks overlapping, one blocks and burns",
            Samples.of(ours_seconds),
            Samples.of(echo_seconds),
            target=5.0,
            baseline_is="the echo app's /ping, worst",
            percent=100,
        ),
    ]


def _round(model: PacedModel, ours: AgentApp, echo: AgentApp, pings: int) -> tuple[list[float], list[float]]:
    model.queue_tool_call("investigate", {})
    for _ in range(1 + OTHER_TASKS):
        ours.invoke()
    time.sleep(MODEL_SECONDS)
    at_work: list[float] = []
    idle: list[float] = []
    for _ in range(pings):
        time.sleep(EVERY_SECONDS)
        idle.append(seconds_of(echo.ping))
        at_work.append(seconds_of(ours.ping))
    ours.wait_until_idle()
    return at_work, idle
