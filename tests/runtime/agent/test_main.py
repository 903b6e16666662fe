"""The agent as AgentCore starts it: a process. DynamoDB and S3 are moto's, over HTTP; Bedrock is a scripted server."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any

import httpx
import psutil
import pytest

from runtime.agent.entrypoint import FLUSH_SECONDS
from runtime.contract.job import job_payload
from runtime.journal.reader import JournalReader
from runtime.journal.timestamps import utc_now
from runtime.journal.vocabulary import Status
from tests.support.aws_over_http import AwsOverHttp
from tests.support.http_server import HttpServer, Reply
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_s3 import S3Client

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[3]
SESSION_HEADER = "X-Amzn-Bedrock-AgentCore-Runtime-Session-Id"
WITHOUT_KEYS = {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}
DENIED = Reply(403, b'{"message": "not this model"}', {"x-amzn-ErrorType": "AccessDeniedException"})


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def environ(port: int, aws_url: str, bedrock_url: str) -> dict[str, str]:
    """Return all that an agent's process is given, and nothing of this one's."""
    return {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(ROOT),
        "HOST": "127.0.0.1",
        "PORT": str(port),
        "AWS_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_ENDPOINT_URL": aws_url,
        "AWS_ENDPOINT_URL_BEDROCK_RUNTIME": bedrock_url,
        "JOURNAL_TABLE": "journal",
        "ARTIFACT_BUCKET": "artifacts",
        "MODEL_ID": "a-model",
        "LEASE_SECONDS": "60",
        "JOURNAL_TTL_DAYS": "30",
        "PARALLEL_STEPS": "4",
    }


def start(variables: dict[str, str], log: Path, module: str = "runtime.agent.main") -> "subprocess.Popen[bytes]":
    with log.open("wb") as output:
        return subprocess.Popen(
            [sys.executable, "-m", module], env=variables, cwd=log.parent, stdout=output, stderr=output
        )


@dataclass
class AgentProcess:
    """A running agent.

    :ivar aws: its DynamoDB and S3
    :ivar bedrock: what answers its model calls; without a queued reply it refuses them
    :ivar log: where its output goes
    """

    process: "subprocess.Popen[bytes]"
    url: str
    aws: AwsOverHttp
    bedrock: HttpServer
    log: Path

    def ping(self) -> str:
        """Return the status that /ping gives, or nothing while nobody answers."""
        try:
            return httpx.get(f"{self.url}/ping", timeout=5).json()["status"]
        except httpx.TransportError:
            return ""

    def post(self, session_id: str, **change: Any) -> httpx.Response:
        """Invoke it with a job for a session."""
        job = job_payload({"prompt": "Why?"}, attempt=1, max_attempts=3, now=utc_now(), seconds_left=600)
        headers = {SESSION_HEADER: session_id}
        return httpx.post(f"{self.url}/invocations", json=job | change, headers=headers, timeout=5)


@pytest.fixture
def agent(dynamodb: "DynamoDBClient", s3: "S3Client", tmp_path: Path) -> Iterator[AgentProcess]:
    """A process that has answered its first ping."""
    with running_agent(tmp_path) as running:
        yield running


@contextmanager
def running_agent(
    tmp_path: Path, module: str = "runtime.agent.main", variables: Mapping[str, str] | None = None
) -> Generator[AgentProcess]:
    """Run a process until the block is left; at its beginning the process has answered its first ping."""
    port = free_port()
    with AwsOverHttp() as aws, HttpServer(DENIED) as bedrock:
        process = start(environ(port, aws.url, bedrock.url) | dict(variables or {}), tmp_path / "log", module)
        running = AgentProcess(process, f"http://127.0.0.1:{port}", aws, bedrock, tmp_path / "log")
        try:
            wait_until(lambda: running.ping() == "Healthy" or process.poll() is not None, "the agent answers", 20)
            assert process.poll() is None, running.log.read_text()
            yield running
        finally:
            process.kill()
            process.wait(5)


def refused_while_the_journal_hangs(agent: AgentProcess, session_id: str) -> None:
    """Send a request whose refusal can't be journalled; the process goes before it answers."""
    agent.aws.override = lambda request: Reply(hangs=True) if b"INVOKE_FAILED" in request.body else None
    with suppress(httpx.TransportError):
        agent.post(session_id, attempt=True)


def test_a_process_fails_one_run_and_gives_the_lease_of_the_next_back_when_it_is_told_to_go(
    agent: AgentProcess, reader: JournalReader, session_id: str
) -> None:
    # A run whose model refuses.
    assert agent.post(session_id, attempt=True).status_code == 400
    accepted = agent.post(session_id)
    assert accepted.json()["accepted"]["attempt"] == 1
    wait_until(lambda: reader.outcome(session_id), "the run has its outcome", 20)
    assert [event.status for event in reader.events(session_id)] == [
        "AGENT_RUNTIME_INVOKE_FAILED",
        "AGENT_BACKGROUND_TASK_STARTED",
        "TASK_ANALYST_STARTED",
        "TASK_ANALYST_FAILED",
        "AGENT_BACKGROUND_TASK_FAILED",
    ]
    assert (outcome := reader.outcome(session_id)) is not None
    assert outcome.error_type == "AccessDeniedException"
    assert "not this model" in (outcome.error_message or "")
    wait_until(lambda: agent.ping() == "Healthy", "the task is over")

    # A run whose model hangs while the environment goes down.
    later = f"{session_id}-later"
    agent.bedrock.queue(*[Reply(hangs=True)] * 3)
    calls = len(agent.bedrock.requests)
    assert agent.post(later).status_code == 200
    wait_until(lambda: len(agent.bedrock.requests) > calls, "the model is asked")
    assert agent.ping() == "HealthyBusy"
    hung = Thread(target=refused_while_the_journal_hangs, args=(agent, f"{session_id}-other"))
    hung.start()
    wait_until(lambda: b"-other" in agent.aws.requests[-1].body, "a request hangs")
    began = time.monotonic()
    agent.process.send_signal(signal.SIGTERM)
    assert agent.process.wait(5) in (-signal.SIGTERM, 0)
    assert time.monotonic() - began < 2.5
    hung.join(5)
    *_, released = reader.events(later)
    assert released.status == Status.AGENT_BACKGROUND_TASK_HEARTBEAT
    assert released.lease_expires_at == released.created_at
    assert (released.detail or {})["running"] == ["analyst"]
    assert reader.outcome(later) is None

    # What it logged on the way.
    lines = [json.loads(line) for line in agent.log.read_text().splitlines() if line.startswith("{")]
    began_lines = [line for line in lines if "began in environment" in line["message"]]
    assert [line["sessionId"] for line in began_lines] == [session_id, later]
    assert "was never retrieved" not in agent.log.read_text()


@pytest.mark.usefixtures("dynamodb", "s3")
def test_spans_logs_and_metrics_of_a_run_all_arrive_though_its_environment_is_stopped_right_after_it(
    reader: JournalReader, session_id: str, tmp_path: Path
) -> None:
    spans = tmp_path / "spans"
    with HttpServer() as collector:
        variables = {"COLLECTOR_URL": collector.url, "SPANS_FILE": str(spans)}
        with running_agent(tmp_path, "tests.support.traced_agent", variables) as agent:
            agent.post(session_id)
            wait_until(lambda: reader.outcome(session_id), "the run has its outcome", 20)
            agent.process.send_signal(signal.SIGTERM)
            assert agent.process.wait(10) in (-signal.SIGTERM, 0)
        arrived = received(collector)
    ended = Counter(spans.read_text().splitlines())
    assert ended["invoke_agent analyst"] == 1
    assert arrived["spans"] == ended
    assert [line for line in arrived["logs"] if "began in environment" in line]
    assert [line for line in arrived["logs"] if "ended as AGENT_BACKGROUND_TASK_FAILED" in line]
    assert any(name.startswith("strands.") for name in arrived["metrics"])


@pytest.mark.usefixtures("dynamodb", "s3")
def test_a_collector_that_does_not_answer_keeps_an_environment_for_seconds_only(
    reader: JournalReader, session_id: str, tmp_path: Path
) -> None:
    with HttpServer(Reply(hangs=True)) as collector:
        variables = {"COLLECTOR_URL": collector.url, "SPANS_FILE": str(tmp_path / "spans")}
        with running_agent(tmp_path, "tests.support.traced_agent", variables) as agent:
            agent.post(session_id)
            wait_until(lambda: reader.outcome(session_id), "the run has its outcome", 20)
            agent.process.send_signal(signal.SIGTERM)
            began = time.monotonic()
            assert agent.process.wait(15) in (-signal.SIGTERM, 0)
            assert FLUSH_SECONDS - 1 < time.monotonic() - began < FLUSH_SECONDS + 4
        assert "did not send everything within 5 s" in agent.log.read_text()


def received(collector: HttpServer) -> dict[str, Counter[str]]:
    """Return what a collector got, how often each."""
    arrived = {"spans": Counter[str](), "logs": Counter[str](), "metrics": Counter[str]()}
    for request in collector.requests:
        batch = json.loads(request.body)
        arrived[batch["kind"]].update(batch["names"])
    return arrived


def connections_to(url: str, process: "subprocess.Popen[bytes]") -> list[Any]:
    """Return what a process has open to a server."""
    port = int(url.rpartition(":")[2])
    return [c for c in psutil.Process(process.pid).net_connections() if c.raddr and c.raddr.port == port]


def test_a_process_for_a_snapshot_has_its_credentials_and_no_open_connection_when_it_answers(tmp_path: Path) -> None:
    document = {"AccessKeyId": "test", "SecretAccessKey": "test", "Token": "t", "Expiration": "2099-01-01T00:00:00Z"}
    with HttpServer(Reply(200, json.dumps(document).encode())) as metadata:
        own = {"PLATFORM_VERSION": "V2", "AWS_CONTAINER_CREDENTIALS_FULL_URI": metadata.url} | WITHOUT_KEYS
        with running_agent(tmp_path, variables=own) as agent:
            assert len(metadata.requests) > 0
            assert connections_to(metadata.url, agent.process) == []


def test_a_process_for_a_snapshot_never_answers_if_it_would_have_no_credentials(tmp_path: Path) -> None:
    own = {"PLATFORM_VERSION": "V2", "HOME": str(tmp_path)} | WITHOUT_KEYS
    process = start(environ(free_port(), "http://127.0.0.1:1", "http://127.0.0.1:1") | own, tmp_path / "log")
    try:
        assert process.wait(20) not in (0, None)
    finally:
        process.kill()
        process.wait(5)
    assert "NoCredentialsError" in (tmp_path / "log").read_text()


def test_a_process_without_one_of_its_variables_ends_and_names_it(tmp_path: Path) -> None:
    variables = environ(free_port(), "http://127.0.0.1:1", "http://127.0.0.1:1")
    del variables["MODEL_ID"]
    process = start(variables, tmp_path / "log")
    try:
        assert process.wait(20) not in (0, None)
    finally:
        process.kill()
        process.wait(5)
    assert "MODEL_ID" in (tmp_path / "log").read_text()
