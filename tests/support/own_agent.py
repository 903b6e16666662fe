"""The real agent as a process of the test's own, which no data plane looks after, stops or replaces.

On AWS requests of one session can land in several environments, and one that was given up may go on. A data plane
that keeps to its rules never shows that; here a rule hands a session's invocations to the process of its choice.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

from local.agentcore.environments.agent_process import AGENT_PATH
from local.deployment.program import PROJECT
from local.emulator.clients import REGION
from local.loopback.ports import free_port
from runtime.contract.job import job_payload
from runtime.journal.timestamps import utc_now
from tests.support.fault_proxy import Call, Rule
from tests.support.faulty_cloud import FaultyCloud
from tests.support.http_server import Reply
from tests.support.run_story import RunStory
from tests.support.waiting import wait_until

SESSION_HEADER = "X-Amzn-Bedrock-AgentCore-Runtime-Session-Id"
START_SECONDS = 20
REQUEST_SECONDS = 30


class OwnAgent:
    """Runs, with the stack's variables and the rights of root, for a `with` block.

    :param module: what its process runs
    :param variables: in place of the stack's, or besides them
    """

    def __init__(self, faulty: FaultyCloud, module: str = "runtime.agent.main", **variables: str) -> None:
        control = faulty.cloud.client("bedrock-agentcore-control")
        runtime = control.get_agent_runtime(agentRuntimeId=faulty.cloud.output("agentRuntimeId"))
        self._port = free_port()
        self._output = tempfile.TemporaryFile()  # noqa: SIM115 - closed by `end`
        self._process = subprocess.Popen(
            [sys.executable, "-m", module],
            cwd=PROJECT,
            env={
                **runtime["environmentVariables"],
                "PLATFORM_VERSION": "V1",  # nothing is restored from it
                "PYTHONPATH": str(AGENT_PATH),
                "HOST": "127.0.0.1",
                "PORT": str(self._port),
                "AWS_ENDPOINT_URL": faulty.aws.url,
                "AWS_REGION": REGION,
                "AWS_DEFAULT_REGION": REGION,
                "AWS_ACCESS_KEY_ID": faulty.cloud.stack.key.access_key_id,
                "AWS_SECRET_ACCESS_KEY": faulty.cloud.stack.key.secret_access_key,
                **variables,
            },
            stdout=self._output,
            stderr=subprocess.STDOUT,
        )

    def __enter__(self) -> Self:
        try:
            wait_until(self._has_started, "the agent's first answer", START_SECONDS, 0.05)
        except BaseException:
            self.end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()

    def end(self) -> None:
        """Kill it, whatever state it is in."""
        self._process.kill()
        self._process.wait(10)
        self._output.close()

    def freeze(self) -> None:
        """Stop the process without ending it."""
        os.kill(self._process.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """Let a frozen process go on."""
        os.kill(self._process.pid, signal.SIGCONT)

    def terminate(self) -> None:
        """Tell it to go, as AgentCore does."""
        self._process.terminate()

    def begin_second_attempt(self, session_id: str, request: dict[str, Any]) -> None:
        """Have it begin a run's second attempt, of which the invoker knows nothing."""
        job = job_payload(request, attempt=2, max_attempts=6, now=utc_now(), seconds_left=60)
        assert self.invoke(session_id, json.dumps(job).encode()).status == 200

    def ping(self) -> str | None:
        """Return what it says of itself, `Healthy` or `HealthyBusy`; None if it says nothing within a second."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self._port}/ping", timeout=1) as answer:
                return str(json.load(answer)["status"])
        except OSError:
            return None

    def _has_started(self) -> bool:
        if self._process.poll() is not None:
            self._output.seek(0)
            raise AssertionError(f"the agent ended at once: {self._output.read().decode(errors='replace')[-2000:]}")
        return self.ping() is not None

    def invoke(self, session_id: str, payload: bytes) -> Reply:
        """Return what it answers to an invocation."""
        headers = {SESSION_HEADER: session_id, "Content-Type": "application/json"}
        request = urllib.request.Request(f"http://127.0.0.1:{self._port}/invocations", payload, headers)
        try:
            with urllib.request.urlopen(request, timeout=REQUEST_SECONDS) as answer:  # noqa: S310 - loopback
                return Reply(200, answer.read(), {"Content-Type": "application/json"})
        except urllib.error.HTTPError as refused:
            return Reply(refused.code, refused.read(), {"Content-Type": "application/json"})


def outlived_by(agent: OwnAgent, faulty: FaultyCloud, session_id: str) -> RunStory:
    """Return a run's story once an agent that was given up is done with it too, and has written nothing since."""
    story = faulty.story(session_id)
    wait_until(lambda: agent.ping() == "Healthy", "the end of the attempt that was given up", 20)
    assert faulty.events(session_id) == story.events
    return story


def first_attempt_by(first: OwnAgent, then: OwnAgent, session_id: str) -> Rule:
    """Return the rule by which one process gets the first attempt, and another what comes after."""
    return handled_by(
        session_id, lambda job, payload: (first if job["attempt"] == 1 else then).invoke(session_id, payload)
    )


def handled_by(session_id: str, answer: Callable[[dict[str, Any], bytes], Reply]) -> Rule:
    """Return a rule by which a function answers the invocations of a session; stopping it changes nothing.

    :param answer: gets the job and its bytes
    """

    def rule(call: Call) -> Reply | None:
        if not call.mentions(session_id):
            return None
        if call.operation != "InvokeAgentRuntime":
            return Reply(200, b"{}", {"Content-Type": "application/json"})
        return answer(json.loads(call.request.body), call.request.body)

    return rule
