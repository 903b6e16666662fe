"""Alarms beside the metrics that are published: what absence proves, and what it doesn't."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from runbook.clients import Clients
from runbook.outputs import StackOutputs
from runbook.runbook import Runbook
from runbook.verify import alarms
from runbook.verify.findings import Row, Verdict
from tests.runbook.conftest import stack_outputs

FUNCTION = {"FunctionName": "invoker"}
PREFIX = "fire-and-forget-dev"
Metric = tuple[str, str, dict[str, str]]


def named(dimensions: dict[str, str]) -> list[dict[str, str]]:
    return [{"Name": name, "Value": value} for name, value in dimensions.items()]


def row(watched: list[Metric], published: list[Metric], expected: tuple[str, ...] = ()) -> Row:
    """The row of a stack with an alarm for each watched metric."""

    def describe_alarms(**asked: Any) -> Iterator[dict[str, Any]]:
        assert asked == {"AlarmNamePrefix": f"{PREFIX}-"}
        for number, (namespace, name, dimensions) in enumerate(watched):
            alarm = {"AlarmName": f"{PREFIX}-observability-alarm-{number}-1a2b3c", "MetricName": name}
            yield {"MetricAlarms": [alarm | {"Namespace": namespace, "Dimensions": named(dimensions)}]}

    def list_metrics(Namespace: str, Dimensions: list[dict[str, str]]) -> Iterator[dict[str, Any]]:  # noqa: N803
        wanted = {(each["Name"], each["Value"]) for each in Dimensions}
        for namespace, name, dimensions in published:
            if namespace == Namespace and wanted <= set(dimensions.items()):
                yield {"Metrics": [{"MetricName": name, "Dimensions": named(dimensions)}]}

    pages = {"describe_alarms": describe_alarms, "list_metrics": list_metrics}

    def get_paginator(name: str) -> Any:
        return SimpleNamespace(paginate=pages[name])

    cloudwatch = SimpleNamespace(get_paginator=get_paginator)
    outputs = StackOutputs.from_mapping("dev", stack_outputs("dev") | {"dashboardName": PREFIX, "alarmNames": expected})
    services: dict[str, Any] = {"cloudwatch": cloudwatch}
    return alarms.look(Runbook(outputs, Clients(services.__getitem__))).row()


def test_an_alarm_that_the_stack_should_have_and_has_not_is_named() -> None:
    found = row([ERRORS], [ERRORS], expected=("alarm-0", "runs-failed"))
    assert (found.verdict, found.seen) == (Verdict.FAILED, "missing: runs-failed")


ERRORS: Metric = ("AWS/Lambda", "Errors", FUNCTION)
INVOCATIONS: Metric = ("AWS/Lambda", "Invocations", FUNCTION)
OF_ANOTHER: Metric = ("AWS/Lambda", "Invocations", {"FunctionName": "somebody else's"})


@pytest.mark.parametrize(
    ("watched", "published", "verdict", "seen"),
    [
        ([ERRORS], [ERRORS, INVOCATIONS], Verdict.OK, "1 of 1"),
        ([ERRORS], [], Verdict.SKIPPED, "0 of 1; nothing is published about alarm-0 yet"),
        ([ERRORS], [OF_ANOTHER], Verdict.SKIPPED, "nothing is published about alarm-0 yet"),
        ([ERRORS], [INVOCATIONS], Verdict.FAILED, "alarm-0 watches AWS/Lambda Errors(FunctionName), and there is Inv"),
        ([("AWS/Lambda", "Throttles", FUNCTION)], [INVOCATIONS], Verdict.OK, "1 of 1"),
        (
            [("AWS/Lambda", "Throttles", FUNCTION)],
            [("AWS/Lambda", "Invocations", FUNCTION | {"Resource": "invoker"})],
            Verdict.FAILED,
            "alarm-0 watches AWS/Lambda Throttles(FunctionName), and there is Invocations(FunctionName, Resource)",
        ),
        (
            [ERRORS, ("AWS/SQS", "Visible", {"QueueName": "q"})],
            [ERRORS],
            Verdict.SKIPPED,
            "1 of 2; nothing is published",
        ),
        ([ERRORS, ("AWS/SQS", "Visible", {"QueueName": "q"})], [INVOCATIONS], Verdict.FAILED, "alarm-0 watches"),
        ([], [ERRORS], Verdict.FAILED, "the stack has no alarm"),
        ([(PREFIX, "Runs", {"outcome": "TIMED_OUT"})], [(PREFIX, "Runs", {"outcome": "DONE"})], Verdict.OK, "1 of 1"),
        ([(PREFIX, "Runs", {"outcomes": "X"})], [(PREFIX, "Runs", {"outcome": "DONE"})], Verdict.FAILED, "alarm-0"),
    ],
    ids=[
        "there",
        "nothing yet",
        "others' only",
        "neighbours only",
        "happens yet",
        "dimensions",
        "one yet",
        "both",
        "none",
        "another outcome",
        "another dimension",
    ],
)
def test_an_alarm_s_metric_is_judged_by_its_neighbours(
    watched: list[Metric], published: list[Metric], verdict: Verdict, seen: str
) -> None:
    found = row(watched, published)
    assert found.verdict == verdict
    assert seen in found.seen
