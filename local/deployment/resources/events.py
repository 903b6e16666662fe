"""EventBridge rules with their targets, and schedules."""

from __future__ import annotations

from typing import Any

from local.deployment.resources.resource import Created, Inputs, Resource, pascal, tag_list


def rule(new: Resource) -> Created:
    """A rule by pattern or by schedule."""
    inputs, events = new.inputs, new.emulator.client("events")
    inputs.ignore("forceDestroy", reason="nothing is destroyed here: the emulator is discarded")
    name = new.physical_name()
    options = pascal(
        inputs.some("eventBusName", "eventPattern", "scheduleExpression", "description", "roleArn", "state")
    )
    created = events.put_rule(Name=name, Tags=tag_list(inputs.take("tags")), **options)
    return Created(name, {"name": name, "arn": created["RuleArn"]})


def target(new: Resource) -> Created:
    """A target of a rule."""
    inputs = new.inputs
    rule_name, target_id = inputs.require("rule"), new.physical_name("targetId")
    described = {
        "Id": target_id,
        "Arn": inputs.require("arn"),
        **pascal(inputs.some("roleArn", "input", "inputPath")),
        "InputTransformer": _input_transformer(inputs.block("inputTransformer")),
        "DeadLetterConfig": pascal(inputs.block("deadLetterConfig").some("arn")),
        "RetryPolicy": _retry_policy(inputs.block("retryPolicy")),
    }
    targets: Any = [{key: value for key, value in described.items() if value}]
    bus = pascal(inputs.some("eventBusName"))
    new.emulator.client("events").put_targets(Rule=rule_name, Targets=targets, **bus)
    return Created(f"{rule_name}-{target_id}", {"targetId": target_id})


def schedule(new: Resource) -> Created:
    """A schedule of EventBridge Scheduler."""
    inputs, name = new.inputs, new.physical_name()
    to = inputs.block("target")
    described = {
        "Arn": to.require("arn"),
        "RoleArn": to.require("roleArn"),
        "Input": to.take("input"),
        "EventBridgeParameters": pascal(to.block("eventbridgeParameters").some("detailType", "source")),
        "DeadLetterConfig": pascal(to.block("deadLetterConfig").some("arn")),
        "RetryPolicy": _retry_policy(to.block("retryPolicy")),
    }
    created = new.emulator.client("scheduler").create_schedule(
        Name=name,
        FlexibleTimeWindow=pascal(inputs.block("flexibleTimeWindow").some("mode", "maximumWindowInMinutes")),
        Target={key: value for key, value in described.items() if value},
        ScheduleExpression=inputs.require("scheduleExpression"),
        **pascal(
            inputs.some("groupName", "scheduleExpressionTimezone", "state", "description", "startDate", "endDate")
        ),
    )
    return Created(name, {"name": name, "arn": created["ScheduleArn"]})


def _input_transformer(block: Inputs) -> dict[str, Any]:
    """The keys of the paths map are the program's and stay unchanged."""
    if not block:
        return {}
    paths = block.take("inputPaths", {})
    return {"InputPathsMap": paths, "InputTemplate": block.require("inputTemplate")}


def _retry_policy(block: Inputs) -> dict[str, Any]:
    return pascal(block.some("maximumEventAgeInSeconds", "maximumRetryAttempts"))
