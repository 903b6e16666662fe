"""The agent, cold: from the start of its process to the first /ping, and the first acknowledgement after it.

The baseline is the echo app, started in the same way, in turns. No backend answers: nothing that counts here needs one.
"""

from __future__ import annotations

from pathlib import Path

from benchmarks.agent_app import ECHO, OURS, agent_app, agent_environ
from benchmarks.progress import progress
from benchmarks.rows import Row, ratio_row
from benchmarks.samples import Samples, seconds_of
from local.emulator.clients import AccessKey

COUNT = 30
BASELINE = "an echo BedrockAgentCoreApp, started the same way"
NOWHERE = "http://127.0.0.1:9"


def rows(count: int = COUNT) -> list[Row]:
    """Start both apps again and again."""
    progress(f"agent, cold: {count} starts of the agent and of the echo app, in turns")
    started: dict[Path, list[float]] = {OURS: [], ECHO: []}
    acknowledged: dict[Path, list[float]] = {OURS: [], ECHO: []}
    for number in range(count):
        for main in (OURS, ECHO) if number % 2 else (ECHO, OURS):
            with agent_app(main, agent_environ(NOWHERE, AccessKey.new())) as app:
                started[main].append(app.seconds_to_ping)
                acknowledged[main].append(seconds_of(app.invoke))
    return [
        ratio_row(
            "agent, cold: process start to first /ping",
            Samples.of(started[OURS]),
            Samples.of(started[ECHO]),
            target=1.15,
            baseline_is=BASELINE,
        ),
        ratio_row(
            "agent, cold: first acknowledgement after it",
            Samples.of(acknowledged[OURS]),
            Samples.of(acknowledged[ECHO]),
            target=2.0,
            baseline_is=BASELINE,
        ),
    ]
