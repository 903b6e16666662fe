"""What the state machine could send and no agent can work on: refused in a sentence, journalled where possible."""

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runtime.contract.errors import InvalidRequest
from runtime.invoker.invocation import Invoker
from runtime.journal.reader import JournalReader
from runtime.journal.vocabulary import Status
from tests.support.http_server import HttpServer

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


def nested(levels: int) -> Any:
    value: Any = "deep"
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize(
    "session_id",
    [None, 7, "", "a" * 32, "a" * 101, "-" * 36, "a" * 35 + "\n", "a" * 35 + "#", ["a" * 36], {"id": "a" * 36}],
    ids=repr,
)
@pytest.mark.parametrize("operation", ["start", "stop"])
def test_without_a_usable_session_id_nothing_is_done_at_all(
    session_id: object, operation: str, invoker: Invoker, payload: dict[str, Any], agentcore: HttpServer, table: Any
) -> None:
    call = {"start": invoker.start, "stop": invoker.stop}[operation]
    with pytest.raises(InvalidRequest, match=r"session_id is .*: it must be 33 to 100 characters"):
        call(payload | {"session_id": session_id})
    assert agentcore.requests == []
    assert table.tried == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"request": {"prompt": "x", "deep": nested(20_000)}}, "request is nested more than 100 levels deep"),
        ({"attempt": 4}, "attempt is 4: it must be a whole number from 1 to 3"),
        ({"attempt": nested(20_000)}, "attempt is a list"),
        ({"after": "soon"}, "after is 'soon' (4 characters): it must be null or a timestamp"),
        ({"secondsLeft": True}, "secondsLeft is True"),
    ],
    ids=lambda value: str(value)[:60] if isinstance(value, str) else "",
)
def test_what_cannot_be_run_is_refused_and_journalled_and_no_agent_started(
    change: dict[str, Any],
    message: str,
    invoker: Invoker,
    payload: dict[str, Any],
    agentcore: HttpServer,
    reader: JournalReader,
    session_id: str,
) -> None:
    with pytest.raises(InvalidRequest) as refused:
        invoker.start(payload | change)
    assert message in str(refused.value)
    assert agentcore.requests == []
    [failed] = reader.events(session_id)
    assert (failed.status, failed.error_type) == (Status.AGENT_INVOCATION_FAILED, "InvalidRequest")
    assert failed.error_message == str(refused.value)
    assert failed.attempt == (None if "attempt" in change else 1)


@settings(
    max_examples=60,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(change=st.dictionaries(st.sampled_from(["attempt", "secondsLeft", "after", "request", "session_id"]), JSON))
def test_any_json_is_run_or_refused(change: dict[str, Any], invoker: Invoker, payload: dict[str, Any]) -> None:
    # Any other error would end the run under a name that nobody can act on.
    with suppress(InvalidRequest):
        invoker.start(payload | change)
