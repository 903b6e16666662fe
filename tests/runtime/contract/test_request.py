import json
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.contract.errors import InvalidRequest
from runtime.contract.request import (
    MAX_REQUEST_BYTES,
    MAX_RETRY_BYTES,
    SESSION_ID,
    ClaimedCall,
    Limits,
    RunRequest,
    StepSource,
    check_session_id,
    parse_request,
    size_in_claim,
)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
EVENTBRIDGE_ID = "6a7e8feb-b491-4cf7-a9f1-bf3703467718"


def nested(levels: int) -> Any:
    """Return a request whose `data` is that many lists deep."""
    value: Any = []
    for _ in range(levels - 1):
        value = [value]
    return {"prompt": "look", "data": value}


@pytest.mark.parametrize("session_id", ["a" * 33, "a" * 100, EVENTBRIDGE_ID, "9" * 33, "A_b-" * 10, "a" + "-" * 40])
def test_a_usable_session_id_is_taken(session_id: str) -> None:
    assert check_session_id(session_id) == session_id


@pytest.mark.parametrize(
    ("session_id", "was"),
    [
        ("a" * 32, "(32 characters)"),
        ("a" * 101, "(101 characters)"),
        ("", "(0 characters)"),
        ("-" + "a" * 35, "(36 characters)"),
        ("_" + "a" * 35, "(36 characters)"),
        ("a" * 35 + "#", "(36 characters)"),
        ("a" * 35 + "/", "(36 characters)"),
        ("a" * 35 + "\n", "(36 characters)"),
        ("a" * 35 + "\0", "(36 characters)"),
        ("ä" * 36, "(36 characters)"),
        ("٣" * 36, "(36 characters)"),
        (None, "missing"),
        (36, "is 36:"),
        (True, "is True:"),
        ([EVENTBRIDGE_ID], "a list"),
        ({"id": EVENTBRIDGE_ID}, "a dict"),
        (EVENTBRIDGE_ID.encode(), "a bytes"),
    ],
)
def test_an_unusable_session_id_is_refused_with_what_it_was_and_what_is_allowed(session_id: object, was: str) -> None:
    with pytest.raises(InvalidRequest, match=r"^session_id is ") as refused:
        check_session_id(session_id)
    assert was in str(refused.value)
    assert "33 to 100 characters of A-Z, a-z, 0-9, _ and -" in str(refused.value)


@settings(max_examples=80, derandomize=True, database=None)
@given(st.text(max_size=120) | st.from_regex(SESSION_ID, fullmatch=True))
def test_a_session_id_that_is_taken_is_safe_in_keys_and_urls(text: str) -> None:
    try:
        check_session_id(text)
    except InvalidRequest:
        return
    assert 33 <= len(text) <= 100
    assert text.isascii()
    assert text.replace("-", "a").replace("_", "a").isalnum()


def test_a_request_is_its_prompt() -> None:
    assert parse_request({"prompt": "Why?", "customer": 7}) == RunRequest("Why?")


def source(*steps: object, session: object = EVENTBRIDGE_ID) -> dict[str, object]:
    """Return a source of finished steps."""
    return {"session": session, "steps": list(steps)}


def test_a_request_can_name_runs_whose_finished_steps_it_takes_over() -> None:
    request = {"prompt": "Why?", "retryOf": EVENTBRIDGE_ID, "takeFrom": [source("analyst", "reporter"), source()]}
    assert parse_request(request).take_from == (
        StepSource(EVENTBRIDGE_ID, ("analyst", "reporter")),
        StepSource(EVENTBRIDGE_ID, ()),
    )


def test_a_request_can_name_its_workflow_and_who_asked() -> None:
    request = parse_request({"prompt": "Why?", "workflow": "only the agent knows", "requestedBy": "billing"})
    assert (request.workflow, request.requested_by) == ("only the agent knows", "billing")


@pytest.mark.parametrize(
    ("limits", "read"),
    [
        (None, None),
        ({}, Limits()),
        ({"tokens": 200_000}, Limits(tokens=200_000)),
        ({"tokens": 1, "turns": 10**12}, Limits(1, 10**12)),
        ({"tokens": 2e6, "turns": None}, Limits(tokens=2_000_000)),
    ],
)
def test_a_request_can_limit_what_its_run_may_use(limits: object, read: Limits | None) -> None:
    assert parse_request({"prompt": "Why?", "limits": limits}).limits == read


def test_a_retry_names_the_calls_that_may_have_happened() -> None:
    said = [{"step": "mailer", "item": 2, "tool": "send_mail", "input": "{}"}, {"step": "a", "tool": "t", "input": ""}]
    assert parse_request({"prompt": "Why?", "claims": said}).claims == (
        ClaimedCall("mailer", 2, "send_mail", "{}"),
        ClaimedCall("a", None, "t", ""),
    )


CLAIM = {"step": "mailer", "tool": "send_mail", "input": ""}


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        (None, "request is missing"),
        ("Why?", "request is 'Why?' (4 characters)"),
        (7, "request is 7:"),
        (True, "request is True:"),
        (["Why?"], "request is a list"),
        ({}, "request.prompt is missing"),
        ({"prompt": None}, "request.prompt is missing"),
        ({"prompt": ""}, "request.prompt is '' (0 characters)"),
        ({"prompt": " \n\t "}, "request.prompt is "),
        ({"prompt": 7}, "request.prompt is 7:"),
        ({"prompt": ["Why?"]}, "request.prompt is a list"),
        ({"Prompt": "Why?"}, "request.prompt is missing"),
        ({"prompt": "Why?", "limits": 7}, "request.limits is 7: it must be an object such as"),
        ({"prompt": "Why?", "limits": {"token": 7}}, "a name in request.limits is 'token' (5 characters): it must be"),
        ({"prompt": "Why?", "limits": {"tokens": 0}}, "request.limits.tokens is 0: it must be a whole number from 1"),
        ({"prompt": "Why?", "limits": {"tokens": True}}, "request.limits.tokens is True:"),
        ({"prompt": "Why?", "limits": {"turns": 1.5}}, "request.limits.turns is 1.5:"),
        ({"prompt": "Why?", "limits": {"turns": "50"}}, "request.limits.turns is '50' (2 characters):"),
        ({"prompt": "Why?", "limits": {"turns": 10**13}}, "request.limits.turns is 10000000000000:"),
        ({"prompt": "Why?", "claims": {}}, "request.claims is a dict"),
        ({"prompt": "Why?", "claims": ["x"]}, "request.claims[0] is 'x'"),
        ({"prompt": "Why?", "claims": [CLAIM] * 101}, "request.claims is a list of 101"),
        ({"prompt": "Why?", "claims": [CLAIM, CLAIM | {"step": "No"}]}, "request.claims[1].step is 'No'"),
        ({"prompt": "Why?", "claims": [CLAIM | {"item": -1}]}, "request.claims[0].item is -1:"),
        ({"prompt": "Why?", "claims": [CLAIM | {"tool": ""}]}, "request.claims[0].tool is ''"),
        ({"prompt": "Why?", "claims": [CLAIM | {"input": None}]}, "request.claims[0].input is missing"),
        ({"prompt": "Why?", "workflow": 7}, "request.workflow is 7: it must be a text of 1 to 40 characters"),
        ({"prompt": "Why?", "workflow": ""}, "request.workflow is '' (0 characters)"),
        ({"prompt": "Why?", "workflow": "x" * 41}, "request.workflow is "),
        ({"prompt": "Why?", "requestedBy": "x" * 201}, "request.requestedBy is "),
        ({"prompt": "Why?", "retryOf": "short"}, "request.retryOf is 'short' (5 characters)"),
        ({"prompt": "Why?", "retryOf": 7}, "request.retryOf is 7:"),
        ({"prompt": "Why?", "retryOf": "../" * 12}, "request.retryOf is "),
        ({"prompt": "Why?", "retryFrom": "../x"}, "request.retryFrom is '../x' (4 characters)"),
        ({"prompt": "x" * MAX_REQUEST_BYTES}, f"request is {MAX_REQUEST_BYTES + 20} bytes as JSON within JSON"),
        ({"prompt": "ä" * (MAX_REQUEST_BYTES // 2)}, f"request is {MAX_REQUEST_BYTES + 20} bytes as JSON within JSON"),
        # 163 KB of quoted CSV, which became 329 KB on their way.
        ({"prompt": '"a","b"\n' * 20_375}, "request is 448270 bytes"),
        ({"prompt": "a\ud800b"}, r"request.prompt is a text with half a character, '\ud800', at position 1"),
        ({"prompt": "x", "rows": [{"name": "\udfff"}]}, "request.rows[0].name is a text with half a character"),
        ({"prompt": "x", "customer": {"\ud800": 1}}, "a name in request.customer is a text with half a character"),
        ({"prompt": "x", "\udc00": 1}, "a name in request is a text with half a character"),
        ({"prompt": "x", "k" * 100: {"k" * 100: {"k" * 100: {"k" * 100: ["\ud800"]}}}}, "request.kkk"),
        ({"prompt": "x", "share": math.inf}, "request.share is inf: it must be a number that JSON can hold"),
        ({"prompt": "x", "share": [0, math.nan]}, "request.share[1] is nan: it must be a number that JSON can hold"),
        ({"prompt": "x", "share": 10**5000}, "request is nothing that can be sent (Exceeds the limit"),
        *(
            ({"prompt": "Why?", "takeFrom": take_from}, f"request.takeFrom{message}")
            for take_from, message in [
                (EVENTBRIDGE_ID, f" is '{EVENTBRIDGE_ID}' (36 characters): it must be a list"),
                ({}, " is a dict: it must be a list"),
                ([source()] * 21, " is a list of 21: it must be a list of 20 at most"),
                ([EVENTBRIDGE_ID], f"[0] is '{EVENTBRIDGE_ID}'"),
                ([source(), {"session": EVENTBRIDGE_ID}], "[1].steps is missing: it must be a list of steps' names"),
                ([source(session="short")], "[0].session is 'short'"),
                ([source("../report")], "[0].steps is '../report' (9 characters): it must be names of 1 to 40"),
                ([source(7)], "[0].steps is 7: it must be names"),
            ]
        ),
    ],
)
def test_a_request_that_cannot_be_run_is_refused_in_one_sentence(request_: object, message: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        parse_request(request_)
    assert str(refused.value).startswith(message)
    assert "it must be " in str(refused.value)
    assert len(str(refused.value)) < 400


@pytest.mark.parametrize("repeated", ["x", '"', "\n", "ä", "€", "\x01"], ids=repr)
def test_a_request_that_just_fits_into_the_claim_is_taken_and_one_more_character_is_not(repeated: str) -> None:
    each = size_in_claim({"prompt": repeated * 2}) - size_in_claim({"prompt": repeated})
    fits = (MAX_REQUEST_BYTES - size_in_claim({"prompt": "."})) // each
    request = {"prompt": "." + repeated * fits}
    assert parse_request(request).prompt == request["prompt"]
    # As the state machine's arguments hold it: the request as text, in JSON.
    assert len(json.dumps({"S": json.dumps(request, ensure_ascii=False)}, ensure_ascii=False).encode()) < 250_000
    with pytest.raises(InvalidRequest, match="bytes as JSON within JSON"):
        parse_request({"prompt": request["prompt"] + repeated})


def test_a_request_of_the_largest_size_can_be_retried() -> None:
    request: dict[str, Any] = {"prompt": "x" * (MAX_REQUEST_BYTES - size_in_claim({"prompt": ""}))}
    assert size_in_claim(request) == MAX_REQUEST_BYTES
    steps = [f"step_{number}" for number in range(500)]
    assert parse_request(request | {"retryOf": EVENTBRIDGE_ID, "takeFrom": [source(*steps)]}).take_from[0].steps[-1]
    with pytest.raises(InvalidRequest, match=rf"it must be {MAX_REQUEST_BYTES + MAX_RETRY_BYTES} bytes or less"):
        parse_request(request | {"takeFrom": [source(*steps, *steps)]})


@pytest.mark.parametrize("levels", [101, 900, 5000, 100_000])
def test_a_request_that_is_nested_too_deeply_is_refused(levels: int) -> None:
    with pytest.raises(InvalidRequest, match="nested more than 100 levels deep: it must be"):
        parse_request(nested(levels))


def test_a_request_that_is_nested_sensibly_is_taken() -> None:
    assert parse_request(nested(99)).prompt == "look"


@settings(max_examples=200, derandomize=True, database=None)
@given(JSON)
def test_any_json_is_a_request_or_a_refusal(value: object) -> None:
    try:
        request = parse_request(value)
    except InvalidRequest:
        return
    assert request.prompt.strip()


@settings(max_examples=100, derandomize=True, database=None)
@given(st.text(st.characters(), max_size=50), JSON)
def test_any_text_that_utf_8_holds_can_be_a_prompt(prompt: str, more: object) -> None:
    request = {"prompt": prompt, "more": json.dumps(more)}
    if prompt.strip() and prompt.encode("utf-8", "ignore").decode() == prompt:
        assert parse_request(request).prompt == prompt
    else:
        with pytest.raises(InvalidRequest, match=r"request\.prompt"):
            parse_request(request)
