"""The emulator: ministack as a child process on a free loopback port, with IAM enforcement on.

Owns its settings, its readiness and its end. `local.emulator.edge` changes what ministack does;
`local.agentcore.data_plane` serves what it only pretends to have, AgentCore's data plane.
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
# Less than a state machine gives a task that starts an agent, see components/workflow_definition.py.
LAMBDA_QUEUE_SECONDS = 120.0
# A large model on a laptop takes minutes.
MODEL_SECONDS = 600

_FIXED_SETTINGS = {
    "AUTH": "true",
    "BIND_HOST": "127.0.0.1",
    "DOCKER_HOST": "unix:///nonexistent",  # nothing here runs in containers, even where Docker is installed
    "IOT_MTLS_ENABLED": "0",
    "LOG_LEVEL": "WARNING",
    "MINISTACK_BEDROCK_PROXY_TIMEOUT_SECONDS": str(MODEL_SECONDS),
    "MINISTACK_REGION": REGION,
    # An allow-list: calls to any other service are refused. `bedrock-agentcore` is its control plane as well.
    "SERVICES": "dynamodb,s3,lambda,stepfunctions,events,scheduler,logs,cloudwatch,sqs,sns,iam,sts,kms,"
    "bedrock-runtime,bedrock-agentcore",
    "SFTP_ENABLED": "0",
}


class EmulatorError(Exception):
    """The emulator could not be started, or is no longer there."""


class Emulator:
    """A running emulator, from entering the context to leaving it.

    :param agentcore_url: where Lambda functions find AgentCore's data plane; without it they get the
        emulator's own, which only echoes.
    :param model_url: base URL of an OpenAI-compatible server that is to answer Bedrock's Converse calls;
        without it replies are canned.
    :param endpoint_url_override: the endpoint that Lambda functions use instead of the emulator's own, for
        instance a proxy in front of it that injects faults.
    :param lambda_concurrency: how many function environments may run at once, all functions together.
    :param lambda_queue_seconds: how long an invocation waits for one of them before it is throttled.
    :ivar url: the endpoint of every service, `http://127.0.0.1:<port>`.
    :ivar key: root's, another one for each emulator.
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

        :raises EmulatorError: if it ends at once, doesn't answer in time, or every port tried was taken.
        """
        try:
            self.url = self._start_on_a_free_port()
        except BaseException:
            self.stop()
            raise
        self.client = RootSession(self.url, self.key).client

    def check(self) -> None:
        """Do nothing, as long as the emulator is alive.

        :raises EmulatorError: if it was not started, was stopped, or died.
        """
        if self._child is None:
            raise EmulatorError("The emulator is not running: it was not started, or was stopped.")
        if not self._child.alive:
            raise _died(self._child, "while in use")

    def set(self, settings: Mapping[str, Any]) -> None:
        """Change settings of ministack while it runs, `stepfunctions._SFN_WAIT_SCALE` for instance.

        :raises EmulatorError: if it doesn't take one of them.
        """
        request = urllib.request.Request(  # noqa: S310 - our own child's address
            f"{self.url}/_ministack/config",
            json.dumps(settings).encode(),
            {"Authorization": f"Bearer {self.key.secret_access_key}"},
        )
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with direct.open(request, timeout=10) as answer:
            if json.load(answer)["applied"].keys() != settings.keys():
                raise EmulatorError(f"The emulator does not take all of {dict(settings)}.")

    def stop(self) -> None:
        """End the emulator with everything it started and delete its files; harmless when repeated."""
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
        raise EmulatorError(f"The emulator got no port: other programs took {ports} while it was starting.")

    def _environment(self, port: int, token: str) -> dict[str, str]:
        """Lambda handlers inherit all of it, and what has a `bootstrap` gets its endpoint from nowhere else."""
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
    """Wait until the child answers; False when it ended instead."""
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
    """Whether the server on this port is healthy, and ours: the port may have gone to another emulator."""
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
