"""The real app through its ASGI interface: journal and artifacts are moto's, the steps' models scripted."""

import asyncio
import gc
import json
import threading
from collections.abc import Awaitable, Callable, Iterator
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
Post = Callable[..., Any]


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


@pytest.fixture
def job() -> dict[str, Any]:
    """A payload as the invoker sends it."""
    return job_payload({"prompt": "Why?"}, attempt=1, max_attempts=3, now=utc_now(), seconds_left=600)


@pytest.fixture
def post(client: TestClient, session_id: str) -> Post:
    """Invoke the agent in the test's session."""

    def invoke(payload: object = None, *, content: str | bytes | None = None, session: str | None = session_id) -> Any:
        body = json.dumps(payload) if content is None else content
        headers = {SESSION_HEADER: session} if session is not None else {}
        return client.post("/invocations", content=body, headers=headers)

    return invoke


def ping(client: TestClient) -> str:
    return client.get("/ping").json()["status"]


def wait_until_idle(client: TestClient) -> None:
    wait_until(lambda: ping(client) == "Healthy", "no background task runs")


def let_steps(monkeypatch: pytest.MonkeyPatch, work: Callable[[Step], Awaitable[str]]) -> None:
    async def run_step(step: Step, _message: str, _journal: StepJournal) -> Artifact:
        return Artifact(step.name, await work(step), Usage(1, 2))

    monkeypatch.setattr(dependencies, "run_step", run_step)


async def answer(step: Step) -> str:
    return f"what the {step.name} says"


async def hang(_step: Step) -> str:
    await asyncio.Event().wait()
    return ""


def statuses(reader: JournalReader, session_id: str) -> list[str]:
    return [event.status for event in reader.events(session_id)]


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
    body: str, message: str, post: Post, client: TestClient, reader: JournalReader, session_id: str
) -> None:
    answered = post(content=body)
    assert answered.status_code == 400
    assert answered.json()["error"].startswith(message)
    [event] = reader.events(session_id)
    assert (event.status, event.error_type) == (Status.AGENT_RUNTIME_INVOKE_FAILED, "InvalidRequest")
    assert event.error_message == answered.json()["error"]
    assert event.environment_id == environment_id()
    assert ping(client) == "Healthy"


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
def test_a_body_that_cannot_be_read_is_refused_with_400(body: str | bytes, post: Post, client: TestClient) -> None:
    answered = post(content=body)
    assert answered.status_code == 400
    assert answered.json()["error"]
    assert ping(client) == "Healthy"


@pytest.mark.parametrize("session", [None, "", "short", "a" * 101, "a" * 35 + "#"])
def test_a_job_without_a_usable_session_is_refused_and_not_journalled(
    session: str | None, post: Post, job: dict[str, Any], dynamodb: "DynamoDBClient"
) -> None:
    answered = post(job, session=session)
    assert answered.status_code == 400
    assert answered.json()["error"].startswith("session_id is ")
    assert dynamodb.scan(TableName="journal")["Count"] == 0


def test_a_refusal_is_an_answer_even_when_it_cannot_be_journalled(
    post: Post, dynamodb: "DynamoDBClient", monkeypatch: pytest.MonkeyPatch, session_id: str, reader: JournalReader
) -> None:
    writer = JournalWriter(dynamodb, "journal", ttl_days=1)
    writer.close(writer.stamp(session_id, Status.SESSION_CANCELLED))
    assert post([]).status_code == 400
    assert statuses(reader, session_id) == [Status.SESSION_CANCELLED]


# Acknowledgements


def test_a_job_is_acknowledged_and_worked_on_to_its_end(
    post: Post,
    job: dict[str, Any],
    client: TestClient,
    reader: JournalReader,
    session_id: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    let_steps(monkeypatch, answer)
    answered = post(job)
    assert answered.status_code == 200
    accepted = answered.json()["accepted"]
    assert utc_now() - from_timestamp(accepted.pop("now")) < timedelta(seconds=5)
    assert accepted == {"sessionId": session_id, "attempt": 1}
    wait_until(lambda: reader.outcome(session_id), "the run has its outcome")
    assert statuses(reader, session_id) == [
        "AGENT_BACKGROUND_TASK_STARTED",
        "TASK_ANALYST_STARTED",
        "TASK_ANALYST_COMPLETED",
        "TASK_REPORTER_STARTED",
        "TASK_REPORTER_COMPLETED",
        "AGENT_BACKGROUND_TASK_COMPLETED",
    ]
    wait_until_idle(client)
    assert dependencies.stores().artifacts.get(session_id, "reporter").text == "what the reporter says"


def test_an_attempt_that_is_acknowledged_again_has_one_clock(post: Post, job: dict[str, Any]) -> None:
    # The second invoker's clock is ten minutes ahead; the task that is at work keeps its own.
    first = from_timestamp(post(job).json()["accepted"]["now"])
    ahead = to_timestamp(utc_now() + timedelta(minutes=10))
    again = from_timestamp(post(job | {"now": ahead}).json()["accepted"]["now"])
    assert first <= again < first + timedelta(minutes=1)
    other = from_timestamp(post(job | {"now": ahead, "attempt": 2}).json()["accepted"]["now"])
    assert to_timestamp(other) >= ahead


def test_a_job_of_plain_code_needs_no_model(
    post: Post, job: dict[str, Any], reader: JournalReader, session_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    let_steps(monkeypatch, hang)
    prompt = 'complete "quotes", \\backslashes and\nline breaks'
    post(job | {"request": {"prompt": prompt, "workflow": "verify"}})
    wait_until(lambda: reader.outcome(session_id), "the run has its outcome")
    found = statuses(reader, session_id)
    assert found[:3] == ["AGENT_BACKGROUND_TASK_STARTED", "TASK_PREPARE_STARTED", "TASK_BESIDE_STARTED"]
    assert sorted(found[3:5]) == ["TASK_BESIDE_COMPLETED", "TASK_PREPARE_COMPLETED"]
    assert found[5:] == ["TASK_WORK_STARTED", "TASK_WORK_COMPLETED", "AGENT_BACKGROUND_TASK_COMPLETED"]
    assert dependencies.stores().artifacts.get(session_id, "work").text == prompt
    assert "boto3 1." in dependencies.stores().artifacts.get(session_id, "prepare").text


def test_plain_code_that_blocks_does_not_stop_the_heartbeats(
    post: Post, job: dict[str, Any], reader: JournalReader, session_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    released = threading.Event()

    async def block(_given: StepInput) -> str:
        released.wait(20)
        return "done"

    monkeypatch.setenv("LEASE_SECONDS", "4")
    dependencies.settings.cache_clear()
    monkeypatch.setitem(WORKFLOWS, "blocking", Workflow("blocking", (Step("block", work=block),)))
    post(job | {"request": {"prompt": "Why?", "workflow": "blocking"}})
    heartbeat = Status.AGENT_BACKGROUND_TASK_HEARTBEAT
    wait_until(lambda: statuses(reader, session_id).count(heartbeat) > 1, "two heartbeats")
    released.set()
    wait_until(lambda: reader.outcome(session_id), "the run has its outcome")
    assert statuses(reader, session_id)[-1] == Status.AGENT_BACKGROUND_TASK_COMPLETED


def test_a_job_is_acknowledged_before_anything_is_built_or_written(
    post: Post, job: dict[str, Any], client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    acknowledged = threading.Event()
    in_time: list[bool] = []

    async def background_task(_job: Job, _clock: RunClock) -> Any:
        # Holds up the loop, as a slow import or a call of AWS would.
        in_time.append(acknowledged.wait(5))
        raise ConnectionAbortedError("enough seen")

    monkeypatch.setattr(dependencies, "background_task", background_task)
    assert post(job).status_code == 200
    acknowledged.set()
    wait_until_idle(client)
    assert in_time == [True]
    assert dependencies.journal.cache_info().currsize == 0
    assert dependencies.stores.cache_info().currsize == 0


def test_ping_says_busy_from_the_acknowledgement_to_the_end(
    post: Post, job: dict[str, Any], client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert ping(client) == "Healthy"
    let_steps(monkeypatch, hang)
    post(job)
    assert ping(client) == "HealthyBusy"
    [task] = running._tasks
    task.get_loop().call_soon_threadsafe(task.cancel)
    wait_until_idle(client)
    wait_until(lambda: not running._tasks, "nothing refers to the task")


def test_a_running_task_is_not_collected(
    post: Post, job: dict[str, Any], client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
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
    post(job)
    assert waiting.wait(5)
    for _ in range(3):
        gc.collect()
        assert ping(client) == "HealthyBusy"
    assert done == []


def test_a_task_that_cannot_even_be_built_leaves_a_healthy_environment(
    post: Post,
    job: dict[str, Any],
    client: TestClient,
    monkeypatch: pytest.MonkeyPatch,
    reader: JournalReader,
    session_id: str,
) -> None:
    async def background_task(_job: Job, _clock: RunClock) -> Any:
        raise RuntimeError("no clients today")

    with monkeypatch.context() as broken:
        broken.setattr(dependencies, "background_task", background_task)
        assert post(job).status_code == 200
        wait_until_idle(client)
    let_steps(monkeypatch, answer)
    post(job)
    wait_until(lambda: reader.outcome(session_id), "the next task works")


def test_two_jobs_of_one_attempt_in_one_environment_are_one_run(
    post: Post,
    job: dict[str, Any],
    client: TestClient,
    reader: JournalReader,
    session_id: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    let_steps(monkeypatch, answer)
    assert [post(job).status_code for _ in range(5)] == [200] * 5
    wait_until(lambda: reader.outcome(session_id), "the run has its outcome")
    wait_until_idle(client)
    assert statuses(reader, session_id).count("AGENT_BACKGROUND_TASK_STARTED") == 1
    assert statuses(reader, session_id).count("TASK_ANALYST_STARTED") == 1


# The loop and the threads


@pytest.mark.parametrize(
    "error", [StopIteration("odd"), KeyboardInterrupt("odd")], ids=lambda each: type(each).__name__
)
def test_what_a_thread_of_a_step_raises_ends_the_run_with_its_name(
    error: BaseException,
    post: Post,
    job: dict[str, Any],
    client: TestClient,
    reader: JournalReader,
    session_id: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def odd() -> str:
        raise error

    let_steps(monkeypatch, lambda _: asyncio.to_thread(odd))
    post(job)
    wait_until(lambda: reader.outcome(session_id), "the run has its outcome")
    wait_until_idle(client)
    outcome = reader.outcome(session_id)
    assert outcome
    assert (outcome.error_type, outcome.error_message) == ("Escaped", f"raised {error!r}")


def test_a_slow_journal_does_not_stop_the_event_loop(
    post: Post, job: dict[str, Any], client: TestClient, dynamodb: "DynamoDBClient", monkeypatch: pytest.MonkeyPatch
) -> None:
    answered, asked = threading.Event(), threading.Event()

    def slow(_: str) -> Fault:
        asked.set()
        answered.wait(10)
        return None

    table = FaultyDynamoDB(dynamodb, slow)
    journal = JournalWriter(table.as_client(), "journal", ttl_days=1)
    monkeypatch.setattr(dependencies, "journal", lambda: journal)
    let_steps(monkeypatch, answer)
    post(job)
    assert asked.wait(5)
    [task] = running._tasks
    ticks = asyncio.run_coroutine_threadsafe(longest_gap(ticks=20), task.get_loop()).result(5)
    answered.set()
    wait_until_idle(client)
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


def test_an_environment_that_is_told_to_go_releases_its_lease(
    post: Post,
    job: dict[str, Any],
    client: TestClient,
    reader: JournalReader,
    session_id: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    let_steps(monkeypatch, hang)
    post(job)
    wait_until(lambda: "TASK_ANALYST_STARTED" in statuses(reader, session_id), "the first step runs")
    client.portal.call(running.shut_down)  # pyrefly: ignore[missing-attribute]
    *_, released = reader.events(session_id)
    assert released.lease_expires_at == released.created_at
    assert (released.detail or {})["running"] == ["analyst"]
    assert reader.outcome(session_id) is None
    assert ping(client) == "Healthy"


def test_an_environment_that_is_told_to_go_before_it_has_built_a_task_gives_the_attempt_back(
    post: Post,
    job: dict[str, Any],
    client: TestClient,
    reader: JournalReader,
    session_id: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(entrypoint, "ACKNOWLEDGEMENT_SECONDS", 60)
    post(job)
    client.portal.call(running.shut_down)  # pyrefly: ignore[missing-attribute]
    [released] = reader.events(session_id)
    assert released.detail == {"released": "the environment is shutting down", "unclaimed": True}
    assert ping(client) == "Healthy"


def test_an_environment_hesitates_to_claim_another_attempt_of_a_session_that_it_has_worked_on(
    post: Post,
    job: dict[str, Any],
    client: TestClient,
    reader: JournalReader,
    session_id: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    let_steps(monkeypatch, hang)
    post(job)
    wait_until(lambda: "TASK_ANALYST_STARTED" in statuses(reader, session_id), "the first step runs")
    # Its environment is told to go, and gets the next attempt before it does.
    assert post(job | {"attempt": 2}).status_code == 200
    # Time enough for a claim.
    loop = next(iter(running._tasks)).get_loop()
    asyncio.run_coroutine_threadsafe(longest_gap(ticks=60), loop).result(5)
    client.portal.call(running.shut_down)  # pyrefly: ignore[missing-attribute]
    released = {event.attempt: event.detail for event in reader.events(session_id) if event.detail}
    said = {"released": "the environment is shutting down"}
    assert released == {1: said | {"running": ["analyst"]}, 2: said | {"unclaimed": True}}
    assert statuses(reader, session_id).count("AGENT_BACKGROUND_TASK_STARTED") == 1


def test_an_environment_that_is_not_told_to_go_works_on_another_attempt_after_a_while(
    post: Post,
    job: dict[str, Any],
    reader: JournalReader,
    session_id: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(entrypoint, "HESITATION_SECONDS", 0.1)
    let_steps(monkeypatch, hang)
    post(job)
    wait_until(lambda: "TASK_ANALYST_STARTED" in statuses(reader, session_id), "the first step runs")
    let_steps(monkeypatch, answer)
    post(job | {"attempt": 2})
    wait_until(lambda: reader.outcome(session_id), "the run has its outcome")
    started = [event for event in reader.events(session_id) if event.status == "AGENT_BACKGROUND_TASK_STARTED"]
    assert [event.attempt for event in started] == [1, 2]


def test_an_environment_that_is_told_to_go_finishes_closing_a_run(
    post: Post,
    job: dict[str, Any],
    client: TestClient,
    reader: JournalReader,
    dynamodb: "DynamoDBClient",
    session_id: str,
    monkeypatch: pytest.MonkeyPatch,
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
    let_steps(monkeypatch, answer)
    post(job)
    assert asked.wait(5)
    threading.Timer(0.05, told_to_go.set).start()
    client.portal.call(running.shut_down)  # pyrefly: ignore[missing-attribute]
    assert statuses(reader, session_id)[-1] == Status.AGENT_BACKGROUND_TASK_COMPLETED
    assert reader.outcome(session_id)


def test_an_environment_without_work_goes_at_once(client: TestClient) -> None:
    client.portal.call(running.shut_down)  # pyrefly: ignore[missing-attribute]


def test_an_environment_without_its_settings_does_not_start(
    dynamodb: "DynamoDBClient", monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in ENVIRON.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("ARTIFACT_BUCKET")
    dependencies.settings.cache_clear()
    with pytest.raises(KeyError, match="ARTIFACT_BUCKET"), TestClient(app):
        pass
