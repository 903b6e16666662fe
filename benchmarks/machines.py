"""State machines of several settings in one embedded cloud, and what their executions did and when.

All are made by the deployed machine's own builder, so that polling, growing intervals and callbacks can be compared
with the same agent, function and table.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from components.settings import Settings
from components.trigger import EVENT_BUS
from components.workflow_budget import WorkflowSettings
from components.workflow_definition import build_definition
from runtime.journal.reader import JournalReader
from runtime.journal.records import Event
from tests.support.running_cloud import RunningCloud

END_SECONDS = 120.0


@dataclass(frozen=True)
class Run:
    """One run of one machine."""

    session_id: str
    execution_arn: str


class Machines:
    """State machines in a running cloud.

    :param base: what all of them have in common
    """

    def __init__(self, cloud: RunningCloud, base: Settings) -> None:
        self._cloud = cloud
        self._client: Any = cloud.client("stepfunctions")
        self._deployed = self._client.describe_state_machine(stateMachineArn=cloud.output("stateMachineArn"))
        function = cloud.client("lambda").get_function(FunctionName=cloud.output("invokerFunctionName"))
        self._base = base
        self._function_arn: str = function["Configuration"]["FunctionArn"]

    def create(self, **changes: Any) -> str:
        """Create a machine with other settings, and return its ARN."""
        stack, table = replace(self._base, **changes), self._cloud.output("journalTableName")
        definition = build_definition(WorkflowSettings(stack, self._function_arn, table, EVENT_BUS))
        created = self._client.create_state_machine(
            name=f"bench-{uuid.uuid4()}", roleArn=self._deployed["roleArn"], definition=json.dumps(definition)
        )
        return str(created["stateMachineArn"])

    def start(self, machine_arn: str, prompt: str) -> Run:
        """Start a run as the rule would."""
        session_id = str(uuid.uuid4())
        request = json.dumps({"session_id": session_id, "request": {"prompt": prompt}})
        started = self._client.start_execution(stateMachineArn=machine_arn, input=request)
        return Run(session_id, str(started["executionArn"]))

    def wait_for(self, runs: Iterable[Run], seconds: float = END_SECONDS) -> None:
        """Wait until all executions have ended.

        :raises TimeoutError: if one of them doesn't in time
        """
        deadline = time.monotonic() + seconds
        for run in runs:
            while self._client.describe_execution(executionArn=run.execution_arn)["status"] == "RUNNING":
                if time.monotonic() > deadline:
                    raise TimeoutError(f"run {run.session_id} did not end within {seconds:g} s")
                time.sleep(0.1)

    def entered(self, run: Run, state: str) -> datetime:
        """Return when an execution first entered a state.

        :raises LookupError: if it never did
        """
        for event in self._history(run):
            details = event.get("stateEnteredEventDetails")
            if details and details["name"] == state:
                return event["timestamp"]
        raise LookupError(f"the execution of run {run.session_id} never came to {state}")

    def transitions(self, run: Run) -> int:
        """Return how many states an execution entered, which is what Step Functions bills."""
        return sum("stateEnteredEventDetails" in event for event in self._history(run))

    def event(self, run: Run, status: str) -> Event:
        """Return a run's first event of a status.

        :raises LookupError: if there is none
        """
        reader = JournalReader(self._cloud.client("dynamodb"), self._cloud.output("journalTableName"))
        for event in reader.events(run.session_id):
            if event.status == status:
                return event
        raise LookupError(f"run {run.session_id} has no event {status}")

    def scale_waits(self, factor: float) -> None:
        """Make all waits of the emulator's executions shorter from now on; time limits of tasks stay as they are."""
        self._cloud.parts.emulator.set({"stepfunctions._SFN_WAIT_SCALE": factor})

    def _history(self, run: Run) -> Iterable[dict[str, Any]]:
        pages = self._client.get_paginator("get_execution_history").paginate(executionArn=run.execution_arn)
        for page in pages:
            yield from page["events"]
