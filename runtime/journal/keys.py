"""Keys of the journal's records: the one place that knows how they are spelled."""

METADATA = "METADATA"
LOOK_PREFIX = "EVENT"
"""What the state machine looks at: the outcome and the events, in one query."""
OUTCOME = "EVENT~OUTCOME"
"""Sorts after every event, whatever the events' times are: a query backwards finds it first."""
EVENT_PREFIX = "EVENT#"
ATTEMPT_PREFIX = "ATTEMPT#"
TOKEN_PREFIX = "TOKEN#"  # noqa: S105 - a key's beginning
BY_DAY_INDEX = "by-day"


def partition_key(session_id: str) -> str:
    """Return the partition key that all records of a run share."""
    return f"SESSION#{session_id}"


def event_sort_key(created_at: str, event_id: str) -> str:
    """Return an event's sort key: in order of time, and unique within one millisecond."""
    return f"{EVENT_PREFIX}{created_at}#{event_id}"


def attempt_sort_key(attempt: int) -> str:
    """Return the sort key of the record that claims an attempt (1, 2, …)."""
    return f"{ATTEMPT_PREFIX}{attempt}"
