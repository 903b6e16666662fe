"""The stack's dashboard as data: a pure function from metrics to widgets.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/CloudWatch-Dashboard-Body-Structure.html
"""

from __future__ import annotations

from typing import Any

import pulumi

from components import metrics
from components.metrics import Measured, Metric
from runtime.journal.vocabulary import TERMINAL

COLUMNS = 2
WIDTH, HEIGHT = 12, 6
PERIOD_SECONDS = 300

# A metric and how it is drawn.
Line = tuple[Metric, dict[str, str]]


def dashboard(measured: Measured, region: pulumi.Input[str], *, may_wait: bool) -> dict[str, Any]:
    """The dashboard's body; a widget whose metrics don't exist (yet) stays empty.

    :param may_wait: whether runs may wait for a person
    """
    widgets: list[tuple[str, list[Line]]] = [
        ("Runs by outcome", _outcomes(measured)),
        ("Executions", _executions(measured)),
        ("Run seconds", _percentiles(metrics.runs(measured, "Seconds"))),
        ("Execution milliseconds", _percentiles(metrics.workflow(measured, "ExecutionTime"))),
        ("Invoker milliseconds", _percentiles(metrics.invoker(measured, "Duration"))),
        ("Invoker calls", _sums([metrics.invoker(measured, n) for n in ("Invocations", "Errors", "Throttles")])),
        ("Agent calls", _agent_calls(measured)),
        ("Agent acknowledgement milliseconds", _percentiles(metrics.agent(measured, "Latency"))),
        ("Polls", _polls(measured)),
        ("Tokens", _sums([metrics.runs(measured, n) for n in ("InputTokens", "OutputTokens")])),
        ("Attempts per run", [(metrics.runs(measured, "Attempts"), {"stat": "Maximum"})]),
        ("Dead letters", [(metrics.dead_letters(measured), {"stat": "Maximum"})]),
    ]
    if may_wait:
        widgets.append(("Seconds waited for people", [(metrics.runs(measured, "WaitingSeconds"), {"stat": "Maximum"})]))
    return {"widgets": [_widget(place, title, lines, region) for place, (title, lines) in enumerate(widgets)]}


def _outcomes(measured: Measured) -> list[Line]:
    return [
        (metrics.runs(measured, "Runs", outcome.value), {"stat": "Sum", "label": outcome.value}) for outcome in TERMINAL
    ]


def _executions(measured: Measured) -> list[Line]:
    names = ("ExecutionsStarted", "ExecutionsSucceeded", "ExecutionsFailed", "ExecutionsTimedOut")
    return _sums([metrics.workflow(measured, name) for name in names])


def _agent_calls(measured: Measured) -> list[Line]:
    calls = [metrics.agent(measured, name) for name in ("Invocations", "SystemErrors")]
    return _sums([*calls, metrics.throttled_starts(measured)])


def _polls(measured: Measured) -> list[Line]:
    # Each poll is one query, and only operators query the journal otherwise.
    return [(metrics.journal(measured, "SuccessfulRequestLatency", "Query"), {"stat": "SampleCount"})]


def _sums(found: list[Metric]) -> list[Line]:
    return [(metric, {"stat": "Sum", "label": metric.name}) for metric in found]


def _percentiles(metric: Metric) -> list[Line]:
    return [(metric, {"stat": stat, "label": stat}) for stat in ("p50", "p99")]


def _widget(place: int, title: str, lines: list[Line], region: pulumi.Input[str]) -> dict[str, Any]:
    return {
        "type": "metric",
        "x": place % COLUMNS * WIDTH,
        "y": place // COLUMNS * HEIGHT,
        "width": WIDTH,
        "height": HEIGHT,
        "properties": {
            "title": title,
            "view": "timeSeries",
            "region": region,
            "period": PERIOD_SECONDS,
            "metrics": [
                [metric.namespace, metric.name, *(x for pair in metric.dimensions.items() for x in pair), drawn]
                for metric, drawn in lines
            ],
        },
    }
