import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from botocore.response import StreamingBody

from runtime.invoker.errors import AgentUnavailable, RunTimedOut
from runtime.invoker.invocation import SUCCESS_WRITE_SECONDS, Invoker
from runtime.journal.errors import JournalDenied, JournalUnavailable, RunClosed
from runtime.journal.reader import JournalReader
from runtime.journal.timestamps import to_timestamp
from runtime.journal.vocabulary import Status
from tests.runtime.invoker.conftest import NOW, RUNTIME_ARN
from tests.support.faulty_dynamodb import FaultyDynamoDB, LostAnswer, client_error, first, throttled, timed_out
from tests.support.http_server import HttpServer, Reply

if TYPE_CHECKING:
    from mypy_boto3_bedrock_agentcore import BedrockAgentCoreClient

STARTED, SUCCEEDED, FAILED = (
    Status.AGENT_INVOCATION_STARTED,
    Status.AGENT_INVOCATION_SUCCEEDED,
    Status.AGENT_INVOCATION_FAILED,
)
TRACE = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1"


def statuses(reader: JournalReader, session_id: str) -> list[str]:
    return [event.status for event in reader.events(session_id)]


def job_in(agentcore: HttpServer) -> dict[str, Any]:
    [request] = agentcore.requests
    return json.loads(request.body)


def test_a_start_is_journalled_before_and_after_the_agent_acknowledged_it(
    invoker: Invoker, payload: dict[str, Any], reader: JournalReader, session_id: str
) -> None:
    result = invoker.start(payload)
    started, succeeded = reader.events(session_id)
    assert (started.status, started.attempt, started.lease_expires_at) == (STARTED, 1, None)
    assert (succeeded.status, succeeded.attempt) == (SUCCEEDED, 1)
    assert succeeded.lease_expires_at == NOW + timedelta(seconds=120)
    assert succeeded.detail is not None
    assert succeeded.detail["deadline"] == to_timestamp(NOW + timedelta(seconds=3600))
    assert result["secondsLeft"] == 3600
    assert 0 < succeeded.detail["acknowledgeSeconds"] < 5
    assert result["acknowledgeSeconds"] == pytest.approx(succeeded.detail["acknowledgeSeconds"], abs=1e-4)


def test_the_agent_gets_the_attempt_its_limits_and_the_request(
    invoker: Invoker, payload: dict[str, Any], agentcore: HttpServer, session_id: str
) -> None:
    invoker.start(payload | {"attempt": 2})
    assert job_in(agentcore) == {
        "attempt": 2,
        "maxAttempts": 3,
        "now": to_timestamp(NOW),
        "secondsLeft": 3600,
        "request": payload["request"],
    }
    [request] = agentcore.requests
    assert request.path == f"/runtimes/{RUNTIME_ARN.replace(':', '%3A').replace('/', '%2F')}/invocations?qualifier=live"
    assert request.headers["x-amzn-bedrock-agentcore-runtime-session-id"] == session_id
    assert request.headers["content-type"] == "application/json"


def test_a_later_attempt_has_the_time_that_is_left(
    invoker: Invoker, payload: dict[str, Any], agentcore: HttpServer, reader: JournalReader, session_id: str
) -> None:
    assert invoker.start(payload | {"attempt": 2, "secondsLeft": 1.5})["secondsLeft"] == 1.5
    assert job_in(agentcore)["secondsLeft"] == 1.5
    *_, succeeded = reader.events(session_id)
    assert succeeded.detail
    assert succeeded.detail["deadline"] == to_timestamp(NOW + timedelta(seconds=1.5))


def test_what_an_attempt_writes_is_later_than_what_the_journal_had_whoever_stamped_that(
    invoker: Invoker, payload: dict[str, Any], agentcore: HttpServer, reader: JournalReader, session_id: str
) -> None:
    after = NOW + timedelta(minutes=5)
    invoker.start(payload | {"attempt": 2, "secondsLeft": 60, "after": to_timestamp(after)})
    assert job_in(agentcore)["now"] == to_timestamp(after + timedelta(milliseconds=1))
    assert min(event.created_at for event in reader.events(session_id)) > after


@pytest.mark.parametrize(
    ("answer", "now"),
    [(b'{"accepted": {"now": "2026-11-22T21:00:00.500Z"}}', "2026-11-22T21:00:00.500Z"), (b"[]", to_timestamp(NOW))],
    ids=["its clock", "no time"],
)
def test_the_machine_is_told_the_agents_clock_or_else_the_invokers(
    answer: bytes, now: str, invoker: Invoker, payload: dict[str, Any], agentcore: HttpServer
) -> None:
    agentcore.queue(Reply(200, answer, {"Content-Type": "application/json"}))
    assert invoker.start(payload)["now"] == now


def test_the_whole_trace_header_goes_along(invoker: Invoker, payload: dict[str, Any], agentcore: HttpServer) -> None:
    invoker.start(payload, TRACE)
    assert agentcore.requests[0].headers["x-amzn-trace-id"] == TRACE


@pytest.mark.parametrize("trace", [None, ""])
def test_a_run_without_a_trace_starts_all_the_same(
    trace: str | None, invoker: Invoker, payload: dict[str, Any], agentcore: HttpServer
) -> None:
    invoker.start(payload, trace)
    assert "x-amzn-trace-id" not in agentcore.requests[0].headers


LINEAGE = ";Lineage=" + ":".join(f"{hop:08x}/1" for hop in range(5))


@pytest.mark.parametrize(
    ("header", "sent"),
    [
        (f"{TRACE};Lineage={'x' * (128 - len(TRACE) - 9)}", f"{TRACE};Lineage={'x' * (128 - len(TRACE) - 9)}"),
        (f"{TRACE}{LINEAGE}:00", TRACE),
        (f"Lineage={'x' * 100};{TRACE}", TRACE),
        ("x" * 129, "x" * 128),
    ],
    ids=["128 characters", "lineage at its end", "lineage at its beginning", "no trace at all"],
)
def test_a_trace_header_is_sent_without_its_lineage_where_that_makes_it_too_long(
    header: str,
    sent: str,
    invoker: Invoker,
    payload: dict[str, Any],
    agentcore: HttpServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # As in Lambda, where botocore sends the whole header with each call that has none of its own.
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_NAME", "invoker")
    monkeypatch.setenv("_X_AMZN_TRACE_ID", header)
    assert len(TRACE) == 74
    invoker.start(payload, header)
    assert agentcore.requests[0].headers["x-amzn-trace-id"] == sent


def test_the_answer_is_read_to_its_end_and_closed(
    invoker: Invoker, payload: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    used: list[str] = []
    for name in ("read", "close"):
        original = getattr(StreamingBody, name)

        def spy(body: StreamingBody, *args: Any, name: str = name, original: Any = original) -> Any:
            used.append(name)
            return original(body, *args)

        monkeypatch.setattr(StreamingBody, name, spy)
    invoker.start(payload)
    assert used == ["read", "close"]


def test_an_answer_that_breaks_off_is_worth_another_try_and_journalled(
    invoker: Invoker, payload: dict[str, Any], agentcore: HttpServer, reader: JournalReader, session_id: str
) -> None:
    agentcore.queue(Reply(200, b'{"accepted"', {"Content-Type": "application/json"}, cut_short=True))
    with pytest.raises(AgentUnavailable):
        invoker.start(payload)
    assert statuses(reader, session_id) == [STARTED, FAILED]


ERROR_ANSWERS = [
    (402, "ServiceQuotaExceededException", "maxVms limit exceeded", "AgentThrottled"),
    (409, "RetryableConflictException", "being provisioned", "SessionInTransition"),
    (424, "RuntimeClientError", "Received error (400) from runtime.", "AgentRefused"),
    (424, "RuntimeClientError", "Received error (500) from runtime.", "AgentUnavailable"),
    (429, "ThrottlingException", "Rate exceeded", "AgentThrottled"),
    (500, "InternalServerException", "internal", "AgentUnavailable"),
    (503, "ServiceUnavailableException", "unavailable", "AgentUnavailable"),
    (504, "GatewayTimeout", "timeout", "AgentUnavailable"),
    (400, "ValidationException", "invalid", "AgentCallDenied"),
    (403, "AccessDeniedException", "not authorized", "AgentCallDenied"),
    (404, "ResourceNotFoundException", "no such runtime", "AgentCallDenied"),
]


@pytest.mark.parametrize(("status", "code", "message", "error_type"), ERROR_ANSWERS)
def test_a_failed_call_is_made_once_journalled_once_and_raised_as_what_it_means(
    status: int,
    code: str,
    message: str,
    error_type: str,
    invoker: Invoker,
    payload: dict[str, Any],
    agentcore: HttpServer,
    reader: JournalReader,
    session_id: str,
) -> None:
    body = json.dumps({"message": message}).encode()
    agentcore.queue(Reply(status, body, {"Content-Type": "application/json", "x-amzn-ErrorType": code}))
    with pytest.raises(Exception, match=message.replace("(", r"\(").replace(")", r"\)")) as raised:
        invoker.start(payload)
    assert type(raised.value).__name__ == error_type
    assert len(agentcore.requests) == 1
    started, failed = reader.events(session_id)
    assert (started.status, failed.status, failed.attempt) == (STARTED, FAILED, 1)
    assert (failed.error_type, failed.error_message) == (error_type, str(raised.value))
    assert failed.lease_expires_at is None


def test_a_call_that_is_not_answered_is_sent_once_and_worth_another_try(
    invoker: Invoker, payload: dict[str, Any], agentcore: HttpServer, reader: JournalReader, session_id: str
) -> None:
    set_read_timeout(invoker.agentcore, 0.1)
    try:
        agentcore.queue(Reply(hangs=True))
        with pytest.raises(AgentUnavailable, match="Read timeout"):
            invoker.start(payload)
    finally:
        set_read_timeout(invoker.agentcore, 60)
    assert len(agentcore.requests) == 1
    assert statuses(reader, session_id) == [STARTED, FAILED]


def set_read_timeout(client: "BedrockAgentCoreClient", seconds: float) -> None:
    """Change how long a client waits, which botocore fixes when it builds one."""
    session: Any = client._endpoint.http_session  # pyrefly: ignore[missing-attribute]
    session._timeout = seconds
    session._manager.clear()
    session._manager.connection_pool_kw["timeout"] = seconds


def test_a_long_error_is_cut_to_2_kb_in_the_journal(
    invoker: Invoker, payload: dict[str, Any], agentcore: HttpServer, reader: JournalReader, session_id: str
) -> None:
    body = json.dumps({"message": "x" * 10_000}).encode()
    agentcore.queue(Reply(500, body, {"Content-Type": "application/json"}))
    with pytest.raises(AgentUnavailable):
        invoker.start(payload)
    *_, failed = reader.events(session_id)
    assert len(failed.error_message or "") == 2048


def test_each_try_of_a_throttled_start_is_in_the_journal(
    invoker: Invoker, payload: dict[str, Any], agentcore: HttpServer, reader: JournalReader, session_id: str
) -> None:
    agentcore.queue(Reply(429), Reply(429))
    for _ in range(2):
        with pytest.raises(Exception, match="429"):
            invoker.start(payload)
    invoker.start(payload)
    assert statuses(reader, session_id) == [STARTED, FAILED, STARTED, FAILED, STARTED, SUCCEEDED]


def test_nothing_is_started_while_the_journal_cannot_be_written(
    invoker: Invoker, payload: dict[str, Any], agentcore: HttpServer, table: FaultyDynamoDB
) -> None:
    table.decide = first(1, timed_out)
    with pytest.raises(JournalUnavailable):
        invoker.start(payload)
    assert agentcore.requests == []
    assert table.tried == [STARTED]


def test_nothing_is_started_by_a_function_that_may_not_write_the_journal(
    invoker: Invoker, payload: dict[str, Any], agentcore: HttpServer, table: FaultyDynamoDB
) -> None:
    table.decide = first(1, lambda: client_error("AccessDeniedException", 400))
    with pytest.raises(JournalDenied, match="AccessDeniedException"):
        invoker.start(payload)
    assert agentcore.requests == []


def test_nothing_is_started_for_a_run_that_has_its_outcome(
    invoker: Invoker, payload: dict[str, Any], agentcore: HttpServer, reader: JournalReader, session_id: str
) -> None:
    invoker.journal.close(invoker.journal.stamp(session_id, Status.SESSION_CANCELLED))
    with pytest.raises(RunClosed):
        invoker.start(payload)
    assert agentcore.requests == []
    assert statuses(reader, session_id) == [Status.SESSION_CANCELLED]


@pytest.mark.parametrize("seconds_late", [0, 1, 86_400])
def test_nothing_is_started_after_the_deadline(
    seconds_late: int,
    invoker: Invoker,
    payload: dict[str, Any],
    agentcore: HttpServer,
    reader: JournalReader,
    session_id: str,
) -> None:
    with pytest.raises(RunTimedOut, match=f"the run's deadline passed {seconds_late} s before this attempt"):
        invoker.start(payload | {"secondsLeft": -seconds_late, "attempt": 2})
    assert agentcore.requests == []
    *_, failed = reader.events(session_id)
    assert (failed.status, failed.error_type) == (FAILED, "RunTimedOut")


@pytest.mark.parametrize("fault", [timed_out, throttled, LostAnswer], ids=lambda fault: fault.__name__)
def test_the_event_of_a_success_is_tried_again_until_it_is_written_once(
    fault: Any,
    invoker: Invoker,
    payload: dict[str, Any],
    agentcore: HttpServer,
    table: FaultyDynamoDB,
    pauses: list[float],
    reader: JournalReader,
    session_id: str,
) -> None:
    table.decide = first(3, fault, of=SUCCEEDED)
    invoker.start(payload)
    assert len(agentcore.requests) == 1
    assert statuses(reader, session_id) == [STARTED, SUCCEEDED]
    # A lost answer's second try finds its own event there.
    assert pauses in ([0.1, 0.2, 0.4], [0.1])


def test_a_started_agent_is_never_journalled_as_failed(
    invoker: Invoker,
    payload: dict[str, Any],
    table: FaultyDynamoDB,
    reader: JournalReader,
    session_id: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = iter(range(1000))
    monkeypatch.setattr("runtime.invoker.invocation.time.monotonic", lambda: float(next(clock)))
    table.decide = first(1000, timed_out, of=SUCCEEDED)
    result = invoker.start(payload)
    assert result["secondsLeft"] == 3600
    assert statuses(reader, session_id) == [STARTED]
    assert FAILED not in table.tried
    assert 2 <= len(table.tried) <= SUCCESS_WRITE_SECONDS


def test_a_failure_that_cannot_be_journalled_is_raised_as_what_it_is(
    invoker: Invoker, payload: dict[str, Any], agentcore: HttpServer, table: FaultyDynamoDB
) -> None:
    table.decide = first(1, timed_out, of=FAILED)
    agentcore.queue(Reply(429))
    with pytest.raises(Exception, match="429") as raised:
        invoker.start(payload)
    assert type(raised.value).__name__ == "AgentThrottled"
