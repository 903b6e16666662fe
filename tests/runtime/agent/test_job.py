from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.agent.job import Job, parse_job
from runtime.journal.errors import InvalidRequest
from runtime.journal.request import RunRequest, StepSource

SESSION = "6a7e8feb-b491-4cf7-a9f1-bf3703467718"
PAYLOAD: dict[str, Any] = {
    "attempt": 2,
    "maxAttempts": 3,
    "now": "2026-11-22T20:21:26.123Z",
    "secondsLeft": 3600,
    "request": {"prompt": "Why?", "takeFrom": [{"session": SESSION, "steps": ["analyst"]}]},
}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


def test_a_job_is_read_from_what_the_invoker_sends() -> None:
    assert parse_job(PAYLOAD, SESSION) == Job(
        session_id=SESSION,
        request=RunRequest("Why?", take_from=(StepSource(SESSION, ("analyst",)),)),
        attempt=2,
        max_attempts=3,
        now=datetime(2026, 11, 22, 20, 21, 26, 123_000, UTC),
        seconds_left=3600.0,
    )


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
        (PAYLOAD | {"maxAttempts": 0}, "maxAttempts is 0"),
        (PAYLOAD | {"maxAttempts": 11}, "maxAttempts is 11"),
        (PAYLOAD | {"maxAttempts": 10**30}, "maxAttempts is 1000"),
        (PAYLOAD | {"attempt": None}, "attempt is missing: it must be a whole number from 1 to 3"),
        (PAYLOAD | {"attempt": 0}, "attempt is 0"),
        (PAYLOAD | {"attempt": 4}, "attempt is 4: it must be a whole number from 1 to 3"),
        (PAYLOAD | {"attempt": -1}, "attempt is -1"),
        (PAYLOAD | {"attempt": 1.0}, "attempt is 1.0"),
        (PAYLOAD | {"attempt": "1"}, "attempt is '1' (1 characters)"),
        (PAYLOAD | {"attempt": True}, "attempt is True"),
        (PAYLOAD | {"attempt": [1]}, "attempt is a list"),
        (PAYLOAD | {"now": None}, "now is missing: it must be a timestamp"),
        (PAYLOAD | {"now": 1_800_000_000}, "now is 1800000000"),
        (PAYLOAD | {"now": "soon"}, "now is 'soon' (4 characters)"),
        (PAYLOAD | {"now": "2026-11-22T20:21:26"}, "now is '2026-11-22T20:21:26'"),
        (PAYLOAD | {"now": "9999-12-31T23:59:59Z"}, "now is '9999-12-31T23:59:59Z'"),
        (PAYLOAD | {"secondsLeft": None}, "secondsLeft is missing: it must be a number of seconds"),
        (PAYLOAD | {"secondsLeft": True}, "secondsLeft is True"),
        (PAYLOAD | {"secondsLeft": float("nan")}, "secondsLeft is nan"),
        (PAYLOAD | {"secondsLeft": 1e9}, "secondsLeft is 1000000000.0"),
        (PAYLOAD | {"request": None}, "request is missing"),
        (PAYLOAD | {"request": "Why?"}, "request is 'Why?'"),
        (PAYLOAD | {"request": {}}, "request.prompt is missing"),
        (
            PAYLOAD | {"request": {"prompt": "Why?", "workflow": "verfiy"}},
            "request.workflow is 'verfiy' (6 characters): it must be one of default, verify",
        ),
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
    assert 1 <= job.attempt <= job.max_attempts <= 10
