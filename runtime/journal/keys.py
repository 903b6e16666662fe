"""Keys of the journal's records, and the prefix of a run's artifacts, spelled nowhere else."""

import re
from typing import Any

RUN_PARTITION = "SESSION#"
ANSWERS_PARTITION = "ANSWERS#"
METADATA = "METADATA"
LOOK_PREFIX = "EVENT"
"""What the state machine queries: the outcome and the events together."""
OUTCOME = "EVENT~OUTCOME"
"""Sorts after every event, whatever the events' times: a backward query finds it first."""
WAIT_PREFIX = "EVENT~WAIT#"
"""Sorts after every event, too, and after the outcome."""
EVENT_PREFIX = "EVENT#"
ATTEMPT_PREFIX = "ATTEMPT#"
TASK_TOKEN_PREFIX = "TOKEN#"  # noqa: S105 - a key's prefix
TOOL_PREFIX = "TOOL#"
TURN_KINDS = "mitf"
"""What a turn can end with, in the order in which one can; `runtime.agent.turns.TurnKind` says what they are."""
BY_DAY_INDEX = "by-day"
ARTIFACTS_PREFIX = "sessions/"
"""What the keys of all artifacts in the bucket begin with."""
TURNS_PREFIX = "turns/"
"""What the keys of all stored turns begin with: apart, so that who lists artifacts doesn't list them."""
_QUESTIONS = re.compile(r"/wait-\d{2,}-\d{3,}\.json$")
_TURN = re.compile(rf"(?:^|/)(\d{{3}})/(\d{{4,}})([{TURN_KINDS}])\.json$")


def partition_key(session_id: str) -> str:
    """Return the partition key of all records of a run."""
    return f"{RUN_PARTITION}{session_id}"


def event_sort_key(created_at: str, event_id: str) -> str:
    """Return an event's sort key: ordered by time, and unique within a millisecond."""
    return f"{EVENT_PREFIX}{created_at}#{event_id}"


def attempt_sort_key(attempt: int) -> str:
    """Return the sort key of the record that claims an attempt (1, 2, …)."""
    return f"{ATTEMPT_PREFIX}{attempt}"


def wait_sort_key(wait: int) -> str:
    """Return the sort key of the record that says that a run waits for a person: its first wait (1), its second …"""
    return f"{WAIT_PREFIX}{wait:02}"


def record_key(session_id: str, sort_key: str) -> dict[str, Any]:
    """Return the key of a run's record, in the form of DynamoDB's low-level API."""
    return {"PK": {"S": partition_key(session_id)}, "SK": {"S": sort_key}}


def answer_key(session_id: str, wait: int) -> dict[str, Any]:
    """Return the key of the record that answers a wait: in a partition that the agent may not write to."""
    return {"PK": {"S": f"{ANSWERS_PARTITION}{session_id}"}, "SK": {"S": f"{wait:02}"}}


def questions_key(session_id: str, wait: int, attempt: int) -> str:
    """Return the key of the object that has a wait's questions: each attempt, which may ask others, has its own."""
    return f"{turn_prefix(session_id)}wait-{wait:02}-{attempt:03}.json"


def is_questions(key: str) -> bool:
    """Whether a key of the bucket is that of a wait's questions."""
    return _QUESTIONS.search(key) is not None


def artifact_prefix(session_id: str) -> str:
    """Return what the keys of a run's artifacts begin with."""
    return f"{ARTIFACTS_PREFIX}{session_id}/"


def turn_prefix(session_id: str, step: str = "", item: int | None = None) -> str:
    """Return what the keys of a run's stored turns begin with, or of one step's or item's."""
    return f"{TURNS_PREFIX}{session_id}/" + (f"{step}/{_place(item)}/" if step else "")


def is_turn(key: str) -> bool:
    """Whether a key of the bucket, or its end from the attempt on, is a turn's."""
    return _TURN.search(key) is not None


def turn_position(key: str) -> tuple[int, int, int]:
    """Return where a turn is on its step's or item's line: its attempt, its number, and what it ends with.

    :return: zeros for what is no turn
    """
    found = _TURN.search(key)
    return (int(found[1]), int(found[2]), TURN_KINDS.index(found[3])) if found else (0, 0, 0)


def tool_sort_key(step: str, item: int | None, turn: int, call: int) -> str:
    """Return the sort key of the record that claims a tool's call."""
    return f"{tool_prefix(step, item)}{turn:04}#{call:02}"


def tool_prefix(step: str, item: int | None) -> str:
    """Return what the sort keys of a step's or an item's claimed calls begin with."""
    return f"{TOOL_PREFIX}{step}#{_place(item)}#"


def _place(item: int | None) -> str:
    return "-" if item is None else f"{item:04}"
