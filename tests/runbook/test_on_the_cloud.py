"""The runbook on the embedded cloud: what no mock knows."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pty
import re
import shlex
import struct
import subprocess
import sys
import termios
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from local.emulator.clients import AccessKey, RootSession
from runbook.cli.process import PIPE_CLOSED
from runbook.clients import Clients
from runbook.connection import PROJECT
from runbook.pulled import PulledRun
from runbook.runbook import Runbook
from runbook.steps import counted
from runtime.agent.workflow import WORKFLOWS
from runtime.journal.errors import JournalDenied
from runtime.journal.vocabulary import TERMINAL, Status
from runtime.journal.waits import Answer
from tests.runbook.asking import MAIL, asks
from tests.runbook.conftest import COMMAND_SECONDS, run_command, start_command
from tests.runbook.history import History
from tests.runbook.test_documentation import answering_statements
from tests.support.fake_model import FakeModel
from tests.support.running_cloud import RunningCloud


@pytest.fixture(scope="module")
def session(cloud: RunningCloud) -> str:
    """A run that completed, and its execution too."""
    return cloud.run("Why is checkout slow?")


@pytest.fixture(scope="module")
def resumed(cloud: RunningCloud, model: FakeModel) -> str:
    """A run whose session was stopped while its agent worked, so that a second environment took over."""
    model.queue_text("The analysis.", delay_seconds=4.0)
    session_id = cloud.runbook.trigger("Why is checkout slow?")
    wait_for(cloud, session_id, "TASK_ANALYST_STARTED")
    assert cloud.runbook.stop_session(session_id)
    cloud.wait_for_end(session_id)
    return session_id


def operator(cloud: RunningCloud, name: str, more: Sequence[dict[str, Any]] = ()) -> Runbook:
    """A runbook for somebody who may read what runs ask, and what else is said."""
    read = ["dynamodb:Query", "dynamodb:GetItem", "dynamodb:BatchGetItem", "s3:GetObject"]
    # The emulator takes the key of the condition for absent.
    statements = [each | {"Resource": "*", "Condition": {}} for each in [{"Effect": "Allow", "Action": read}, *more]]
    iam = cloud.client("iam")
    iam.create_user(UserName=name)
    policy = json.dumps({"Version": "2012-10-17", "Statement": statements})
    iam.put_user_policy(UserName=name, PolicyName="operator", PolicyDocument=policy)
    key = iam.create_access_key(UserName=name)["AccessKey"]
    session = RootSession(cloud.stack.endpoint_url, AccessKey(key["AccessKeyId"], key["SecretAccessKey"]))
    return Runbook(cloud.runbook.outputs, Clients(session.client))


def wait_for(cloud: RunningCloud, session_id: str, status: str) -> None:
    """Return once a run has come that far."""
    found = (event.status for event in cloud.runbook.watch(session_id, timeout_seconds=30, poll_seconds=0.05))
    assert status in found


def test_a_run_s_summary_joins_journal_execution_logs_and_bucket(cloud: RunningCloud, session: str) -> None:
    summary = cloud.runbook.summary(session).as_json()
    seconds = summary["seconds"]
    assert summary["outcome"] == "AGENT_BACKGROUND_TASK_COMPLETED"
    assert 0 < seconds["acknowledge"] < seconds["invoker"] < seconds["total"]
    assert seconds["task"] < seconds["total"]
    assert summary["polls"] >= 1
    assert summary["stateTransitions"] > 3 * summary["polls"]
    assert len(summary["logStreams"]) == 1
    assert len(summary["artifacts"]) == 2
    assert summary["report"] == cloud.runbook.report(session)


def test_a_resumed_run_has_two_environments_and_their_logs_are_one(cloud: RunningCloud, resumed: str) -> None:
    streams = cloud.runbook.log_streams(resumed)
    assert [stream.attempts for stream in streams] == [(1,), (2,)]
    assert len({stream.environment_id for stream in streams}) == 2
    began = cloud.runbook.log_events(resumed, text="began in environment")
    assert [line.environment_id for line in began] == [stream.environment_id for stream in streams]
    assert cloud.runbook.summary(resumed).as_json()["attempts"] == 2


def test_a_cancelled_run_stays_cancelled_and_its_retry_completes(cloud: RunningCloud, model: FakeModel) -> None:
    model.queue_tool_call("planner", {"items": [{"question": f"Is it {part}?", "why": "It may be."} for part in "abc"]})
    model.queue_text("The first finding.")
    model.queue_text("The second finding.", delay_seconds=4.0)
    model.queue_text("The third finding.", delay_seconds=4.0)
    session_id = cloud.runbook.trigger("Why is checkout slow?", workflow="investigate")
    wait_for(cloud, session_id, "TASK_INVESTIGATOR_COMPLETED")
    cancelled = cloud.runbook.cancel(session_id, "the wrong prompt")
    assert cancelled.session_stopped
    outcome = cloud.wait_for_end(session_id)
    assert outcome.status == Status.SESSION_CANCELLED
    assert outcome.detail
    assert outcome.detail["cancelledBy"].startswith("arn:aws:")
    retried = cloud.runbook.retry(session_id)
    assert cloud.wait_for_end(retried).status == Status.AGENT_BACKGROUND_TASK_COMPLETED
    (attempt,) = cloud.runbook.summary(retried).attempts
    assert {step: counted(work) for step, work in attempt.by_step().items()} == {
        "planner": "1 skipped",
        "investigator": "2 done, 1 skipped",
        "summary": "1 done",
    }


def test_a_run_is_pulled_with_its_conversations_definitions_and_log(
    cloud: RunningCloud, session: str, tmp_path: Path
) -> None:
    cloud.runbook.pull(session, tmp_path / "run")
    run = PulledRun.open(tmp_path / "run")
    assert run.manifest.missing == []
    assert (run.manifest.workflow, run.manifest.workflowDigest) == ("default", WORKFLOWS["default"].digest)
    assert run.metadata.request == cloud.runbook.metadata(session).request
    assert run.units() == [("analyst", None), ("reporter", None)]
    assert run.turns("reporter")[-1].messages[-1]["content"][0]["text"] == run.artifact("reporter.md")
    assert run.metadata.request["prompt"] in run.definition("analyst")["message"]
    assert any("Attempt 1 of run" in line["raw"] for line in run.log_lines())


def test_a_question_is_read_and_answered_once_in_the_emulator_s_table_too(
    cloud: RunningCloud, command: dict[str, str]
) -> None:
    session_id = cloud.runbook.trigger("hold 100", workflow="verify")
    wait_for(cloud, session_id, "TASK_WORK_STARTED")
    history = History(cloud.client("dynamodb"), cloud.output("journalTableName"))
    wait = asks(cloud.runbook, history, MAIL, session_id=session_id)
    (line,) = run_command(command, "waiting", "--json").stdout.splitlines()
    assert json.loads(line)["questions"][0]["text"] == MAIL.text
    first = run_command(command, "answer", session_id, "--wait", "1", "--approve")
    assert (first.returncode, first.stderr) == (0, "")
    second = run_command(command, "answer", session_id, "--wait", "1", "--deny")
    assert (second.returncode, "already answered by arn:aws:" in second.stderr) == (3, True)
    answered = cloud.runbook._reader.answered(wait)
    assert answered
    assert answered.answers == (Answer(True),)
    cloud.runbook.cancel(session_id, "the test is over")


def test_who_has_the_rights_on_the_page_and_no_others_may_answer(cloud: RunningCloud) -> None:
    session_id = cloud.runbook.trigger("hold 100", workflow="verify")
    wait_for(cloud, session_id, "TASK_WORK_STARTED")
    history = History(cloud.client("dynamodb"), cloud.output("journalTableName"))
    wait = asks(cloud.runbook, history, session_id=session_id)
    reader, decider = operator(cloud, "reader"), operator(cloud, "decider", answering_statements())
    (asked,) = [each for each in reader.waiting() if each.wait == wait]
    with pytest.raises(JournalDenied, match="not authorized"):
        reader.answer(asked, asked.answers(True))
    answered = decider.answer(asked, asked.answers(True))
    assert answered.by.endswith(":user/decider")
    cloud.runbook.cancel(session_id, "the test is over")


def test_nothing_is_stuck_after_all_that(cloud: RunningCloud, session: str) -> None:
    assert session not in {run.session_id for run in cloud.runbook.stuck()}


def test_the_model_of_the_cost_is_the_agent_s(cloud: RunningCloud, session: str) -> None:
    cost = cloud.runbook.cost(session)
    assert not cost.unpriced
    assert cost.usd > 0


def test_a_dead_letter_that_is_redriven_is_a_run_under_its_event_s_id(
    cloud: RunningCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runbook.dead_letters.WAIT_SECONDS", 0)
    session_id = "11111111-2222-3333-4444-555555555555"
    cloud.client("sqs").send_message(
        QueueUrl=cloud.output("deadLetterQueueUrl"),
        MessageBody=json.dumps({"id": session_id, "detail": {"prompt": "Why?"}}),
    )
    (letter,) = [found for found in cloud.runbook.dead_letters() if found.session_id == session_id]
    cloud.runbook.redrive(letter)
    assert cloud.wait_for_end(session_id).status == Status.AGENT_BACKGROUND_TASK_COMPLETED
    assert not cloud.runbook.dead_letters()


def test_the_command_line_triggers_and_follows_a_run_as_a_process(command: dict[str, str]) -> None:
    done = run_command(command, "trigger", "Why is checkout slow?", "--watch")
    assert (done.returncode, done.stderr) == (0, "")
    session_id, *timeline = done.stdout.splitlines()
    assert len(session_id) == 36
    assert timeline[0].split() == ["0.000", "s", "SESSION_INITIATED"]
    assert timeline[-1].split()[2] in TERMINAL
    assert "\x1b" not in done.stdout


def test_on_a_terminal_the_progress_stays_out_of_the_timeline(command: dict[str, str]) -> None:
    ours, theirs = pty.openpty()
    # Its size is that of the terminal, so that nothing wraps.
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 100, 0, 0))
    environ = {**command, "COLUMNS": "", "TERM": "xterm-256color"}
    done = run_command(environ, "trigger", "Why is checkout slow?", "--watch", stdout=theirs, stderr=theirs)
    os.close(theirs)
    shown = b""
    with contextlib.suppress(OSError):
        while part := os.read(ours, 65536):
            shown += part
    os.close(ours)
    assert done.returncode == 0
    # What is on a line once it is finished: what follows the last time that the line was cleared.
    lines = [line.rpartition("\x1b[2K")[2] for line in shown.decode().split("\r\n")]
    plain = [re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", line).strip() for line in lines]
    for status in ("SESSION_INITIATED", "TASK_ANALYST_COMPLETED", "AGENT_BACKGROUND_TASK_COMPLETED"):
        assert any(re.match(rf"[\d.]+ s  {status}", line) for line in plain), plain


def test_the_command_line_as_a_process_speaks_json(command: dict[str, str], session: str) -> None:
    assert json.loads(run_command(command, "show", session, "--json").stdout)["sessionId"] == session
    listed = [json.loads(line) for line in run_command(command, "list", "--json").stdout.split("\n") if line]
    assert session in {found["sessionId"] for found in listed}


def test_a_pipe_that_is_closed_early_is_no_error(command: dict[str, str], session: str) -> None:
    program = f"{shlex.quote(sys.executable)} -m runbook logs {session} | head -1; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(
        ["/bin/bash", "-c", program],
        cwd=PROJECT,
        env=command,
        capture_output=True,
        text=True,
        timeout=COMMAND_SECONDS,
        check=False,
    )
    assert done.returncode in (0, PIPE_CLOSED)
    assert not done.stderr
    assert len(done.stdout.splitlines()) == 1


def test_any_encoding_of_the_terminal_will_do(cloud: RunningCloud, command: dict[str, str]) -> None:
    session_id = cloud.run("Wölkchen zählen \U0001f4a8")
    environ = {**command, "PYTHONIOENCODING": "ascii"}
    for arguments in (["list"], ["show", session_id], ["list", "--json"]):
        done = run_command(environ, *arguments)
        assert (done.returncode, done.stderr) == (0, ""), arguments
        assert session_id in done.stdout
    assert "W\\xf6lkchen" in run_command(environ, "show", session_id).stdout


def test_output_that_can_not_be_written_is_a_sentence(command: dict[str, str], session: str) -> None:
    with Path("/dev/full").open("w") as full:
        done = run_command(command, "show", session, stdout=full)
    assert (done.returncode, done.stderr) == (3, "error: the output can't be written: No space left on device\n")


def test_ctrl_c_ends_a_watch_and_not_the_run(cloud: RunningCloud, command: dict[str, str], model: FakeModel) -> None:
    model.queue_text("The analysis.", delay_seconds=3.0)
    session_id = cloud.runbook.trigger("Why is checkout slow?")
    watching = start_command(command, "watch", session_id)
    # Against a watch that never comes to an end.
    timer = threading.Timer(COMMAND_SECONDS, watching.kill)
    timer.start()
    try:
        assert watching.stdout
        watching.stdout.readline()
        watching.send_signal(2)
        _, errors = watching.communicate()
    finally:
        timer.cancel()
    assert watching.returncode == 130
    assert "Traceback" not in errors
    assert cloud.wait_for_end(session_id).status == Status.AGENT_BACKGROUND_TASK_COMPLETED
