"""Step Functions state machines."""

from __future__ import annotations

import json
from typing import Any

from local.deployment.resources.resource import Created, Inputs, Refused, Resource


def state_machine(new: Resource) -> Created:
    """A state machine from its definition."""
    name, inputs = new.physical_name(), new.inputs
    definition = inputs.require("definition")
    _check_time_limits(definition)
    options: dict[str, Any] = {
        "type": inputs.take("type"),
        "publish": inputs.take("publish"),
        "loggingConfiguration": _logging(inputs.block("loggingConfiguration")),
        "tracingConfiguration": inputs.take("tracingConfiguration"),
        "encryptionConfiguration": inputs.take("encryptionConfiguration"),
        "tags": [{"key": key, "value": value} for key, value in inputs.take("tags", {}).items()],
    }
    created = new.emulator.client("stepfunctions").create_state_machine(
        name=name,
        definition=definition,
        roleArn=inputs.require("roleArn"),
        **{key: value for key, value in options.items() if value},
    )
    arn = created["stateMachineArn"]
    return Created(arn, {"name": name, "arn": arn, "status": "ACTIVE"})


def _logging(block: Inputs) -> dict[str, Any]:
    configuration = block.some("level", "includeExecutionData")
    if destination := block.take("logDestination"):
        configuration["destinations"] = [{"cloudWatchLogsLogGroup": {"logGroupArn": destination}}]
    return configuration


def _check_time_limits(definition: str) -> None:
    # ministack would create the machine and fail its executions in that state.
    for name, state in json.loads(definition)["States"].items():
        if isinstance(state.get("TimeoutSeconds"), str):
            raise Refused(
                f"the state {name} computes its TimeoutSeconds, {state['TimeoutSeconds']}; only plain numbers are "
                "emulated: with completion callback, pollMaxIntervalSeconds must not exceed callbackPollSeconds here"
            )
