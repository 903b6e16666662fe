"""A pull that is interrupted, comes again, or finds something else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

from runbook.clients import Clients
from runbook.errors import FolderInUse, PulledRunUnusable
from runbook.outputs import StackOutputs
from runbook.pull_folder import PARTIAL
from runbook.pulled import PulledRun
from runbook.runbook import Runbook
from runtime.journal.keys import is_questions
from runtime.journal.vocabulary import Status
from tests.runbook.history import NOON, History
from tests.runbook.pulls import failed_run


@pytest.fixture(autouse=True)
def known_executions(rb: Runbook, monkeypatch: pytest.MonkeyPatch) -> None:
    """Step Functions that knows all executions."""
    known = {"input": json.dumps({"request": {"prompt": "Ask"}})}
    monkeypatch.setattr(rb.clients.stepfunctions, "describe_execution", Mock(return_value=known))


@pytest.fixture
def session_id(history: History, clients: Clients, outputs: StackOutputs) -> str:
    """A run with objects of all kinds."""
    return failed_run(history, clients, outputs)


def test_a_pull_that_broke_off_goes_on_without_what_it_has(
    rb: Runbook, session_id: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    get, asked = rb.clients.s3.get_object, list[str]()
    monkeypatch.setattr("runbook.pulling.AT_ONCE", 1)

    def twice(**arguments: Any) -> Any:
        asked.append(arguments["Key"])
        if len(asked) == 4:
            raise ConnectionError("the network is gone")
        return get(**arguments)

    monkeypatch.setattr(rb.clients.s3, "get_object", twice)
    with pytest.raises(ConnectionError):
        rb.pull(session_id, tmp_path / "run")
    assert (tmp_path / "run" / PARTIAL).exists()
    with pytest.raises(PulledRunUnusable, match="not there"):
        PulledRun.open(tmp_path / "run")
    rb.pull(session_id, tmp_path / "run")
    failed = asked[3]
    # Records are read again, and with them what they name.
    assert [key for key in {*asked} if asked.count(key) > 1 and not is_questions(key)] == [failed]
    asked.clear()
    rb.pull(session_id, tmp_path / "run")
    assert (asked, (tmp_path / "run" / PARTIAL).exists()) == ([], False)
    assert len(PulledRun.open(tmp_path / "run").turns("analyst")) == 4


def test_a_run_that_was_pulled_while_it_was_open_is_pulled_to_its_end(
    rb: Runbook, history: History, tmp_path: Path
) -> None:
    run = history.claim()
    assert any("no outcome yet" in sentence for sentence in rb.pull(run, tmp_path / "run").said)
    history.close(run, Status.SESSION_FAILED, NOON)
    assert rb.pull(run, tmp_path / "run").run.outcome
    assert PulledRun.open(tmp_path / "run").outcome


def test_nothing_is_pulled_over_something_else(rb: Runbook, session_id: str, history: History, tmp_path: Path) -> None:
    rb.pull(session_id, tmp_path / "run")
    with pytest.raises(FolderInUse, match=session_id):
        rb.pull(history.completed(), tmp_path / "run")
    with pytest.raises(FolderInUse, match="the run as it was"):
        rb.pull(session_id, tmp_path / "run", redact=str.upper)
    with pytest.raises(FolderInUse, match="something else"):
        rb.pull(session_id, tmp_path)
