"""An agent's process and a connection to it: ours, or the echo app that is its baseline.

Both are started in the same way, with the same interpreter, and spoken to over a connection that stays open.
`deployed_code.py` starts what is deployed; elsewhere it is the code as it stands here.
"""

from __future__ import annotations

import http.client
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import uuid
from collections import Counter
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psutil

from local.emulator.clients import REGION, AccessKey
from local.emulator.process import Emulator
from local.loopback.ports import free_port
from runtime.contract.job import job_payload
from runtime.journal.reader import JournalReader
from runtime.journal.records import Event
from runtime.journal.vocabulary import Status
from tests.support.journal_table import create_journal_table

PROJECT = Path(__file__).resolve().parent.parent
OURS = PROJECT / "runtime" / "agent" / "main.py"
ECHO = Path(__file__).with_name("apps") / "echo.py"
START_SECONDS = 60.0
IDLE_SECONDS = 60.0
RELEASE_SECONDS = 15.0
TABLE = "journal"
BUCKET = "artifacts"
LOG_GROUP = "agent"
LOG_STREAM = "otel-rt-logs"
SESSION_HEADER = "X-Amzn-Bedrock-AgentCore-Runtime-Session-Id"
TRACE_HEADER = "X-Amzn-Trace-Id"
PROMPT = "Our checkout latency doubled after Tuesday's release. What should we look at first?"


class AgentApp:
    """A running app.

    :param command: what starts it
    :param code: the folder that it is started in
    :param directory: its home, and where its output goes
    :ivar began: when its process was started, on the clock `time.perf_counter`
    :ivar seconds_to_ping: from then to its first answer to /ping
    """

    def __init__(self, command: Sequence[str], code: Path, environ: Mapping[str, str], directory: Path) -> None:
        self._port = free_port()
        self.began = time.perf_counter()
        with (directory / "stderr.log").open("wb") as log:
            self._process = subprocess.Popen(
                command,
                cwd=code,
                env={
                    "PATH": os.defpath,
                    "HOME": str(directory),
                    "TMPDIR": str(directory),
                    "HOST": "127.0.0.1",
                    "PORT": str(self._port),
                    **environ,
                },
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        self._connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)
        self._await_ping(self.began + START_SECONDS)
        self.seconds_to_ping = time.perf_counter() - self.began

    @property
    def resident_bytes(self) -> int:
        """The memory that its process holds now."""
        return psutil.Process(self._process.pid).memory_info().rss

    def ping(self) -> str:
        """Return its status."""
        return str(self._request("GET", "/ping")["status"])

    def invoke(self, session_id: str | None = None, workflow: str | None = None, trace: str | None = None) -> Any:
        """Send it a job, and return what it answers.

        :param trace: X-Ray's header
        """
        headers = {SESSION_HEADER: session_id or str(uuid.uuid4())} | ({TRACE_HEADER: trace} if trace else {})
        return self._request("POST", "/invocations", job(workflow), **headers)

    def wait_until_idle(self) -> None:
        """Return once it has no task left.

        :raises TimeoutError: if that takes too long
        """
        deadline = time.monotonic() + IDLE_SECONDS
        while self.ping() != "Healthy":
            if time.monotonic() > deadline:
                raise TimeoutError(f"the agent is still busy after {IDLE_SECONDS:g} s")
            time.sleep(0.01)

    def release(self) -> None:
        """End its process as AgentCore does.

        :raises subprocess.TimeoutExpired: if it takes longer than AgentCore waits
        """
        self._connection.close()
        self._process.terminate()
        self._process.wait(RELEASE_SECONDS)

    def close(self) -> None:
        """End its process at once."""
        self._connection.close()
        self._process.kill()
        self._process.wait(5)

    def _request(self, method: str, path: str, body: str | None = None, **headers: str) -> Any:
        try:
            answer, content = self._exchange(method, path, body, headers)
        except ConnectionError:
            # The server closes a connection that was not used for five seconds.
            self._connection.close()
            answer, content = self._exchange(method, path, body, headers)
        if answer.status != http.HTTPStatus.OK:
            raise RuntimeError(f"the agent answered {method} {path} with {answer.status}: {content[:200]!r}")
        return json.loads(content)

    def _exchange(
        self, method: str, path: str, body: str | None, headers: Mapping[str, str]
    ) -> tuple[http.client.HTTPResponse, bytes]:
        self._connection.request(method, path, body, {"Content-Type": "application/json", **headers})
        answer = self._connection.getresponse()
        return answer, answer.read()

    def _await_ping(self, deadline: float) -> None:
        while True:
            try:
                self.ping()
            except (OSError, http.client.HTTPException) as error:
                self._connection.close()
                if self._process.poll() is not None or time.perf_counter() > deadline:
                    self.close()
                    raise RuntimeError("the agent's process never answered /ping") from error
                time.sleep(0.002)
            else:
                return


def job(workflow: str | None = None) -> str:
    """Return the body of an invocation as the invoker sends it."""
    request = {"prompt": PROMPT} | ({"workflow": workflow} if workflow else {})
    return json.dumps(job_payload(request, 1, max_attempts=3, now=datetime.now(UTC), seconds_left=3600))


@contextmanager
def agent_app(main: Path, environ: Mapping[str, str] | None = None) -> Generator[AgentApp]:
    """Start an app, on this interpreter and with the project's code, and end it."""
    with tempfile.TemporaryDirectory(prefix="bench-code-") as code:
        shutil.copy(main, Path(code, "main.py"))
        variables = {"PYTHONPATH": str(PROJECT), **(environ or {})}
        with running_app([sys.executable, "main.py"], Path(code), variables) as app:
            yield app


@contextmanager
def running_app(command: Sequence[str], code: Path, environ: Mapping[str, str]) -> Generator[AgentApp]:
    """Start an app by its command, and end it."""
    with tempfile.TemporaryDirectory(prefix="bench-agent-") as directory:
        app = AgentApp(command, code, environ, Path(directory))
        try:
            yield app
        finally:
            app.close()


@dataclass(frozen=True)
class Services:
    """What our agent calls: a journal table, a bucket, a log and a model, all in one emulator.

    :ivar environ: the environment variables of an agent that uses them
    """

    environ: Mapping[str, str]
    journal: JournalReader

    def check_completed(self, tasks: int) -> None:
        """Do nothing, if that many tasks have ended and all of them well: the figures of others mean nothing.

        :raises RuntimeError: if not
        """
        today = datetime.now(UTC).date()
        days = (today - timedelta(days=1), today)
        outcomes = Counter(
            record.status for day in days for record in self.journal.by_day(day) if isinstance(record, Event)
        )
        if outcomes != {Status.AGENT_BACKGROUND_TASK_COMPLETED: tasks}:
            raise RuntimeError(f"{tasks} tasks had to complete, and they ended as {dict(outcomes)}")


@contextmanager
def services(model_url: str | None = None) -> Generator[Services]:
    """Start an emulator with a table, a bucket and a log in it, and stop it."""
    with Emulator(model_url=model_url) as emulator:
        create_journal_table(emulator.client("dynamodb"), TABLE)
        emulator.client("s3").create_bucket(Bucket=BUCKET)
        emulator.client("logs").create_log_group(logGroupName=LOG_GROUP)
        emulator.client("logs").create_log_stream(logGroupName=LOG_GROUP, logStreamName=LOG_STREAM)
        yield Services(agent_environ(emulator.url, emulator.key), JournalReader(emulator.client("dynamodb"), TABLE))


def agent_environ(endpoint_url: str, key: AccessKey) -> dict[str, str]:
    """Return the environment variables of an agent that calls this endpoint as root."""
    return {
        "AWS_ACCESS_KEY_ID": key.access_key_id,
        "AWS_SECRET_ACCESS_KEY": key.secret_access_key,
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_ENDPOINT_URL": endpoint_url,
        "JOURNAL_TABLE": TABLE,
        "ARTIFACT_BUCKET": BUCKET,
        "MODEL_ID": "anthropic.claude-sonnet-4-6",
        "LEASE_SECONDS": "120",
        "JOURNAL_TTL_DAYS": "90",
        "PARALLEL_STEPS": "4",
    }
