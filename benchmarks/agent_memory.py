"""What a finished task leaves behind in the agent's process.

The figure is the slope of resident memory over finished tasks: the median of the slopes between all pairs of samples
(Theil and Sen's estimate), which a few late caches can't tilt.
"""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Sequence

from benchmarks.agent_app import OURS, AgentApp, agent_app, services
from benchmarks.progress import progress
from benchmarks.rows import Row
from benchmarks.samples import Samples
from tests.support.paced_model import PacedModel

BATCHES = 32
TASKS_A_BATCH = 6
WARMUP_BATCHES = 8
MIB = 1024 * 1024


def rows(batches: int = BATCHES) -> list[Row]:
    """Run batches of tasks and look at the memory after each."""
    progress(f"agent, memory: {batches * TASKS_A_BATCH} tasks")
    with (
        PacedModel(0.01) as model,
        services(model.url) as service,
        agent_app(OURS, service.environ) as ours,
    ):
        for _ in range(WARMUP_BATCHES):
            _batch(ours)
        resident = [_batch(ours) / MIB for _ in range(batches)]
        service.check_completed((WARMUP_BATCHES + batches) * TASKS_A_BATCH)
    return [
        Row(
            "memory growth per finished task",
            slope(resident) / TASKS_A_BATCH,
            unit="MiB",
            target=0.1,
            baseline="0",
            measured={"resident, MiB": Samples.of(resident)},
        )
    ]


def slope(values: Sequence[float]) -> float:
    """Return by how much a value grows from one to the next: the median over all pairs.

    :raises statistics.StatisticsError: if there are fewer than two
    """
    numbered = list(enumerate(values))
    return statistics.median(
        (later - earlier) / (there - here) for (here, earlier), (there, later) in itertools.combinations(numbered, 2)
    )


def _batch(app: AgentApp) -> int:
    for _ in range(TASKS_A_BATCH):
        app.invoke()
    app.wait_until_idle()
    return app.resident_bytes
