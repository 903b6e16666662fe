"""Lines of an agent's log."""

from __future__ import annotations

import json

import pytest

from runbook.log_lines import LogLines, parse_line


def test_a_line_of_the_sdk_s_logger_has_its_fields() -> None:
    line = parse_line(
        1_795_000_000_123,
        json.dumps(
            {"level": "ERROR", "message": "Async task failed", "errorType": "StepStopped", "stackTrace": ["a\n", "b\n"]}
        ),
        "env",
    )
    assert (line.level, line.message, line.error_type, line.stack_trace) == (
        "ERROR",
        "Async task failed",
        "StepStopped",
        "a\nb\n",
    )
    assert line.at.microsecond == 123_000
    assert line.is_error


@pytest.mark.parametrize(
    ("text", "level"),
    [
        ("INFO:     Uvicorn running", "INFO"),
        ("[WARN] slow", "WARNING"),
        ("Traceback (most recent call last):", "ERROR"),
        ("ERRORS happen", None),
        ("hello", None),
        ('{"no": "logger"}', None),
        ("{broken", None),
        ('{"message": "x", "level": "NOTICE"}', None),
    ],
)
def test_other_lines_stay_as_they_are_and_may_name_a_level(text: str, level: str | None) -> None:
    line = parse_line(0, text, "env")
    assert (line.level, line.raw) == (level, text)


def test_a_line_becomes_plain_json() -> None:
    assert LogLines("0", [parse_line(0, "hello", "env")]).to_json()[0]["at"] == "1970-01-01T00:00:00.000Z"
