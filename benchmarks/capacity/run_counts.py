"""What one run takes of AWS: counted on a run of the real agent in an embedded cloud, then stretched to its length.

Only what grows with the length of a run is computed: polls, and heartbeats when nothing else is written.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

from benchmarks.capacity.waiting import READ_UNITS_PER_POLL
from components.settings import Settings
from components.workflow_budget import polls, transitions
from runbook.costs import write_units
from runtime.agent.attempt import HEARTBEAT_SHARE
from tests.support.paced_model import PacedModel
from tests.support.running_cloud import RunningCloud, running_cloud

MAX_ATTEMPTS = 3
LEASE_SECONDS = 120
GUARD_WRITE_UNITS = 2 + 2 * (MAX_ATTEMPTS - 1)
"""Of a transaction's conditions: no outcome, no later attempt."""
HEARTBEAT_WRITE_UNITS = 2 + GUARD_WRITE_UNITS
TURN_WRITE_UNITS = 8
"""Of each turn in which a run waits for a person: its task token, up to two kilobytes, no outcome, no answer."""
ANSWER_LOOK_READ_UNITS = 4
"""Of each look for an answer: two items in a transaction."""
INDEX_WRITE_UNITS = 2
"""Of the metadata and the outcome record, each a kilobyte at most unless the request is large."""


@dataclass(frozen=True, slots=True)
class RunCounts:
    """What one run takes.

    :ivar run_seconds: from the first acknowledgement to the outcome
    :ivar write_units: of the journal, its index included
    :ivar index_write_units: of the index alone, all into one partition a day
    :ivar function_seconds: all calls together
    :ivar log_bytes: of the agent and the function
    """

    run_seconds: float
    write_units: float
    index_write_units: float
    read_units: float
    transitions: float
    function_requests: float
    function_seconds: float
    log_bytes: float
    artifacts_put: float
    artifacts_read: float
    events: float


def measured_counts() -> RunCounts:
    """Send one run through an embedded cloud and count."""
    config = {"leaseSeconds": LEASE_SECONDS, "maxAttempts": MAX_ATTEMPTS}
    with PacedModel(0.1) as model, running_cloud(model_url=model.url, config=config) as cloud:
        session_id = cloud.run()
        summary = cloud.runbook.summary(session_id)
        quantities = {item.item: item.quantity for item in cloud.runbook.cost(session_id)}
        return RunCounts(
            run_seconds=summary.task_seconds or 0.0,
            write_units=write_units(summary.events, MAX_ATTEMPTS),
            index_write_units=INDEX_WRITE_UNITS,
            read_units=quantities["journal reads"],
            transitions=quantities["state machine"],
            function_requests=quantities["function"],
            function_seconds=quantities["function"] * (summary.invoker_seconds or 0.0),
            log_bytes=_log_bytes(cloud),
            artifacts_put=quantities["artifacts written"],
            artifacts_read=quantities["artifacts read"],
            events=quantities["events"],
        )


def stretched(counts: RunCounts, settings: Settings, run_seconds: float) -> RunCounts:
    """Return the counts of a run that takes longer: more polls, and a heartbeat for every quarter of a lease."""
    heartbeats = math.floor(run_seconds / (settings.lease_seconds * HEARTBEAT_SHARE))
    return replace(
        counts,
        run_seconds=run_seconds,
        write_units=counts.write_units + heartbeats * HEARTBEAT_WRITE_UNITS,
        read_units=polls(settings, run_seconds) * READ_UNITS_PER_POLL,
        transitions=transitions(settings, run_seconds),
    )


def items_write_units(items: int, events_a_transaction: int) -> int:
    """Return what a step's items write: each an event when it begins and one when it ends, of a kilobyte at most.

    :param events_a_transaction: those that wait for the same turn share one, up to `MAX_EVENTS`
    """
    events = 2 * items
    return 2 * events + math.ceil(events / events_a_transaction) * GUARD_WRITE_UNITS


def _log_bytes(cloud: RunningCloud) -> int:
    logs: Any = cloud.client("logs")
    function: Any = cloud.client("lambda").get_function_configuration(FunctionName=cloud.output("invokerFunctionName"))
    groups = (cloud.output("agentLogGroupName"), function["LoggingConfig"]["LogGroup"])
    return sum(_group_bytes(logs, group) for group in groups)


def _group_bytes(logs: Any, group: str) -> int:
    # CloudWatch bills 26 bytes an event on top: https://aws.amazon.com/cloudwatch/pricing/
    pages = logs.get_paginator("filter_log_events").paginate(logGroupName=group)
    return sum(len(event["message"].encode()) + 26 for page in pages for event in page["events"])
