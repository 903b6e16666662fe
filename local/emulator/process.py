"""The emulator: ministack as a child process on a free loopback port, with IAM enforcement on.

Owns its settings, its readiness and its end. `local.emulator.edge` patches ministack; `local.agentcore.data_plane`
serves AgentCore's data plane, of which ministack only has a mock.
"""

from __future__ import annotations

import http.client
import json
import time
import urllib.request
import uuid
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

from local.emulator.clients import REGION, AccessKey, RootSession
from local.loopback.ports import free_port
from local.processes.child import ChildProcess

START_SECONDS = 30.0
PORTS_TRIED = 3
# Less than the state machine's timeout for a task that starts an agent, see components/workflow_definition.py.
LAMBDA_QUEUE_SECONDS = 120.0
# A large model on a laptop takes minutes.
MODEL_SECONDS = 600

_FIXED_SETTINGS = {
    "AUTH": "true",
    "BIND_HOST": "127.0.0.1",
    "DOCKER_HOST": "unix:///nonexistent",  # nothing here runs in containers, even if Docker is installed
    "IOT_MTLS_ENABLED": "0",
    "LOG_LEVEL": "WARNING",
    "MINISTACK_BEDROCK_PROXY_TIMEOUT_SECONDS": str(MODEL_SECONDS),
    "MINISTACK_REGION": REGION,
    # An allow-list: calls to other services are refused. `bedrock-agentcore` includes its control plane.
    "SERVICES": "dynamodb,s3,lambda,stepfunctions,events,scheduler,logs,cloudwatch,sqs,sns,iam,sts,kms,"
    "bedrock-runtime,bedrock-agentcore",
    "SFTP_ENABLED": "0",
}


class EmulatorError(Exception):
    """The emulator could not be started, or is no longer running."""


class Emulator:
    """An emulator that runs while its context is entered.

    :param agentcore_url: where Lambda functions find AgentCore's data plane; without it they get the emulator's own,
        which only echoes.
    :param model_url: base URL of an OpenAI-compatible server that answers Bedrock's Converse calls; without it, replies
        are canned.
    :param endpoint_url_override: the endpoint that Lambda functions use instead of the emulator's own, for instance a
        proxy in front of it that injects faults.
    :param lambda_concurrency: how many function environments may run at once, for all functions together.
    :param lambda_queue_seconds: how long an invocation waits for one of them before it is throttled.
    :ivar url: the endpoint of every service, `http://127.0.0.1:<port>`.
    :ivar key: root's key, a new one for each emulator.
    :ivar client: `boto3.client` as root in this emulator, one client per service.
    """

    def __init__(
        self,
        *,
        agentcore_url: str | None = None,
        model_url: str | None = None,
        endpoint_url_override: str | None = None,
        lambda_concurrency: int = 16,
        lambda_queue_seconds: float = LAMBDA_QUEUE_SECONDS,
    ) -> None:
        self.key = AccessKey.new()
        settings = {
            "AWS_ENDPOINT_URL": endpoint_url_override,
            "AWS_ENDPOINT_URL_BEDROCK_AGENTCORE": agentcore_url,
            "MINISTACK_BEDROCK_PROXY_URL": model_url,
            "LAMBDA_ACCOUNT_CONCURRENCY": str(lambda_concurrency),
            "EDGE_FUNCTION_QUEUE_SECONDS": str(lambda_queue_seconds),
        }
        self._settings = {name: value for name, value in settings.items() if value is not None}
        self._child: ChildProcess | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start the emulator and wait until it answers.

        :raises EmulatorError: if it ends at once, doesn't answer in time, or every port tried was in use.
        """
        try:
            self.url = self._start_on_a_free_port()
        except BaseException:
            self.stop()
            raise
        self.client = RootSession(self.url, self.key).client

    def check(self) -> None:
        """Check that the emulator is alive.

        :raises EmulatorError: if it was not started, was stopped, or died.
        """
        if self._child is None:
            raise EmulatorError("The emulator is not running: it was not started, or was stopped.")
        if not self._child.alive:
            raise _died(self._child, "while in use")

    def set(self, settings: Mapping[str, Any]) -> None:
        """Change settings of the running ministack, such as `stepfunctions._SFN_WAIT_SCALE`.

        :raises EmulatorError: if it doesn't accept one of them.
        """
        request = urllib.request.Request(  # noqa: S310 - our own child's address
            f"{self.url}/_ministack/config",
            json.dumps(settings).encode(),
            {"Authorization": f"Bearer {self.key.secret_access_key}"},
        )
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with direct.open(request, timeout=10) as answer:
            if json.load(answer)["applied"].keys() != settings.keys():
                raise EmulatorError(f"The emulator does not accept all of {dict(settings)}.")

    def stop(self) -> None:
        """End the emulator and everything it started, and delete its files; harmless when repeated."""
        child, self._child = self._child, None
        if child is not None:
            child.end()

    def _start_on_a_free_port(self) -> str:
        ports: list[int] = []
        while len(ports) < PORTS_TRIED:
            ports.append(free_port())
            token = uuid.uuid4().hex
            self._child = ChildProcess("local.emulator.edge", self._environment(ports[-1], token))
            if _answers_in_time(self._child, ports[-1], token, self.key):
                return f"http://127.0.0.1:{ports[-1]}"
            if "in use" not in self._child.last_output():
                raise _died(self._child, "while starting")
            self.stop()
        raise EmulatorError(f"The emulator could not bind a port: other programs took {ports} while it was starting.")

    def _environment(self, port: int, token: str) -> dict[str, str]:
        """The child's environment, which Lambda handlers inherit; a custom runtime gets its endpoint nowhere else."""
        return {
            **_FIXED_SETTINGS,
            "GATEWAY_PORT": str(port),
            "MINISTACK_EDITION": token,
            "EDGE_ACCESS_KEY_ID": self.key.access_key_id,
            "EDGE_SECRET_ACCESS_KEY": self.key.secret_access_key,
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
            **self._settings,
        }


def _answers_in_time(child: ChildProcess, port: int, token: str, key: AccessKey) -> bool:
    """Wait until the child answers; False if it ended instead."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if not child.alive:
            return False
        if _answers(port, token, key):
            return True
        time.sleep(0.02)
    raise EmulatorError(
        f"The emulator did not answer on port {port} within {START_SECONDS:g} s; "
        f"its last output: {child.last_output() or '(none)'}"
    )


def _answers(port: int, token: str, key: AccessKey) -> bool:
    """Whether the server on this port is healthy and ours: another emulator may have taken the port."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=1)
    try:
        connection.request("GET", "/_ministack/health", headers={"Authorization": f"Bearer {key.secret_access_key}"})
        response = connection.getresponse()
        return response.status == http.HTTPStatus.OK and json.load(response)["edition"] == token
    except (OSError, http.client.HTTPException, ValueError, LookupError):
        return False
    finally:
        connection.close()


def _died(child: ChildProcess, when: str) -> EmulatorError:
    return EmulatorError(f"The emulator died {when}; its last output: {child.last_output() or '(none)'}")
