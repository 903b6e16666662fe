"""Whether each alarm watches a metric that exists: CloudWatch takes any name, and one that is wrong never goes off.

A metric shows up in its list when it has its first data, up to a quarter of an hour later. So absence alone proves
nothing; that the same service publishes others about the same thing, and not this one, does.
https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_ListMetrics.html
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

from runbook.runbook import Runbook
from runbook.verify.findings import Look, Refuted, Unjudged

Dimensions: TypeAlias = frozenset[tuple[str, str]]
Metric: TypeAlias = tuple[str, Dimensions]
WHEN_IT_HAPPENS = {
    ("AWS/States", "ExecutionsFailed"),
    ("AWS/States", "ExecutionsTimedOut"),
    ("AWS/Lambda", "Throttles"),
    ("AWS/Bedrock-AgentCore", "SystemErrors"),
}
"""Metrics that may be without data until what they count happens for the first time."""
BY_OUTCOME = "Runs"
"""The stack's own metric of finished runs (`components/finished_runs.py`): of each outcome once there was one."""
# Which dimension of an alarm names the thing: the others are asked of it.
_THING = ("FunctionName", "QueueName", "StateMachineArn", "Resource", "TableName")


def look(runbook: Runbook) -> Look:
    """Return the look at all alarms of the stack."""
    return Look("alarms", "each one's metric is there", lambda: _alarms(runbook), optional=True)


def _alarms(runbook: Runbook) -> str:
    pages = runbook.clients.cloudwatch.get_paginator("describe_alarms").paginate(
        AlarmNamePrefix=f"{runbook.outputs.name_prefix}-"
    )
    alarms = [alarm for page in pages for alarm in page.get("MetricAlarms", [])]
    if not alarms:
        raise Refuted("the stack has no alarm", "`pulumi up`")
    there = {_short(runbook, alarm.get("AlarmName", "")) for alarm in alarms}
    if gone := [name for name in runbook.outputs.alarm_names if name not in there]:
        raise Refuted(f"missing: {', '.join(gone)}", "`pulumi refresh`, then `pulumi up`")
    wrong, early = [], []
    for alarm in alarms:
        name = _short(runbook, alarm.get("AlarmName", ""))
        try:
            wrong += _contradiction(runbook, name, alarm)
        except Unjudged:
            early.append(name)
    if wrong:
        raise Refuted("; ".join(wrong), "components/metrics.py has the names and dimensions: `pulumi up`")
    if early:
        raise Unjudged(
            f"{len(alarms) - len(early)} of {len(alarms)}; nothing is published about {', '.join(early)} yet: new "
            "metrics take up to a quarter of an hour, verify again then"
        )
    return f"{len(alarms)} of {len(alarms)}"


def _short(runbook: Runbook, name: str) -> str:
    """`runs-failed` for `fire-and-forget-dev-observability-runs-failed-1a2b3c`."""
    return name.removeprefix(f"{runbook.outputs.name_prefix}-observability-").rpartition("-")[0]


def _contradiction(runbook: Runbook, name: str, alarm: Mapping[str, Any]) -> Sequence[str]:
    """Return what is wrong with an alarm, if something is.

    :raises Unjudged: if nothing at all is published about what it watches
    """
    namespace, metric = alarm["Namespace"], alarm["MetricName"]
    dimensions = _as_set(alarm.get("Dimensions", []))
    published = _published(runbook, namespace, alarm.get("Dimensions", []))
    if (metric, dimensions) in published:
        return []
    if not published:
        raise Unjudged(name)
    if (namespace, metric) in WHEN_IT_HAPPENS and dimensions in {found for _, found in published}:
        return []
    if metric == BY_OUTCOME and any(found == metric and _names(of) == _names(dimensions) for found, of in published):
        return []
    others = sorted({f"{found}({', '.join(sorted(key for key, _ in of))})" for found, of in published})
    own = f"{metric}({', '.join(sorted(key for key, _ in dimensions))})"
    return [f"{name} watches {namespace} {own}, and there is {', '.join(others[:8])}"]


def _published(runbook: Runbook, namespace: str, dimensions: Sequence[Mapping[str, str]]) -> set[Metric]:
    thing = [dimension for dimension in dimensions if dimension["Name"] in _THING]
    pages = runbook.clients.cloudwatch.get_paginator("list_metrics").paginate(
        Namespace=namespace,
        Dimensions=thing,  # pyrefly: ignore[bad-argument-type]
    )
    return {
        (found.get("MetricName", ""), _as_set(found.get("Dimensions", [])))
        for page in pages
        for found in page.get("Metrics", [])
    }


def _names(dimensions: Dimensions) -> set[str]:
    return {name for name, _ in dimensions}


def _as_set(dimensions: Iterable[Mapping[str, Any]]) -> Dimensions:
    return frozenset((each["Name"], each["Value"]) for each in dimensions)
