"""Rows of the tests' choice."""

from datetime import timedelta
from typing import Any

from runbook.console.overview import Overview, Row
from runtime.journal.vocabulary import Status
from tests.runbook.history import NOON, new_session_id


def made(session_id: str = "", **fields: Any) -> Row:
    """A run that completed, or with other fields."""
    usual: dict[str, Any] = {
        "session_id": session_id or new_session_id(),
        "status": Status.AGENT_BACKGROUND_TASK_COMPLETED,
        "began_at": NOON,
        "ended_at": NOON + timedelta(seconds=3),
        "seconds": 3.0,
        "workflow": "default",
        "requested_by": "",
        "prompt": "Count the clouds",
        "error": "",
    }
    return Row(**(usual | fields))


def overview(*rows: Row) -> Overview:
    """An overview of the rows, a day later."""
    return Overview("fire-and-forget.dev in 1/us-east-1", NOON - timedelta(hours=1), NOON + timedelta(hours=23), rows)
