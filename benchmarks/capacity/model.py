"""From what one run takes to quotas and dollars: 1, 1,000 and 1,000,000 runs a day, and 10,000 at once.

Owns the arithmetic of quotas. Prices, quotas and assumptions, with their sources and their date, are
`runbook/prices.json`'s, what one run takes `run_counts.py`'s, what it costs `runbook.pricing`'s.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from benchmarks.capacity.admission import Crowd, simulate
from benchmarks.capacity.run_counts import RunCounts, measured_counts, stretched
from benchmarks.progress import progress
from benchmarks.rows import Row
from components.settings import Settings
from components.workflow_budget import tries_for
from runbook.pricing import Usage, bill, prices, total

RUN_SECONDS = 164
RELEASE_SECONDS = 15
"""AgentCore takes up to that long to end a session, which counts until then."""
DAY_SECONDS = 86_400
RUNS_A_DAY = (1, 1_000, 1_000_000)
CROWD = 10_000
PER_SECONDS = {"second": 1, "minute": 60, "at once": 1}
MODEL_ID = "us.anthropic.claude-sonnet-4-6"
SETTINGS = Settings.defaults()
PARTS = ("model", "agent", "state machine", "journal", "function", "artifacts", "events", "logs", "traces")
"""What the lines of a bill begin with, and are added up by."""


@dataclass(frozen=True, slots=True)
class Limit:
    """One quota, and how many runs it lets through.

    :ivar units_a_run: what one run takes of it; of a number at once, how many seconds it takes one
    :ivar runs_per_second: at which it is hit
    """

    key: str
    name: str
    units_a_run: float
    runs_per_second: float
    adjustable: bool

    def share(self, runs_per_second: float) -> float:
        """Return how much of the quota that many runs take: 1 is all of it."""
        return runs_per_second / self.runs_per_second


def dollars(counts: RunCounts) -> dict[str, float]:
    """Return what one run costs, by what is paid for, the largest first."""
    assumed = prices()["assumptions"]
    usage = Usage(
        input_tokens=assumed["inputTokensPerRun"],
        output_tokens=assumed["outputTokensPerRun"],
        agent_seconds=counts.run_seconds + RELEASE_SECONDS,
        transitions=counts.transitions,
        function_requests=counts.function_requests,
        function_seconds=counts.function_seconds,
        write_units=counts.write_units,
        read_units=counts.read_units,
        artifacts_put=counts.artifacts_put,
        artifacts_read=counts.artifacts_read,
        events=counts.events,
        log_bytes=counts.log_bytes,
        traces=1,
    )
    items = bill(usage, MODEL_ID)
    parts = {part: total([item for item in items if item.item.startswith(part)]) for part in PARTS}
    return dict(sorted(parts.items(), key=lambda item: -item[1]))


def limits(counts: RunCounts, data: Mapping[str, Any]) -> list[Limit]:
    """Return all quotas, the one that is hit first first."""
    assumed = data["assumptions"]
    tokens = assumed["inputTokensPerRun"] + assumed["quotaTokensPerOutputToken"] * assumed["outputTokensPerRun"]
    units: dict[str, float] = {
        "newSessions": 1,
        "activeSessions": counts.run_seconds + RELEASE_SECONDS,
        "agentCalls": 1,
        "executionStarts": 1,
        "stateTransitions": counts.transitions,
        "openExecutions": counts.run_seconds,
        "functionConcurrency": counts.function_seconds,
        "eventsPut": counts.events,
        "tableWrites": counts.write_units,
        "partitionWrites": counts.index_write_units,
        "modelTokens": tokens,
    }
    found = [_limit(key, quota, units[key]) for key, quota in data["quotas"].items()]
    return sorted(found, key=lambda limit: limit.runs_per_second)


def crowd(data: Mapping[str, Any], runs: int = CROWD) -> Crowd:
    """Return a crowd that meets the quotas and the default settings."""
    quotas = data["quotas"]
    return Crowd(
        runs=runs,
        arrivals_per_second=quotas["executionStarts"]["limit"],
        arrivals_burst=quotas["executionStarts"]["burst"],
        sessions_per_second=quotas["newSessions"]["limit"],
        active_sessions=quotas["activeSessions"]["limit"],
        session_seconds=RUN_SECONDS + RELEASE_SECONDS,
        tries=tries_for(SETTINGS.invoke_retry_seconds),
    )


def rows() -> list[Row]:
    """Count a run, and compute from it."""
    progress("scale: one run counted, then computed")
    data, counts = prices(), stretched(measured_counts(), SETTINGS, RUN_SECONDS)
    costs, found = dollars(counts), limits(counts, data)
    a_run = sum(costs.values())
    without_model = a_run - costs["model"]
    return [
        Row(f"scale: $ of a {RUN_SECONDS}-s run", a_run, "$", measured=costs),
        Row(f"scale: $ of a {RUN_SECONDS}-s run, model left out", without_model, "$"),
        *(
            Row(f"scale: $ a day, {runs:,} runs a day, model left out", without_model * runs, "$")
            for runs in RUNS_A_DAY
        ),
        *(
            Row(f"scale: runs a second until a quota is hit, {number}: {limit.name}", limit.runs_per_second, "/s")
            for number, limit in enumerate(found[:3], 1)
        ),
        *_crowd_rows(data),
    ]


def _crowd_rows(data: Mapping[str, Any]) -> list[Row]:
    coming = crowd(data)
    admitted = simulate(coming)
    ideal = coming.runs / coming.sessions_per_second
    return [
        Row(
            f"scale: {coming.runs:,} runs at once: started",
            len(admitted.started_after),
            "",
            coming.runs,
            at_least=True,
        ),
        Row(
            f"scale: {coming.runs:,} runs at once: time until the last one starts",
            admitted.seconds_to_drain / ideal,
            target=1.5,
            baseline="runs / new sessions a second",
            measured={"s": admitted.seconds_to_drain, "baseline, s": ideal},
        ),
        Row(
            f"scale: {coming.runs:,} runs at once: tries a run",
            statistics.median(admitted.tries),
            "",
            measured={"most": max(admitted.tries), "most calls in a second": admitted.most_calls_in_a_second},
        ),
    ]


def _limit(key: str, quota: Mapping[str, Any], units: float) -> Limit:
    a_second = quota["limit"] / PER_SECONDS[quota["per"]]
    return Limit(key, quota["name"], units, a_second / units, quota["adjustable"])
