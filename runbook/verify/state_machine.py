"""What the deployed state machine and its executions tell: how ends are noticed, and that they were announced."""

import json

from runbook.runbook import Runbook

WAIT_STATE = "WaitForCompletion"
PUBLISH_STATE = "PublishFinished"


def wakes(runbook: Runbook) -> bool:
    """Return whether the stack has `completion: callback`: an execution waits to be woken."""
    machine = runbook.outputs.state_machine_arn
    definition = runbook.clients.stepfunctions.describe_state_machine(stateMachineArn=machine)["definition"]
    # A run that waits for a person is woken on every stack.
    return json.loads(definition)["States"][WAIT_STATE]["Type"] == "Task"


def announced(runbook: Runbook, execution_arn: str) -> bool:
    """Return whether an execution has handed its event `AgentRunFinished` to EventBridge."""
    pages = runbook.clients.stepfunctions.get_paginator("get_execution_history").paginate(
        executionArn=execution_arn, includeExecutionData=False
    )
    state = ""
    for page in pages:
        for event in page["events"]:
            if entered := event.get("stateEnteredEventDetails"):
                state = entered["name"]
            if state == PUBLISH_STATE and event["type"] == "TaskSucceeded":
                return True
    return False
