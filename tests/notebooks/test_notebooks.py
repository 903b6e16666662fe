"""What the cells of the notebooks compute."""

from __future__ import annotations

import ast
import json
import re
from datetime import datetime
from pathlib import Path

import pytest

from local.samples import make_samples
from runbook.errors import DemoRefused
from runbook.in_notebooks import check_demo
from runbook.pulled import PulledRun
from runtime.journal.timestamps import utc_now
from runtime.journal.vocabulary import Status
from runtime.journal.waits import Answer
from tests.notebooks.conftest import NOTEBOOKS, Execute, read
from tests.runbook.asking import MAIL, asks
from tests.runbook.history import History
from tests.support.fake_model import FakeModel
from tests.support.running_cloud import RunningCloud
from tests.support.waiting import wait_until

NAMES = (
    "00_start_here",
    "01_trigger_runs",
    "02_inspect_log_streams",
    "03_query_completion_events",
    "04_recover_runs",
)
# A kernel, pandas and several runs: more than a test may take elsewhere, where much else goes on.
pytestmark = pytest.mark.timeout(300)
COMPLETED = "AGENT_BACKGROUND_TASK_COMPLETED"


@pytest.fixture(scope="module")
def some_runs(cloud: RunningCloud) -> datetime:
    """Runs such as `make notebooks` has; since when there are any."""
    since = utc_now()
    make_samples(cloud.parts)
    return since


@pytest.fixture
def half_done(cloud: RunningCloud, model: FakeModel) -> str:
    """An open run whose first step is finished; its second one takes longer than it takes to get help."""
    model.queue_text("The analysis.")
    model.queue_text("The report.", delay_seconds=20.0)
    session_id = cloud.runbook.trigger("What is slow?")
    found = (event.status for event in cloud.runbook.watch(session_id, timeout_seconds=30, poll_seconds=0.05))
    assert "TASK_REPORTER_STARTED" in found
    return session_id


@pytest.fixture
def dead_letter(cloud: RunningCloud) -> str:
    """The id of an event that could not be delivered."""
    session_id = "dead0000-2222-3333-4444-555555555555"
    cloud.client("sqs").send_message(
        QueueUrl=cloud.output("deadLetterQueueUrl"),
        MessageBody=json.dumps({"id": session_id, "detail": {"prompt": "Why?"}}),
    )
    return session_id


def test_there_are_these_notebooks() -> None:
    assert sorted(path.stem for path in NOTEBOOKS.glob("*.ipynb")) == list(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_is_committed_without_outputs(name: str) -> None:
    for cell in read(name).cells:
        assert not cell.get("outputs"), f"strip it: nbstripout notebooks/{name}.ipynb"
        assert cell.get("execution_count") is None
        assert set(cell.metadata) <= {"tags", "jupyter"}


@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_has_the_metadata_that_lab_writes_and_links_that_lead_somewhere(name: str) -> None:
    kernel = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
    assert read(name).metadata.kernelspec == kernel
    links = [link for cell in read(name).cells for link in re.findall(r"\]\(([^)#:]+)\)", cell.source)]
    assert all((NOTEBOOKS / link).exists() for link in links), links
    assert links


@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_s_first_cell_are_its_parameters(name: str) -> None:
    first = next(cell for cell in read(name).cells if cell.cell_type == "code")
    assert first.metadata["tags"] == ["parameters"]
    assignments = {
        target.id: ast.literal_eval(statement.value)
        for statement in ast.parse(first.source).body
        if isinstance(statement, ast.Assign)
        for target in statement.targets
        if isinstance(target, ast.Name)
    }
    assert assignments["stack"] == "local"
    # What could do harm is off.
    dangerous = ("confirm_", "force_", "demo")
    assert not any(value for name, value in assignments.items() if name.startswith(dangerous))


def test_starting_here_shows_the_list_without_widgets_where_nobody_can_click(
    cloud: RunningCloud, some_runs: datetime, execute: Execute
) -> None:
    done = execute("00_start_here", "console.overview.failed", "len(console.overview.rows)")
    shown = next(output.data for cell in done.notebook.cells for output in cell.get("outputs", []) if "data" in output)
    assert set(shown) == {"text/plain", "text/html"}
    assert done.notebook.metadata.get("widgets") is None
    html = shown["text/html"]
    assert f"<b>{done.values['console.overview.failed']}</b><span>failed of " in html
    assert html.count("rbc-badge") >= done.values["len(console.overview.rows)"] >= 6
    # All of it is there at once, as nobody looks again.
    assert "…</b>" not in html


def test_triggering_runs(cloud: RunningCloud, execute: Execute) -> None:
    done = execute(
        "01_trigger_runs",
        "session_id",
        "run.as_json()",
        "[event.status for event in outcomes.values()]",
        "[run.session_id for run in batch_runs]",
        "session_ids",
        demo=True,
        batch=2,
    )
    run = done.values["run.as_json()"]
    assert run["sessionId"] == done.values["session_id"]
    assert run["outcome"] == COMPLETED
    assert run["report"] == cloud.runbook.report(run["sessionId"])
    assert done.values["[event.status for event in outcomes.values()]"] == [COMPLETED] * 2
    assert set(done.values["[run.session_id for run in batch_runs]"]) == set(done.values["session_ids"])
    assert done.pictures == 2
    assert "0.000 s  SESSION_INITIATED" in done.printed


def test_inspecting_log_streams(cloud: RunningCloud, model: FakeModel, execute: Execute) -> None:
    model.queue_text("The analysis.", delay_seconds=3.0)
    done = execute(
        "02_inspect_log_streams",
        "session_id",
        "stopped",
        "streams.to_frame()[['attempts', 'lines']].values.tolist()",
        "len(lines)",
        "by_attempt['attempt'].tolist()",
        "by_attempt['environment_id'].nunique()",
        "len(attempts)",
        "run.events.outcome.status",
        "sorted(set(streams.to_frame()['environment_id']) ^ set(by_attempt['environment_id']))",
        demo=True,
    )
    streams = done.values["streams.to_frame()[['attempts', 'lines']].values.tolist()"]
    assert done.values["stopped"] is True
    assert [attempts for attempts, _ in streams] == ["1", "2"]
    assert sum(lines for _, lines in streams) == done.values["len(lines)"]
    assert done.values["by_attempt['attempt'].tolist()"] == [1, 2]
    assert done.values["by_attempt['environment_id'].nunique()"] == 2
    assert done.values["len(attempts)"] >= 2
    # Logs and journal know an environment by the same id.
    assert done.values["sorted(set(streams.to_frame()['environment_id']) ^ set(by_attempt['environment_id']))"] == []
    assert done.values["run.events.outcome.status"] == COMPLETED
    assert done.pictures == 1


def test_looking_at_a_run_starts_nothing_and_shows_why_its_step_failed(
    cloud: RunningCloud, some_runs: datetime, execute: Execute
) -> None:
    failed = next(run for run in cloud.runbook.runs(some_runs).failed if run.can_be_retried)
    still_open = cloud.runbook.trigger("hold 100", workflow="verify")
    wait_until(lambda: "TASK_WORK_STARTED" in cloud.statuses(still_open), "its second step", 30)
    before = len(cloud.runbook.runs(some_runs))
    first = execute("01_trigger_runs", "session_id", session_id=f" {failed.session_id} ")
    assert first.values["session_id"] == failed.session_id
    assert "ModelErrorException" in first.html
    assert "Traceback (most recent call last)" in first.html
    second = execute("01_trigger_runs", "session_id", session_id=still_open, watch_seconds=1)
    assert f"run {still_open} had no outcome after 1 s" in second.printed
    assert "of the agent's time so far" in second.html
    assert len(cloud.runbook.runs(some_runs)) == before
    cloud.runbook.cancel(still_open, "the test is over")


def test_a_demo_is_refused_on_a_stack_that_others_may_depend_on() -> None:
    with pytest.raises(DemoRefused, match="stack 'prod': nothing was done"):
        check_demo(True, "prod", False)
    check_demo(True, "prod", True)
    check_demo(True, "local", False)
    check_demo(False, "prod", False)


def test_querying_completion_events(some_runs: datetime, execute: Execute) -> None:
    done = execute(
        "03_query_completion_events",
        "len(frame)",
        "durations['count']",
        "durations['50%'] <= durations['95%'] <= durations['max']",
        "causes[['status', 'error_type']].values.tolist()",
        "frame.attempt.max()",
        "costs.polls.min()",
        "costs.usd.min()",
        "len(costs)",
        "costs.outcome.tolist()",
        sample=20,
    )
    values = done.values
    assert values["len(frame)"] >= 6
    assert values["frame.attempt.max()"] >= 2
    assert values["durations['count']"] >= 3
    assert values["durations['50%'] <= durations['95%'] <= durations['max']"]
    causes = values["causes[['status', 'error_type']].values.tolist()"]
    assert ["SESSION_FAILED", "InvalidRequest"] in causes
    assert "SESSION_CANCELLED" not in dict(causes)
    assert values["len(costs)"] == min(20, values["len(frame)"])
    assert {"completed", "failed", "cancelled"} <= set(values["costs.outcome.tolist()"])
    assert values["costs.polls.min()"] >= 0
    assert values["costs.usd.min()"] > 0
    assert "USD, " in done.printed
    assert "dtype" not in done.html
    assert done.pictures == 2


def test_recovering_runs_does_nothing_unless_it_is_told_to(
    cloud: RunningCloud, some_runs: datetime, dead_letter: str, execute: Execute
) -> None:
    before = len(cloud.runbook.runs(some_runs))
    done = execute("04_recover_runs", "session_id", "cancelled", "retried", "redriven", "len(letters)", "len(failed)")
    assert (done.values["cancelled"], done.values["retried"], done.values["redriven"]) == (None, "", [])
    assert done.values["len(letters)"] >= 2
    assert done.values["len(failed)"] >= 2
    assert "confirm_retry is not set" in done.printed
    assert "Cancelled" not in done.html
    assert "whoever sent this request must change it" in done.html
    assert len(cloud.runbook.runs(some_runs)) == before


def test_what_a_run_asks_is_read_and_answered_only_when_told_to(cloud: RunningCloud, execute: Execute) -> None:
    session_id = cloud.runbook.trigger("hold 100", workflow="verify")
    wait_until(lambda: "TASK_WORK_STARTED" in cloud.statuses(session_id), "its second step", 30)
    history = History(cloud.client("dynamodb"), cloud.output("journalTableName"))
    wait = asks(cloud.runbook, history, session_id=session_id)
    read_only = execute("04_recover_runs", "answered", session_id=session_id, confirm_answer=True)
    assert read_only.values["answered"] is None
    assert MAIL.text in read_only.printed
    assert "confirm_answer and answer_wait = 1 would deny this." in read_only.printed
    answer = {"confirm_answer": True, "answer_wait": 1, "answer_approved": True, "answer_text": "go on"}
    done = execute("04_recover_runs", "answered.by", session_id=session_id, **answer)
    assert f"Answered wait 1 of {session_id}: approved (go on)" in done.printed
    answered = cloud.runbook._reader.answered(wait)
    assert answered
    assert (answered.by, answered.answers) == (done.values["answered.by"], (Answer(True, "go on"),))
    cloud.runbook.cancel(session_id, "the test is over")


def test_recovering_a_run_cancels_it_and_starts_again_from_its_finished_steps(
    cloud: RunningCloud, half_done: str, dead_letter: str, execute: Execute, tmp_path: Path
) -> None:
    done = execute(
        "04_recover_runs",
        "cancelled.session_stopped",
        "retried",
        "redriven",
        session_id=half_done,
        confirm_cancel=True,
        confirm_retry=True,
        confirm_redrive=True,
        confirm_pull=True,
        pull_to=str(tmp_path / "run"),
        reason="took too long",
    )
    assert done.values["cancelled.session_stopped"] is True
    outcome = cloud.wait_for_end(half_done)
    assert (outcome.status, outcome.error_message) == (Status.SESSION_CANCELLED, "took too long")
    steps = [status for status in cloud.statuses(done.values["retried"]) if status.startswith("TASK_")]
    began = ["TASK_ANALYST_SKIPPED", "TASK_REPORTER_STARTED"]
    assert steps == [*began, "TASK_REPORTER_TURN", "TASK_REPORTER_COMPLETED"]
    assert dead_letter in done.values["redriven"]
    assert cloud.wait_for_end(dead_letter).status == COMPLETED
    assert done.pictures == 2
    assert PulledRun.open(tmp_path / "run").session_id == half_done
    again = execute("04_recover_runs", "retried", session_id=half_done, confirm_retry=True)
    assert again.values["retried"] == done.values["retried"]
    assert f"{half_done} was retried as {done.values['retried']}" in again.printed
