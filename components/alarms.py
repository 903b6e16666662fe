"""When someone has to look: the stack's alarms as a table.

Owns which metric is compared with what, over which time. How an alarm reaches someone is `observability`'s.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from components import metrics
from components.metrics import Measured, Metric
from components.settings import Settings
from components.workflow_budget import DAY_SECONDS, answer_turn_seconds
from runtime.journal.vocabulary import Status

PERIOD_SECONDS = 300
HOUR_SECONDS = 3600


@dataclass(frozen=True)
class Alarm:
    """A comparison of a metric, per period, with a threshold.

    :ivar missing: what a period without data counts as: `notBreaching` or `breaching`
    """

    name: str
    description: str
    metric: Metric
    threshold: int = 1
    statistic: str = "Sum"
    comparison: str = "GreaterThanOrEqualToThreshold"
    period_seconds: int = PERIOD_SECONDS
    periods: int = 1
    missing: str = "notBreaching"


def alarms(measured: Measured, settings: Settings) -> list[Alarm]:
    """The alarms of a stack; which exist depends on the settings."""
    table = [
        Alarm("runs-failed", "A run failed.", metrics.workflow(measured, "ExecutionsFailed")),
        Alarm(
            "executions-timed-out",
            "An execution ran into its last resort, and its run was closed from outside.",
            metrics.workflow(measured, "ExecutionsTimedOut"),
        ),
        Alarm(
            "invoker-errors",
            "The invoker failed five times in five minutes; single failures are tried again.",
            metrics.invoker(measured, "Errors"),
            threshold=5,
        ),
        Alarm(
            "invoker-throttles",
            "Lambda refused to run the invoker: the account's concurrency is used up.",
            metrics.invoker(measured, "Throttles"),
        ),
        Alarm(
            "dead-letters",
            "An event could not start a run; see docs/operations.md.",
            metrics.dead_letters(measured),
            statistic="Maximum",
        ),
        Alarm(
            "agent-errors",
            "AgentCore failed to run the agent.",
            metrics.agent(measured, "SystemErrors"),
        ),
        Alarm(
            "agent-throttles",
            "AgentCore refused ten starts in five minutes; they are tried again, but a quota is used up.",
            # AgentCore counts as Throttles what it answers with 429; sessions that are used up are 402.
            metrics.throttled_starts(measured),
            threshold=10,
        ),
    ]
    if settings.run_metrics:
        timed_out = metrics.runs(measured, "Runs", Status.SESSION_TIMED_OUT.value)
        table.append(Alarm("runs-timed-out", "A run took longer than maxRunSeconds.", timed_out))
    if settings.run_metrics and settings.max_waits:
        table.append(_unanswered(measured, settings))
    if settings.quiet_hours:
        table.append(_quiet(measured, settings))
    return table


def _unanswered(measured: Measured, settings: Settings) -> Alarm:
    turn = answer_turn_seconds(settings)
    return Alarm(
        "questions-unanswered",
        "A run has waited for a person for more than half of answerSeconds; see docs/operations.md.",
        metrics.runs(measured, "WaitingSeconds"),
        threshold=settings.answer_seconds // 2,
        statistic="Maximum",
        comparison="GreaterThanThreshold",
        # Each turn there is a value. No longer than a day: https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutMetricAlarm.html
        period_seconds=min(DAY_SECONDS, 60 * math.ceil(2 * turn / 60)),
    )


def _quiet(measured: Measured, settings: Settings) -> Alarm:
    # Without metrics of runs, executions have to do, which duplicates of an event complete as well.
    completed = (
        metrics.runs(measured, "Runs", Status.AGENT_BACKGROUND_TASK_COMPLETED.value)
        if settings.run_metrics
        else metrics.workflow(measured, "ExecutionsSucceeded")
    )
    return Alarm(
        "quiet",
        f"No run completed for {settings.quiet_hours} hours.",
        completed,
        comparison="LessThanThreshold",
        period_seconds=HOUR_SECONDS,
        periods=settings.quiet_hours,
        missing="breaching",
    )
