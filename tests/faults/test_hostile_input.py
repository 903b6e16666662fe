"""Input that nobody would send: into the rule, into the machine, into the agent. Each ends, clearly, and in order."""

import json
import re
import uuid
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest
from botocore.exceptions import ClientError
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from runtime.agent.workflow import WORKFLOWS
from runtime.contract.request import MAX_REQUEST_BYTES, SESSION_ID
from runtime.journal.records import from_item
from runtime.journal.vocabulary import Status, StepPhase, step_status
from tests.support.faulty_cloud import FaultyCloud

BATCH = 16
MAX_BYTES = 300 * 1024
TIMESTAMP = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"
COMMON = {"PK", "SK", "sessionId", "createdAt", "expiresAt"}
EVENT = {
    *("eventId", "status", "attempt", "environmentId", "leaseExpiresAt", "step", "item", "turn"),
    *("errorType", "errorMessage", "detail"),
}
RECORDS = {
    "METADATA": {"day", "executionArn", "request", "workflow", "bounds"},
    rf"EVENT#{TIMESTAMP}#[0-9a-f-]{{29,32}}": EVENT,
    r"ATTEMPT#\d": EVENT,
    r"TOOL#[a-z0-9_]+#(\d{4}|-)#\d{4}#\d{2}": EVENT | {"call", "tool", "digest", "shown"},
    rf"TOKEN#{TIMESTAMP}#\d+": {"taskToken"},
    "EVENT~OUTCOME": EVENT | {"day"},
    r"EVENT~WAIT#\d\d": EVENT - {"detail"} | {"wait", "until", "secondsLeft", "digest", "key", "count", "day"},
}
ANSWER = EVENT - {"detail"} | {"wait", "by", "answers"}

STATUSES = {
    *Status,
    *(
        step_status(step.name, phase)
        for workflow in WORKFLOWS.values()
        for step in workflow.steps
        for phase in StepPhase
    ),
}
AT_THE_SAME_TIME = 8
FEW = settings(
    max_examples=2,
    derandomize=True,
    database=None,
    deadline=None,
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
MANY = settings(FEW, max_examples=20)


@dataclass(frozen=True)
class Large:
    """A value that is made only when it is sent, so that a failing example can be read."""

    characters: int = 0
    levels: int = 0

    def value(self) -> Any:
        """A long text, within lists within lists."""
        value: Any = "x" * self.characters
        for _ in range(self.levels):
            value = [value]
        return value


def as_json(value: object) -> str:
    """The text that is sent."""
    return json.dumps(value, default=lambda large: large.value())


SHOUTED = Large(256 * 1024)


def batches_of(each: st.SearchStrategy[Any]) -> st.SearchStrategy[list[Any]]:
    """Several at a time, because each takes as long as all of them together."""
    return st.lists(each, min_size=BATCH, max_size=BATCH, unique_by=repr)


keys = st.one_of(
    st.sampled_from(["prompt", "retryOf", "session_id", "PK", "SK", "status", "outcome", "$", "{% $states %}", ""]),
    st.text(max_size=8),
)
leaves = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=40),
    st.sampled_from(["\x00", "\x1b[2J", "\u202e", "{% $states.input %}", "$.x", "SESSION#x", "<id>", " " * 50]),
)
values = st.one_of(
    st.recursive(leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=4)),
    st.sampled_from([SHOUTED, Large(1, 99), Large(1, 150), 10**400, -1e308, 5e-324]),
)
# No text for a prompt here: those runs would begin.
requests = (
    st.dictionaries(keys.filter(lambda key: key != "prompt"), values, max_size=4)
    .flatmap(
        lambda rest: st.one_of(
            st.just(rest),
            values.filter(lambda value: not isinstance(value, str)).map(lambda prompt: rest | {"prompt": prompt}),
            st.just(rest | {"prompt": SHOUTED}),
        )
    )
    .filter(lambda value: len(as_json(value)) < MAX_BYTES)
)
session_ids = st.one_of(
    values,
    st.text(min_size=33, max_size=100),
    st.from_regex(SESSION_ID, fullmatch=True),
    st.from_regex(SESSION_ID, fullmatch=True).map(lambda text: text + "\n"),
)
inputs = st.one_of(
    values,
    st.fixed_dictionaries({"session_id": session_ids}, optional={"request": values | requests, "attempt": values}),
)


jobs = st.fixed_dictionaries(
    {},
    optional={
        "attempt": values | st.integers(-1, 11),
        "maxAttempts": values | st.just(3),
        "now": values | st.just("2999-01-01T00:00:00.000Z"),
        "secondsLeft": values | st.just(60),
        "request": values | requests,
    },
)
payloads = st.one_of(st.binary(max_size=40), (values | jobs).map(lambda value: as_json(value).encode()))
PROMPTS = [
    '\x00\x07\x1b[2J\x7f\u0085\u2028\u202e {% $states.input %} $.request <id> ${x} {{y}} quote " backslash \\ }\r\n\t.',
    "x" * (MAX_REQUEST_BYTES - 200),
]
# Ends before anybody waits for an agent, so that it is the same for both ways of noticing an end.
EITHER_WAY = pytest.mark.parametrize("faulty", ["poll"], indirect=True)
EXAMPLES = [pytest.param(FEW, id="few"), pytest.param(MANY, id="many", marks=pytest.mark.soak)]


@EITHER_WAY
@pytest.mark.parametrize("examples", EXAMPLES)
def test_hostile_events_are_closed_with_a_reason(faulty: FaultyCloud, examples: settings) -> None:
    @examples
    @given(batches_of(requests))
    def check(details: list[Any]) -> None:
        for session_id in _put(faulty, details):
            story = faulty.story(session_id).check()
            assert (story.ending.status, story.ending.error_type) == (Status.SESSION_FAILED, "InvalidRequest"), story
            assert story.execution == "FAILED"

    check()
    _check_all_records(faulty)


@EITHER_WAY
@pytest.mark.parametrize("examples", EXAMPLES)
def test_hostile_executions_end_with_a_reason(faulty: FaultyCloud, examples: settings) -> None:
    @examples
    @given(batches_of(inputs))
    def check(batch: list[Any]) -> None:
        arns = [faulty.cloud.start_execution(as_json(value)) for value in batch]
        for arn, value in zip(arns, batch, strict=True):
            ended = faulty.cloud.ended_execution(arn)
            session_id = value.get("session_id") if isinstance(value, dict) else None
            if isinstance(session_id, str) and SESSION_ID.fullmatch(session_id):
                faulty.story(session_id).check()
            else:
                assert (ended["status"], ended["error"]) == ("FAILED", "InvalidRequest"), (value, ended)

    check()
    _check_all_records(faulty)


@EITHER_WAY
def test_a_session_id_that_ends_in_a_line_break_claims_nothing(faulty: FaultyCloud) -> None:
    session_id = f"{uuid.uuid4()}\n"
    execution_input = as_json({"session_id": session_id, "request": {"prompt": "x"}})
    ended = faulty.cloud.ended_execution(faulty.cloud.start_execution(execution_input))
    assert (ended["status"], ended["error"]) == ("FAILED", "InvalidRequest")
    assert faulty.reader.metadata(session_id) is None


@EITHER_WAY
@pytest.mark.parametrize("examples", EXAMPLES)
def test_an_agent_refuses_hostile_jobs_and_stays_well(faulty: FaultyCloud, examples: settings) -> None:
    session_id = faulty.new_session_id()

    @examples
    @given(batches_of(payloads))
    def check(batch: list[bytes]) -> None:
        with ThreadPoolExecutor(AT_THE_SAME_TIME) as threads:
            answers = list(threads.map(partial(_invoke, faulty, session_id), batch))
        assert set(answers) == {"RuntimeClientError: Received error (400) from runtime."}, answers

    check()
    events = faulty.events(session_id)
    assert {event.status for event in events} == {Status.AGENT_RUNTIME_INVOKE_FAILED}
    assert {event.error_type for event in events} == {"InvalidRequest"}
    assert {event.environment_id for event in events} == {events[0].environment_id}
    faulty.cloud.runbook.stop_session(session_id)
    _check_all_records(faulty)


def test_prompts_full_of_syntax_reach_the_model_as_they_are(faulty: FaultyCloud) -> None:
    details = [{"prompt": f"{uuid.uuid4()} {prompt}", "PK": "SESSION#x", "number": 10**30} for prompt in PROMPTS]
    for session_id, detail in zip(_put(faulty, details), details, strict=True):
        faulty.story(session_id).check_completed()
        assert faulty.cloud.runbook.metadata(session_id).request == detail
        assert any(str(detail["prompt"]) in talk.last_message for talk in faulty.model.conversations)
    _check_all_records(faulty)


def _put(faulty: FaultyCloud, details: Iterable[Any]) -> list[str]:
    events = faulty.cloud.client("events")
    names = {"Source": faulty.cloud.output("eventSource"), "DetailType": faulty.cloud.output("eventDetailType")}
    entries = [names | {"Detail": as_json(detail)} for detail in details]
    return [events.put_events(Entries=[entry])["Entries"][0]["EventId"] for entry in entries]


def _invoke(faulty: FaultyCloud, session_id: str, payload: bytes) -> str:
    try:
        faulty.cloud.runbook.clients.agentcore.invoke_agent_runtime(
            agentRuntimeArn=faulty.cloud.output("agentRuntimeArn"),
            qualifier=faulty.cloud.runbook.outputs.agent_qualifier,
            runtimeSessionId=session_id,
            payload=payload,
        )["response"].read()
    except ClientError as error:
        refused = error.response.get("Error", {})
        return f"{refused.get('Code')}: {str(refused.get('Message')).partition('. ')[0]}."
    return "accepted"


def _check_all_records(faulty: FaultyCloud) -> None:
    """Check that the table holds nothing but records of the kinds that docs and code know."""
    table = faulty.cloud.output("journalTableName")
    for page in faulty.cloud.client("dynamodb").get_paginator("scan").paginate(TableName=table):
        for item in page["Items"]:
            record = from_item(item)
            partition = re.fullmatch(f"(SESSION|ANSWERS)#({SESSION_ID.pattern})", record["PK"])
            assert partition, record
            assert record["sessionId"] == partition[2], record
            known = RECORDS if partition[1] == "SESSION" else {r"\d\d": ANSWER}
            (allowed,) = [names for kind, names in known.items() if re.fullmatch(kind, record["SK"])]
            assert record.keys() <= COMMON | allowed, record
            assert record.get("status") in {None, *STATUSES}, record
