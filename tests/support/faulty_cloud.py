"""An embedded cloud to break things in: a paced model, and proxies in front of all that its parts call.

Owns putting them together and what tests ask of a run. Faults are bound to single runs, so that runs of many kinds
can share one cloud. What must hold of every run's journal is `tests/support/run_story.py`'s.
"""

import json
import os
import time
import uuid
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from signal import Signals
from typing import Any

import psutil

from local.agentcore.environments.environment import EnvironmentRecord, State
from local.agentcore.environments.settings import DataPlaneSettings
from runtime.journal.keys import TASK_TOKEN_PREFIX, partition_key
from runtime.journal.reader import JournalReader
from runtime.journal.records import Event
from runtime.journal.timestamps import utc_now
from tests.support.fault_proxy import FaultProxy
from tests.support.paced_model import PacedModel
from tests.support.run_story import RunStory
from tests.support.running_cloud import RunningCloud, running_cloud
from tests.support.waiting import wait_until

LEASE_SECONDS = 6
MODEL_SECONDS = 0.2
# A look is a query, and twenty scenarios look at the same time.
LOOK_SECONDS = 0.25
MAX_ENVIRONMENTS = 16
AGENTCORE_URL = "AWS_ENDPOINT_URL_BEDROCK_AGENTCORE"
# More attempts than any test takes away: where the machine is so busy that a lease runs out, the run still completes.
CONFIG: dict[str, Any] = {
    "leaseSeconds": LEASE_SECONDS,
    "pollIntervalSeconds": 1,
    "maxRunSeconds": 300,
    "maxAttempts": 6,
    "invokeRetrySeconds": 60,
    "maxWaits": "3",
    # The machine's time between two looks for an answer; agents of a test's own may give people longer.
    "answerSeconds": 8,
}
# The least that is allowed: what a lost wake-up costs.
CALLBACK = {"completion": "callback", "callbackPollSeconds": 10}


@dataclass(frozen=True)
class FaultyCloud:
    """A running embedded cloud whose calls can be made to fail.

    :ivar aws: stands between the invoker and the agents on one side and the emulator on the other
    :ivar agentcore: stands between the invoker and the data plane
    :ivar completion: how the machine learns of an end, `poll` or `callback`
    :ivar poll_seconds: the time between two polls
    """

    cloud: RunningCloud
    model: PacedModel
    aws: FaultProxy
    agentcore: FaultProxy
    completion: str
    poll_seconds: int

    def new_session_id(self) -> str:
        """Return an id for a run, to bind faults to before it starts."""
        return str(uuid.uuid4())

    def start(
        self, session_id: str | None = None, workflow: str | None = None, limits: Mapping[str, int] | None = None
    ) -> str:
        """Start a run as the rule would, and return its session id, which is its prompt as well."""
        session_id = session_id or self.new_session_id()
        request = (
            {"prompt": session_id}
            | ({"workflow": workflow} if workflow else {})
            | ({"limits": limits} if limits else {})
        )
        self.cloud.start_execution(json.dumps({"session_id": session_id, "request": request}))
        return session_id

    def environment_of(self, session_id: str) -> EnvironmentRecord | None:
        """Return the environment that has a session now, unless it is on its way out."""
        records = self.cloud.parts.data_plane.environments()
        running = (State.STARTING, State.READY)
        return next((found for found in records if found.session_id == session_id and found.state in running), None)

    def signal(self, session_id: str, number: Signals) -> str | None:
        """Send a signal to a session's process, and return the environment's id; None if there is none."""
        environment = self.environment_of(session_id)
        if environment is None or environment.pid is None:
            return None
        try:
            os.kill(environment.pid, number)
        except ProcessLookupError:
            return None
        return environment.environment_id

    def events(self, session_id: str, *statuses: str) -> list[Event]:
        """Return the events of a run so far, all or those with one of these statuses, in order."""
        return [event for event in self.reader.events(session_id) if not statuses or event.status in statuses]

    def wait_for(self, session_id: str, *statuses: str, count: int = 1, seconds: float = 30) -> Event:
        """Wait until a run has that many events with one of these statuses, and return the last of them."""
        what = f"{count} times {' or '.join(statuses)} of {session_id}"
        wait_until(lambda: len(self.events(session_id, *statuses)) >= count, what, seconds, LOOK_SECONDS)
        return self.events(session_id, *statuses)[count - 1]

    def wait_until_wakeable(self, session_id: str) -> None:
        """Wait until a run's execution can be woken: a wake-up that comes before its task token is lost."""
        if self.completion == "callback":
            wait_until(lambda: self._has_token(session_id), f"a task token of {session_id}", 30, LOOK_SECONDS)

    def signalled_in_a_step(
        self,
        number: Signals,
        *patterns: str,
        session_id: str | None = None,
        workflow: str | None = None,
        calls: int = 1,
    ) -> RunStory:
        """Send a signal to the environment of a run whose model was asked, and let another environment end the run.

        :param patterns: what the model is asked about in that step, besides the session id
        :param calls: how often it was asked by then
        """
        session_id = session_id or self.new_session_id()
        with self.model.held(session_id, *patterns) as hold:
            self.start(session_id, workflow)
            hold.wait_for_call(calls)
            self.wait_until_wakeable(session_id)
            self.signal(session_id, number)
            hold.wait_for_call(calls + 1)
        return self.story(session_id)

    def _has_token(self, session_id: str) -> bool:
        records = self.cloud.client("dynamodb").query(
            TableName=self.cloud.output("journalTableName"),
            KeyConditionExpression="PK = :pk AND begins_with(SK, :token)",
            ExpressionAttributeValues={":pk": {"S": partition_key(session_id)}, ":token": {"S": TASK_TOKEN_PREFIX}},
        )
        return records["Count"] > 0

    def story(self, session_id: str, seconds: float = 90) -> RunStory:
        """Wait for the end of a run and of its execution, and return what happened.

        :raises AssertionError: if they don't end in time; the message has the story so far
        """
        try:
            wait_until(lambda: self.reader.outcome(session_id), "an outcome", seconds, LOOK_SECONDS)
            execution = self.execution(session_id)
            wait_until(lambda: execution()["status"] != "RUNNING", "the execution's end", seconds, LOOK_SECONDS)
        except AssertionError as late:
            so_far = RunStory(session_id, self.events(session_id), self.reader.outcome(session_id), "RUNNING")
            raise AssertionError(f"{late}: {so_far}") from None
        status = str(execution()["status"])
        return RunStory(session_id, self.events(session_id), self.reader.outcome(session_id), status)

    def stories(self, session_ids: Iterable[str], seconds: float) -> list[RunStory]:
        """Wait for the ends of several runs, all of them within that time."""
        deadline = time.monotonic() + seconds
        return [self.story(session_id, max(0.1, deadline - time.monotonic())) for session_id in session_ids]

    def execution(self, session_id: str) -> Callable[[], dict[str, Any]]:
        """Return what describes the execution that claimed a run, as it is then."""
        arn = self.cloud.runbook.metadata(session_id).execution_arn
        describe = self.cloud.client("stepfunctions").describe_execution
        return lambda: describe(executionArn=arn)

    @property
    def reader(self) -> JournalReader:
        """The journal's reader, as root."""
        return JournalReader(self.cloud.client("dynamodb"), self.cloud.output("journalTableName"))


@contextmanager
def faulty_cloud(
    *, config: dict[str, Any] | None = None, data_plane: DataPlaneSettings | None = None
) -> Generator[FaultyCloud]:
    """Start an embedded cloud with proxies in front of its parts, and stop it.

    :param config: values in place of :data:`CONFIG`, or besides them
    """
    chosen = CONFIG | (config or {})
    with ExitStack() as parts:
        model = parts.enter_context(PacedModel(MODEL_SECONDS))
        aws = parts.enter_context(FaultProxy())
        agentcore = parts.enter_context(FaultProxy())
        cloud = parts.enter_context(
            running_cloud(
                model_url=model.url,
                config=chosen,
                data_plane=data_plane or DataPlaneSettings(max_environments=MAX_ENVIRONMENTS, stop_grace_seconds=1.5),
                endpoint_url_override=aws.url,
            )
        )
        aws.upstream = cloud.stack.endpoint_url
        agentcore.upstream = cloud.stack.agentcore_endpoint_url
        cloud.set_function_variables({AGENTCORE_URL: agentcore.url})
        completion = chosen.get("completion", "poll")
        poll = chosen["pollIntervalSeconds" if completion == "poll" else "callbackPollSeconds"]
        yield FaultyCloud(cloud, model, aws, agentcore, completion, poll)


def release_delay(faulty: FaultyCloud) -> timedelta:
    """Return the time from the outcome of a run until nothing is left of its environment."""
    session_id = faulty.start()
    wait_until(lambda: faulty.reader.outcome(session_id), "an outcome", 60, 0.02)

    def is_gone() -> bool:
        return session_id not in {found.session_id for found in faulty.cloud.parts.data_plane.environments()}

    wait_until(is_gone, "the environment's end", 30)
    gone_at = utc_now()
    return gone_at - faulty.story(session_id).check_completed().ending.created_at


def emulator_process(cloud: RunningCloud) -> psutil.Process:
    """Return the emulator's process."""
    child = cloud.parts.emulator._child
    assert child
    return psutil.Process(child._process.pid)
