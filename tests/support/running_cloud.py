"""The embedded cloud as tests use it: with short intervals, and with what most of them ask of a run."""

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from local.agentcore.environments.settings import DataPlaneSettings
from local.cloud import EmbeddedCloud
from local.stack_file import LocalStack
from runbook import Runbook, connect_embedded
from runbook.errors import RunNotFound
from runtime.journal.records import Event
from tests.support.waiting import wait_until

SHORT_INTERVALS = {"pollIntervalSeconds": 1, "leaseSeconds": 6, "maxRunSeconds": 60, "invokeRetrySeconds": 60}
RUN_SECONDS = 60.0
LOOK_SECONDS = 0.1


@dataclass(frozen=True)
class RunningCloud:
    """A running embedded cloud and a runbook for it."""

    parts: EmbeddedCloud
    runbook: Runbook

    @property
    def stack(self) -> LocalStack:
        """Where everything is, and the stack's outputs."""
        return self.parts.stack

    def output(self, name: str) -> str:
        """One of the stack's outputs."""
        return str(self.stack.outputs[name])

    def client(self, service: str) -> Any:
        """A root client of the emulator."""
        return self.parts.emulator.client(service)

    def run(self, prompt: str = "What is slow?", *, seconds: float = RUN_SECONDS) -> str:
        """Send one run through the cloud, wait until it and its execution have ended, return its session id."""
        session_id = self.runbook.trigger(prompt)
        self.wait_for_end(session_id, seconds=seconds)
        return session_id

    def wait_for_end(self, session_id: str, *, seconds: float = RUN_SECONDS) -> Event:
        """Wait until a run has its outcome and its execution has ended, and return the outcome."""
        wait_until(lambda: self.runbook.outcome(session_id), f"an outcome of {session_id}", seconds, LOOK_SECONDS)
        wait_until(
            lambda: self.runbook.execution(session_id).status != "RUNNING",
            f"the execution's end of {session_id}",
            seconds,
            LOOK_SECONDS,
        )
        outcome = self.runbook.outcome(session_id)
        assert outcome
        return outcome

    def statuses(self, session_id: str) -> list[str]:
        """What the journal says happened to a run, in order; nothing yet of one that was only triggered."""
        try:
            return [event.status for event in self.runbook.events(session_id)]
        except RunNotFound:
            return []

    def scale_waits(self, factor: float) -> None:
        """Have state machines wait only that part of what they would, between tries and polls."""
        self.parts.emulator.set({"stepfunctions._SFN_WAIT_SCALE": factor})

    @contextmanager
    def function_variables(self, **changes: str) -> Generator[None]:
        """Change the invoker's environment variables for a while."""
        before = self.set_function_variables(changes)
        try:
            yield
        finally:
            self.set_function_variables(before)

    def set_function_variables(self, changes: dict[str, str]) -> dict[str, str]:
        """Change the invoker's environment variables, and return all that it had before."""
        functions, name = self.client("lambda"), self.output("invokerFunctionName")
        before: dict[str, str] = functions.get_function_configuration(FunctionName=name)["Environment"]["Variables"]
        functions.update_function_configuration(FunctionName=name, Environment={"Variables": before | changes})
        return before

    def start_execution(self, execution_input: str) -> str:
        """Start an execution past EventBridge, with any JSON, and return its ARN."""
        answer = self.client("stepfunctions").start_execution(
            stateMachineArn=self.output("stateMachineArn"), input=execution_input
        )
        return str(answer["executionArn"])

    def ended_execution(self, arn: str, *, seconds: float = RUN_SECONDS) -> dict[str, Any]:
        """Wait until an execution has ended, and return its description."""
        describe = self.client("stepfunctions").describe_execution
        wait_until(
            lambda: describe(executionArn=arn)["status"] != "RUNNING", f"the end of {arn}", seconds, LOOK_SECONDS
        )
        return dict(describe(executionArn=arn))


@contextmanager
def running_cloud(
    *, model_url: str | None = None, config: dict[str, Any] | None = None, **options: Any
) -> Generator[RunningCloud]:
    """Start an embedded cloud with short intervals, and stop it.

    :param config: values in place of the short intervals, or besides them
    :param options: see :class:`local.cloud.EmbeddedCloud`
    """
    options.setdefault("data_plane", DataPlaneSettings(stop_grace_seconds=1.0))
    with EmbeddedCloud(model_url=model_url, config=SHORT_INTERVALS | (config or {}), **options) as parts:
        yield RunningCloud(parts, connect_embedded(parts.stack))
