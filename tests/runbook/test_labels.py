"""How things are said to people."""

from __future__ import annotations

import pytest

from runbook import labels
from runtime.journal.vocabulary import TERMINAL
from tests.runbook.history import NOON, event


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, "-"), (0.0123, "0.012 s"), (3.21, "3.2 s"), (247, "4 min 07 s"), (59.99, "60.0 s"), (7500, "2 h 05 min")],
)
def test_durations_are_for_people(seconds: float | None, text: str) -> None:
    assert labels.duration(seconds) == text


def test_every_outcome_has_a_word() -> None:
    assert {labels.outcome(status) for status in (*TERMINAL, labels.OPEN)} == {
        *("completed", "failed", "timed out", "cancelled", "open"),
    }


def test_an_error_has_its_class_and_its_message() -> None:
    assert labels.error(event("0", "SESSION_FAILED", NOON, error_type="AgentLost")) == "AgentLost: no message"
    assert labels.error(event("0", "SESSION_INITIATED", NOON)) == labels.error(None) == ""


@pytest.mark.parametrize(("number", "text"), [(1200.0, "1,200"), (0.0375, "0.0375"), (0.0, "0"), (10.0, "10")])
def test_amounts_have_no_idle_zeros(number: float, text: str) -> None:
    assert labels.amount(number) == text
