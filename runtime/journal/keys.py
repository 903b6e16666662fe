"""Keys of the journal's records, and the prefix of a run's artifacts, spelled nowhere else."""

METADATA = "METADATA"
LOOK_PREFIX = "EVENT"
"""What the state machine queries: the outcome and the events together."""
OUTCOME = "EVENT~OUTCOME"
"""Sorts after every event, whatever the events' times: a backward query finds it first."""
EVENT_PREFIX = "EVENT#"
ATTEMPT_PREFIX = "ATTEMPT#"
TASK_TOKEN_PREFIX = "TOKEN#"  # noqa: S105 - a key's prefix
BY_DAY_INDEX = "by-day"
ARTIFACTS_PREFIX = "sessions/"
"""What the keys of all artifacts in the bucket begin with."""


def partition_key(session_id: str) -> str:
    """Return the partition key of all records of a run."""
    return f"SESSION#{session_id}"


def event_sort_key(created_at: str, event_id: str) -> str:
    """Return an event's sort key: ordered by time, and unique within a millisecond."""
    return f"{EVENT_PREFIX}{created_at}#{event_id}"


def attempt_sort_key(attempt: int) -> str:
    """Return the sort key of the record that claims an attempt (1, 2, …)."""
    return f"{ATTEMPT_PREFIX}{attempt}"


def artifact_prefix(session_id: str) -> str:
    """Return what the keys of a run's artifacts begin with."""
    return f"{ARTIFACTS_PREFIX}{session_id}/"
