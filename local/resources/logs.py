"""CloudWatch Logs groups."""

from __future__ import annotations

from typing import Any

from local.resources.resource import Created, Resource


def log_group(new: Resource) -> Created:
    """A log group with its retention."""
    inputs, logs = new.inputs, new.emulator.client("logs")
    inputs.ignore("skipDestroy", reason="nothing is destroyed here: the emulator is thrown away")
    name = new.physical_name()
    options: dict[str, Any] = {
        "logGroupClass": inputs.take("logGroupClass"),
        "tags": inputs.take("tags"),
        "kmsKeyId": inputs.take("kmsKeyId"),
    }
    logs.create_log_group(logGroupName=name, **{key: value for key, value in options.items() if value is not None})
    if days := inputs.take("retentionInDays"):
        logs.put_retention_policy(logGroupName=name, retentionInDays=days)
    found = logs.describe_log_groups(logGroupNamePrefix=name)["logGroups"]
    [arn] = [group.get("arn", "") for group in found if group.get("logGroupName") == name]
    return Created(name, {"name": name, "arn": arn.removesuffix(":*")})
