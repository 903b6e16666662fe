import json
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.contract.errors import InvalidRequest
from runtime.contract.job import Job, acknowledged_at, acknowledgement, job_payload, parse_job
from runtime.contract.request import RunRequest, StepSource
from runtime.contract.segment import Segment

SESSION = "6a7e8feb-b491-4cf7-a9f1-bf3703467718"
NOW = datetime(2026, 11, 22, 20, 21, 26, 123_000, UTC)
REQUEST = {"prompt": "Why?", "takeFrom": [{"session": SESSION, "steps": ["analyst"]}]}
PAYLOAD = job_payload(REQUEST, attempt=2, max_attempts=3, now=NOW, seconds_left=3600)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


def test_a_job_is_read_from_what_the_invoker_sends_and_acknowledged_with_the_agents_clock() -> None:
    job = parse_job(json.loads(json.dumps(PAYLOAD)), SESSION)
    request = RunRequest("Why?", take_from=(StepSource(SESSION, ("analyst",)),))
    assert job == Job(SESSION, request, attempt=2, segment=Segment(3), now=NOW, seconds_left=3600.0)
    assert acknowledged_at(json.dumps(acknowledgement(job, NOW)).encode()) == "2026-11-22T20:21:26.123Z"


@pytest.mark.parametrize(
    "answer",
    [b'{"accepted": {"now": "soon"}}', b'{"accepted": []}', b"\xff", b"[" * 20_000],
    ids=["no time", "nothing", "no text", "deep"],
)
def test_an_answer_that_tells_no_time_has_none(answer: bytes) -> None:
    assert acknowledged_at(answer) is None


@pytest.mark.parametrize(
    ("payload", "message"),
    [
        (None, "payload is missing: it must be an object"),
        ("text", "payload is 'text' (4 characters): it must be an object"),
        ([PAYLOAD], "payload is a list: it must be an object"),
        (7, "payload is 7: it must be an object"),
        (1.5, "payload is 1.5: it must be an object"),
        (True, "payload is True: it must be an object"),
        ({}, "maxAttempts is missing: it must be a whole number from 1 to 10"),
        (PAYLOAD | {"maxAttempts": 11}, "maxAttempts is 11"),
        (PAYLOAD | {"attempt": 4}, "attempt is 4: it must be a whole number from 1 to 3"),
        (PAYLOAD | {"now": None}, "now is missing: it must be a timestamp"),
        (PAYLOAD | {"secondsLeft": None}, "secondsLeft is missing: it must be a number of seconds"),
        (PAYLOAD | {"request": {}}, "request.prompt is missing"),
    ],
    ids=lambda value: value[:40] if isinstance(value, str) else "",
)
def test_a_payload_that_is_no_job_is_refused_in_one_sentence(payload: object, message: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        parse_job(payload, SESSION)
    assert str(refused.value).startswith(message)
    assert ": it must be " in str(refused.value)


@pytest.mark.parametrize("session_id", [None, "", "short", "a" * 101, "../" * 12])
def test_a_job_without_a_usable_session_is_refused(session_id: str | None) -> None:
    with pytest.raises(InvalidRequest, match=r"^session_id is "):
        parse_job(PAYLOAD, session_id)


@settings(max_examples=150, derandomize=True, database=None)
@given(JSON | st.dictionaries(st.sampled_from(list(PAYLOAD)), JSON).map(lambda change: PAYLOAD | change))
def test_any_json_is_a_job_or_refused(payload: object) -> None:
    try:
        job = parse_job(payload, SESSION)
    except InvalidRequest:
        return
    assert 1 <= job.attempt <= job.segment.last_attempt <= 110
