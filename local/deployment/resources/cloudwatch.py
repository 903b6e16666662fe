"""CloudWatch alarms and dashboards."""

from __future__ import annotations

from typing import Any

from local.deployment.resources.resource import Created, Inputs, Resource, pascal, tag_list

_ALARM = (
    *("comparisonOperator", "evaluationPeriods", "datapointsToAlarm", "threshold", "thresholdMetricId"),
    *("metricName", "namespace", "period", "statistic", "extendedStatistic", "unit", "treatMissingData"),
    *("evaluateLowSampleCountPercentile", "actionsEnabled", "alarmActions", "alarmDescription"),
    "insufficientDataActions",
)


def metric_alarm(new: Resource) -> Created:
    """An alarm on a metric, or on an expression over several."""
    inputs, cloudwatch = new.inputs, new.emulator.client("cloudwatch")
    name = new.physical_name()
    options: dict[str, Any] = pascal(inputs.some(*_ALARM))
    options |= {
        "OKActions": inputs.take("okActions"),
        "Dimensions": _dimensions(inputs),
        "Metrics": [_query(block) for block in inputs.blocks("metricQueries")],
        "Tags": tag_list(inputs.take("tags")),
    }
    cloudwatch.put_metric_alarm(
        AlarmName=name, **{key: value for key, value in options.items() if value not in (None, [])}
    )
    [alarm] = cloudwatch.describe_alarms(AlarmNames=[name])["MetricAlarms"]
    return Created(name, {"name": name, "arn": alarm.get("AlarmArn")})


def dashboard(new: Resource) -> Created:
    """A dashboard."""
    cloudwatch, name = new.emulator.client("cloudwatch"), new.physical_name("dashboardName")
    cloudwatch.put_dashboard(DashboardName=name, DashboardBody=new.inputs.require("dashboardBody"))
    arn = cloudwatch.get_dashboard(DashboardName=name)["DashboardArn"]
    return Created(name, {"dashboardName": name, "dashboardArn": arn})


def _query(block: Inputs) -> dict[str, Any]:
    query: dict[str, Any] = pascal(block.some("id", "expression", "label", "period", "returnData", "accountId"))
    if metric := block.block("metric"):
        query["MetricStat"] = {
            "Metric": {
                **pascal(metric.some("namespace", "metricName")),
                "Dimensions": _dimensions(metric),
            },
            **pascal(metric.some("period", "stat", "unit")),
        }
    return query


def _dimensions(block: Inputs) -> list[dict[str, str]]:
    return [{"Name": name, "Value": value} for name, value in block.take("dimensions", {}).items()]
