"""What a notebook shows of an error."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError
from IPython.core.interactiveshell import InteractiveShell

from runbook.errors import NoRecentRun, RunNotFound, RunStillOpen, WatchInterrupted
from runbook.in_notebooks import show_errors_as_sentences
from runbook.runbook import LOOK_BACK
from runtime.contract.errors import InvalidRequest
from runtime.journal.errors import RunClosed

ERRORS = [
    RunNotFound("an id"),
    RunStillOpen("an id"),
    NoRecentRun(LOOK_BACK),
    WatchInterrupted("an id"),
    InvalidRequest("session_id", "'1'", "longer"),
    RunClosed("an id"),
    ClientError({"Error": {"Code": "AccessDenied", "Message": "not\nyou"}}, "Query"),
]


@pytest.fixture
def shell() -> Iterator[InteractiveShell]:
    """A notebook's shell, as far as errors are concerned."""
    shell = InteractiveShell.instance()
    shell.colors = "nocolor"
    yield shell
    InteractiveShell.clear_instance()


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_an_expected_error_is_one_sentence(
    shell: InteractiveShell, capsys: pytest.CaptureFixture[str], error: BaseException
) -> None:
    show_errors_as_sentences()
    shell.user_ns["error"] = error
    result: Any = shell.run_cell("raise error")
    assert result.error_in_exec is error
    said = " ".join(str(error).split())
    (line,) = capsys.readouterr().out.strip().splitlines()
    assert line.startswith(f"{type(error).__name__}: ")
    assert line.endswith(said)
    assert len(said) > 10


def test_other_errors_keep_their_traceback(shell: InteractiveShell, capsys: pytest.CaptureFixture[str]) -> None:
    show_errors_as_sentences()
    shell.run_cell("1 / 0")
    assert "Traceback" in capsys.readouterr().out
