"""CloudWatch Logs groups, who may write to them, and metrics counted from them."""

from __future__ import annotations

from typing import Any

from local.deployment.resources.resource import Created, Resource


def log_group(new: Resource) -> Created:
    """A log group with its retention."""
    inputs, logs = new.inputs, new.emulator.client("logs")
    inputs.ignore("skipDestroy", reason="nothing is destroyed here: the emulator is discarded")
    name = new.physical_name()
    logs.create_log_group(logGroupName=name, **inputs.some("logGroupClass", "kmsKeyId", "tags"))
    if days := inputs.take("retentionInDays"):
        logs.put_retention_policy(logGroupName=name, retentionInDays=days)
    found = logs.describe_log_groups(logGroupNamePrefix=name)["logGroups"]
    [arn] = [group.get("arn", "") for group in found if group.get("logGroupName") == name]
    return Created(name, {"name": name, "arn": arn.removesuffix(":*")})


def resource_policy(new: Resource) -> Created:
    """Which services may write to a log group."""
    log_group = new.inputs.require("resourceArn")
    new.emulator.client("logs").put_resource_policy(
        resourceArn=log_group, policyDocument=new.inputs.require("policyDocument")
    )
    return Created(log_group, {})


def metric_filter(new: Resource) -> Created:
    """A metric counted from log lines; the emulator stores the filter but counts nothing."""
    inputs, name = new.inputs, new.physical_name()
    metric = inputs.block("metricTransformation")
    transformation: Any = {
        "metricName": metric.require("name"),
        "metricNamespace": metric.require("namespace"),
        "metricValue": metric.require("value"),
        **metric.some("dimensions", "unit"),
    }
    if default := metric.take("defaultValue"):
        transformation["defaultValue"] = float(default)
    new.emulator.client("logs").put_metric_filter(
        filterName=name,
        logGroupName=inputs.require("logGroupName"),
        filterPattern=inputs.require("pattern"),
        metricTransformations=[transformation],
    )
    return Created(name, {"name": name})
