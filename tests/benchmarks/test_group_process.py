import sys
from pathlib import Path

import pytest

from benchmarks.group_process import run_group
from benchmarks.groups import parts_of, rows_of

pytestmark = pytest.mark.slow

LIMIT_SECONDS = 20.0


def python(code: str) -> tuple[str, ...]:
    return (sys.executable, "-c", code)


def test_a_group_in_a_process_of_its_own_gives_its_rows() -> None:
    (row,) = run_group("invoker_zip", LIMIT_SECONDS)
    assert row["what"] == "invoker zip"
    assert row["verdict"] == "met"


def test_a_group_that_fails_is_a_row_that_says_so() -> None:
    (row,) = run_group("any", LIMIT_SECONDS, python("raise SystemExit(3)"))
    assert row["verdict"] == "FAILED"
    assert row["figure"] is None
    assert "exit code 3" in row["reason"]


def test_a_groups_error_is_in_its_row() -> None:
    (row,) = run_group("no_such_group", LIMIT_SECONDS)
    assert row["verdict"] == "FAILED"
    assert row["reason"] == "KeyError: 'no_such_group'"


def test_a_group_that_takes_too_long_is_ended_and_says_so() -> None:
    (row,) = run_group("any", 0.3, python("import time; time.sleep(60)"))
    assert row["verdict"] == "FAILED"
    assert "longer than 0.3 s" in row["reason"]


def test_a_group_is_asked_to_end_before_it_is_killed(tmp_path: Path) -> None:
    ready, cleaned = tmp_path / "ready", tmp_path / "cleaned"
    code = f"""
import pathlib, signal, sys, time
def clean(*_): pathlib.Path({str(cleaned)!r}).touch(); sys.exit(1)
signal.signal(signal.SIGTERM, clean)
pathlib.Path({str(ready)!r}).touch()
time.sleep(60)
"""
    run_group("any", 2.0, python(code))
    assert ready.exists()
    assert cleaned.exists()


def test_an_unknown_group_is_refused() -> None:
    with pytest.raises(KeyError):
        rows_of("no_such_group")


def test_every_group_has_a_time_limit() -> None:
    assert all(0 < seconds <= 1000 for seconds in parts_of(()).values())


def test_every_group_is_a_module_with_rows() -> None:
    here = Path(__file__).resolve().parents[2] / "benchmarks"
    for part in parts_of(()):
        assert "def rows(" in (here / f"{part.replace('.', '/')}.py").read_text(encoding="utf-8"), part
