"""The real app through its ASGI interface: journal and artifacts are moto's, the steps' models scripted."""

import asyncio
import gc
import json
import threading
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from starlette.testclient import TestClient

from runtime.agent import dependencies, entrypoint
from runtime.agent.artifacts import Artifact, Usage
from runtime.agent.definition import Step, StepInput, Workflow
from runtime.agent.entrypoint import app, running
from runtime.agent.identity import environment_id
from runtime.agent.run_clock import RunClock
from runtime.agent.step_journal import StepJournal
from runtime.agent.workflow import WORKFLOWS
from runtime.contract.job import Job, job_payload
from runtime.journal.reader import JournalReader
from runtime.journal.records import Event
from runtime.journal.timestamps import from_timestamp, to_timestamp, utc_now
from runtime.journal.vocabulary import Status
from runtime.journal.writer import JournalWriter
from tests.support.faulty_dynamodb import Fault, FaultyDynamoDB
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_s3 import S3Client

SESSION_HEADER = "X-Amzn-Bedrock-AgentCore-Runtime-Session-Id"
ENVIRON = {
    "JOURNAL_TABLE": "journal",
    "ARTIFACT_BUCKET": "artifacts",
    "MODEL_ID": "a-model",
    "LEASE_SECONDS": "120",
    "JOURNAL_TTL_DAYS": "30",
    "PARALLEL_STEPS": "4",
}
CACHES = (dependencies.settings, dependencies.dynamodb, dependencies.journal, dependencies.stores, dependencies.model)


@pytest.fixture
def client(dynamodb: "DynamoDBClient", s3: "S3Client", monkeypatch: pytest.MonkeyPatch) -> Iterator[TestClient]:
    """A client of the app, which runs from its start-up to its shutdown."""
    for name, value in ENVIRON.items():
        monkeypatch.setenv(name, value)
    for cached in CACHES:
        cached.cache_clear()
    with TestClient(app) as client:
        yield client
    for cached in CACHES:
        cached.cache_clear()


@dataclass(frozen=True)
class Environment:
    """The app as AgentCore sees it, in one session, and what it leaves in the journal.

    :ivar job: a payload as the invoker sends it
    """

    client: TestClient
    reader: JournalReader
    session_id: str
    monkeypatch: pytest.MonkeyPatch
    job: dict[str, Any]

    def post(self, payload: object = None, *, content: str | bytes | None = None, session: str | None = "own") -> Any:
        """Invoke the agent in the test's session, or another, or none."""
        body = json.dumps(payload) if content is None else content
        headers = {} if session is None else {SESSION_HEADER: self.session_id if session == "own" else session}
        return self.client.post("/invocations", content=body, headers=headers)

    def ping(self) -> str:
        return self.client.get("/ping").json()["status"]

    def let_steps(self, work: Callable[[Step], Awaitable[str]]) -> None:
        async def run_step(step: Step, _message: str, _journal: StepJournal) -> Artifact:
            return Artifact(step.name, await work(step), Usage(1, 2))

        self.monkeypatch.setattr(dependencies, "run_step", run_step)

    @property
    def statuses(self) -> list[str]:
        return [event.status for event in self.reader.events(self.session_id)]

    @property
    def outcome(self) -> Event | None:
        return self.reader.outcome(self.session_id)

    def wait_for(self, status: str) -> None:
        wait_until(lambda: status in self.statuses, status)

    def wait_for_end(self) -> None:
        wait_until(lambda: self.outcome, "the run's outcome")

    def wait_until_idle(self) -> None:
        wait_until(lambda: self.ping() == "Healthy", "no background task runs")

    def shut_down(self) -> None:
        self.client.portal.call(running.shut_down)  # pyrefly: ignore[missing-attribute]


@pytest.fixture
def env(client: TestClient, reader: JournalReader, session_id: str, monkeypatch: pytest.MonkeyPatch) -> Environment:
    """The environment of a session."""
    job = job_payload({"prompt": "Why?"}, attempt=1, max_attempts=3, now=utc_now(), seconds_left=600)
    return Environment(client, reader, session_id, monkeypatch, job)


async def answer(step: Step) -> str:
    return f"what the {step.name} says"


async def hang(_step: Step) -> str:
    await asyncio.Event().wait()
    return ""


# Refusals


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("null", "payload is missing: it must be an object"),
        ("[]", "payload is a list: it must be an object"),
        ('"text"', "payload is 'text' (4 characters): it must be an object"),
        ("7", "payload is 7: it must be an object"),
        ("-1e400", "payload is -inf: it must be an object"),
        ("true", "payload is True: it must be an object"),
        ("{}", "maxAttempts is missing"),
        (
            json.dumps(job_payload({"prompt": "x", "workflow": "verfiy"}, 1, 3, utc_now(), 60)),
            "request.workflow is 'verfiy' (6 characters): it must be one of default, investigate",
        ),
        ('{"maxAttempts": 3, "request": {"prompt": "x"}, "attempt": true}', "attempt is True"),
        ('{"maxAttempts": 3, "request": "x"}', "request is 'x' (1 characters)"),
    ],
)
def test_what_is_no_job_is_refused_with_400_and_journalled_before_the_answer(
    body: str, message: str, env: Environment
) -> None:
    answered = env.post(content=body)
    assert answered.status_code == 400
    assert answered.json()["error"].startswith(message)
    [event] = env.reader.events(env.session_id)
    assert (event.status, event.error_type) == (Status.AGENT_RUNTIME_INVOKE_FAILED, "InvalidRequest")
    assert event.error_message == answered.json()["error"]
    assert event.environment_id == environment_id()
    assert env.ping() == "Healthy"


@pytest.mark.parametrize(
    "body",
    [
        "",
        "{",
        "no JSON",
        b"\xff\xfe",
        "[" * 100_000,
        '{"a":' * 100_000,
        "9" * 10_000,
        '{"prompt": "\ud800"}'.encode("utf-8", "surrogatepass"),
    ],
    ids=["empty", "cut off", "text", "no UTF-8", "deep list", "deep object", "huge number", "surrogate"],
)
def test_a_body_that_cannot_be_read_is_refused_with_400(body: str | bytes, env: Environment) -> None:
    answered = env.post(content=body)
    assert answered.status_code == 400
    assert answered.json()["error"]
    assert env.ping() == "Healthy"


@pytest.mark.parametrize("session", [None, "", "short", "a" * 101, "a" * 35 + "#"])
def test_a_job_without_a_usable_session_is_refused_and_not_journalled(
    session: str | None, env: Environment, dynamodb: "DynamoDBClient"
) -> None:
    answered = env.post(env.job, session=session)
    assert answered.status_code == 400
    assert answered.json()["error"].startswith("session_id is ")
    assert dynamodb.scan(TableName="journal")["Count"] == 0


def test_a_refusal_is_an_answer_even_when_it_cannot_be_journalled(env: Environment, dynamodb: "DynamoDBClient") -> None:
    writer = JournalWriter(dynamodb, "journal", ttl_days=1)
    writer.close(writer.stamp(env.session_id, Status.SESSION_CANCELLED))
    assert env.post([]).status_code == 400
    assert env.statuses == [Status.SESSION_CANCELLED]


# Acknowledgements


def test_a_job_is_acknowledged_and_worked_on_to_its_end(env: Environment) -> None:
    env.let_steps(answer)
    answered = env.post(env.job)
    assert answered.status_code == 200
    accepted = answered.json()["accepted"]
    assert utc_now() - from_timestamp(accepted.pop("now")) < timedelta(seconds=5)
    assert accepted == {"sessionId": env.session_id, "attempt": 1}
    env.wait_for_end()
    assert env.statuses == [
        "AGENT_BACKGROUND_TASK_STARTED",
        "TASK_ANALYST_STARTED",
        "TASK_ANALYST_COMPLETED",
        "TASK_REPORTER_STARTED",
        "TASK_REPORTER_COMPLETED",
        "AGENT_BACKGROUND_TASK_COMPLETED",
    ]
    env.wait_until_idle()
    assert dependencies.stores().artifacts.get(env.session_id, "reporter").text == "what the reporter says"


def test_an_attempt_that_is_acknowledged_again_has_one_clock(env: Environment) -> None:
    # The second invoker's clock is ten minutes ahead; the task that is at work keeps its own.
    first = from_timestamp(env.post(env.job).json()["accepted"]["now"])
    ahead = to_timestamp(utc_now() + timedelta(minutes=10))
    again = from_timestamp(env.post(env.job | {"now": ahead}).json()["accepted"]["now"])
    assert first <= again < first + timedelta(minutes=1)
    other = from_timestamp(env.post(env.job | {"now": ahead, "attempt": 2}).json()["accepted"]["now"])
    assert to_timestamp(other) >= ahead


def test_a_job_of_plain_code_needs_no_model(env: Environment) -> None:
    env.let_steps(hang)
    prompt = 'complete "quotes", \\backslashes and\nline breaks'
    env.post(env.job | {"request": {"prompt": prompt, "workflow": "verify"}})
    env.wait_for_end()
    found = env.statuses
    assert found[:3] == ["AGENT_BACKGROUND_TASK_STARTED", "TASK_PREPARE_STARTED", "TASK_BESIDE_STARTED"]
    assert sorted(found[3:5]) == ["TASK_BESIDE_COMPLETED", "TASK_PREPARE_COMPLETED"]
    assert found[5:] == ["TASK_WORK_STARTED", "TASK_WORK_COMPLETED", "AGENT_BACKGROUND_TASK_COMPLETED"]
    assert dependencies.stores().artifacts.get(env.session_id, "work").text == prompt
    assert "boto3 1." in dependencies.stores().artifacts.get(env.session_id, "prepare").text


@pytest.mark.slow
def test_plain_code_that_blocks_does_not_stop_the_heartbeats(env: Environment, monkeypatch: pytest.MonkeyPatch) -> None:
    released = threading.Event()

    async def block(_given: StepInput) -> str:
        released.wait(20)
        return "done"

    monkeypatch.setenv("LEASE_SECONDS", "4")
    dependencies.settings.cache_clear()
    monkeypatch.setitem(WORKFLOWS, "blocking", Workflow("blocking", (Step("block", work=block),)))
    env.post(env.job | {"request": {"prompt": "Why?", "workflow": "blocking"}})
    heartbeat = Status.AGENT_BACKGROUND_TASK_HEARTBEAT
    wait_until(lambda: env.statuses.count(heartbeat) > 1, "two heartbeats")
    released.set()
    env.wait_for_end()
    assert env.statuses[-1] == Status.AGENT_BACKGROUND_TASK_COMPLETED


def test_a_job_is_acknowledged_before_anything_is_built_or_written(
    env: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    acknowledged = threading.Event()
    in_time: list[bool] = []

    async def background_task(_job: Job, _clock: RunClock) -> Any:
        # Holds up the loop, as a slow import or a call of AWS would.
        in_time.append(acknowledged.wait(5))
        raise ConnectionAbortedError("enough seen")

    monkeypatch.setattr(dependencies, "background_task", background_task)
    assert env.post(env.job).status_code == 200
    acknowledged.set()
    env.wait_until_idle()
    assert in_time == [True]
    assert dependencies.journal.cache_info().currsize == 0
    assert dependencies.stores.cache_info().currsize == 0


def test_ping_says_busy_from_the_acknowledgement_to_the_end(env: Environment) -> None:
    assert env.ping() == "Healthy"
    env.let_steps(hang)
    env.post(env.job)
    assert env.ping() == "HealthyBusy"
    [task] = running._tasks
    task.get_loop().call_soon_threadsafe(task.cancel)
    env.wait_until_idle()
    wait_until(lambda: not running._tasks, "nothing refers to the task")


def test_a_running_task_is_not_collected(env: Environment, monkeypatch: pytest.MonkeyPatch) -> None:
    waiting = threading.Event()
    done: list[str] = []

    class Parked:
        closing = False

        async def run(self) -> None:
            # Nothing but the task refers to what it waits for.
            future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            waiting.set()
            try:
                await future
            finally:
                done.append("ended")

    async def background_task(_job: Job, _clock: RunClock) -> Any:
        return Parked()

    monkeypatch.setattr(dependencies, "background_task", background_task)
    env.post(env.job)
    assert waiting.wait(5)
    for _ in range(3):
        gc.collect()
        assert env.ping() == "HealthyBusy"
    assert done == []


def test_a_task_that_cannot_even_be_built_leaves_a_healthy_environment(
    env: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def background_task(_job: Job, _clock: RunClock) -> Any:
        raise RuntimeError("no clients today")

    with monkeypatch.context() as broken:
        broken.setattr(dependencies, "background_task", background_task)
        assert env.post(env.job).status_code == 200
        env.wait_until_idle()
    env.let_steps(answer)
    env.post(env.job)
    env.wait_for_end()


def test_two_jobs_of_one_attempt_in_one_environment_are_one_run(env: Environment) -> None:
    env.let_steps(answer)
    assert [env.post(env.job).status_code for _ in range(5)] == [200] * 5
    env.wait_for_end()
    env.wait_until_idle()
    assert env.statuses.count("AGENT_BACKGROUND_TASK_STARTED") == 1
    assert env.statuses.count("TASK_ANALYST_STARTED") == 1


# The loop and the threads


@pytest.mark.parametrize(
    "error", [StopIteration("odd"), KeyboardInterrupt("odd")], ids=lambda each: type(each).__name__
)
def test_what_a_thread_of_a_step_raises_ends_the_run_with_its_name(error: BaseException, env: Environment) -> None:
    def odd() -> str:
        raise error

    env.let_steps(lambda _: asyncio.to_thread(odd))
    env.post(env.job)
    env.wait_for_end()
    env.wait_until_idle()
    outcome = env.outcome
    assert outcome
    assert (outcome.error_type, outcome.error_message) == ("Escaped", f"raised {error!r}")


def test_a_slow_journal_does_not_stop_the_event_loop(
    env: Environment, dynamodb: "DynamoDBClient", monkeypatch: pytest.MonkeyPatch
) -> None:
    answered, asked = threading.Event(), threading.Event()

    def slow(_: str) -> Fault:
        asked.set()
        answered.wait(10)
        return None

    table = FaultyDynamoDB(dynamodb, slow)
    journal = JournalWriter(table.as_client(), "journal", ttl_days=1)
    monkeypatch.setattr(dependencies, "journal", lambda: journal)
    env.let_steps(answer)
    env.post(env.job)
    assert asked.wait(5)
    [task] = running._tasks
    ticks = asyncio.run_coroutine_threadsafe(longest_gap(ticks=20), task.get_loop()).result(5)
    answered.set()
    env.wait_until_idle()
    assert ticks < 0.5


async def longest_gap(ticks: int) -> float:
    """Return the longest time that a loop needed to come back to a task that sleeps 5 ms at a time."""
    loop, gaps = asyncio.get_running_loop(), list[float]()
    for _ in range(ticks):
        began = loop.time()
        await asyncio.sleep(0.005)
        gaps.append(loop.time() - began)
    return max(gaps)


# Shutdown


def test_an_environment_that_is_told_to_go_releases_its_lease(env: Environment) -> None:
    env.let_steps(hang)
    env.post(env.job)
    env.wait_for("TASK_ANALYST_STARTED")
    env.shut_down()
    *_, released = env.reader.events(env.session_id)
    assert released.lease_expires_at == released.created_at
    assert (released.detail or {})["running"] == ["analyst"]
    assert env.outcome is None
    assert env.ping() == "Healthy"


def test_an_environment_that_is_told_to_go_before_it_has_built_a_task_gives_the_attempt_back(
    env: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(entrypoint, "ACKNOWLEDGEMENT_SECONDS", 60)
    env.post(env.job)
    env.shut_down()
    [released] = env.reader.events(env.session_id)
    assert released.detail == {"released": "the environment is shutting down", "unclaimed": True}
    assert env.ping() == "Healthy"


def test_an_environment_hesitates_to_claim_another_attempt_of_a_session_that_it_has_worked_on(env: Environment) -> None:
    env.let_steps(hang)
    env.post(env.job)
    env.wait_for("TASK_ANALYST_STARTED")
    # Its environment is told to go, and gets the next attempt before it does.
    assert env.post(env.job | {"attempt": 2}).status_code == 200
    # Time enough for a claim.
    loop = next(iter(running._tasks)).get_loop()
    asyncio.run_coroutine_threadsafe(longest_gap(ticks=60), loop).result(5)
    env.shut_down()
    released = {event.attempt: event.detail for event in env.reader.events(env.session_id) if event.detail}
    said = {"released": "the environment is shutting down"}
    assert released == {1: said | {"running": ["analyst"]}, 2: said | {"unclaimed": True}}
    assert env.statuses.count("AGENT_BACKGROUND_TASK_STARTED") == 1


def test_an_environment_that_is_not_told_to_go_works_on_another_attempt_after_a_while(
    env: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(entrypoint, "HESITATION_SECONDS", 0.1)
    env.let_steps(hang)
    env.post(env.job)
    env.wait_for("TASK_ANALYST_STARTED")
    env.let_steps(answer)
    env.post(env.job | {"attempt": 2})
    env.wait_for_end()
    started = [event for event in env.reader.events(env.session_id) if event.status == "AGENT_BACKGROUND_TASK_STARTED"]
    assert [event.attempt for event in started] == [1, 2]


def test_an_environment_that_is_told_to_go_finishes_closing_a_run(
    env: Environment, dynamodb: "DynamoDBClient", monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, told_to_go = threading.Event(), threading.Event()

    def slow_to_close(status: str) -> Fault:
        if status == Status.AGENT_BACKGROUND_TASK_COMPLETED:
            asked.set()
            told_to_go.wait(5)
        return None

    table = FaultyDynamoDB(dynamodb, slow_to_close)
    journal = JournalWriter(table.as_client(), "journal", ttl_days=1)
    monkeypatch.setattr(dependencies, "journal", lambda: journal)
    env.let_steps(answer)
    env.post(env.job)
    assert asked.wait(5)
    threading.Timer(0.05, told_to_go.set).start()
    env.shut_down()
    assert env.statuses[-1] == Status.AGENT_BACKGROUND_TASK_COMPLETED
    assert env.outcome


def test_an_environment_without_work_goes_at_once(env: Environment) -> None:
    env.shut_down()


def test_an_environment_without_its_settings_does_not_start(
    dynamodb: "DynamoDBClient", monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in ENVIRON.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("ARTIFACT_BUCKET")
    dependencies.settings.cache_clear()
    with pytest.raises(KeyError, match="ARTIFACT_BUCKET"), TestClient(app):
        pass
