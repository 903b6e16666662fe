"""The command line through its own runner, on a mocked account."""

from __future__ import annotations

import dataclasses
import io
import json
import re
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from unittest.mock import Mock

import pytest
import typer
from botocore.stub import Stubber
from typer.testing import CliRunner, Result

from runbook import render
from runbook.artifacts import Artifact
from runbook.cli import commands
from runbook.cli.app import app
from runbook.clients import Clients
from runbook.dead_letters import DeadLetter
from runbook.errors import CloudNotRunning
from runbook.outputs import StackOutputs
from runbook.pulled import PulledRun
from runbook.runbook import Runbook
from runtime.journal.records import ToolClaim, to_item
from runtime.journal.timestamps import utc_now
from runtime.journal.vocabulary import Status
from runtime.journal.writer import JournalWriter
from tests.runbook.history import NOON, History, new_session_id, write_log
from tests.runbook.test_steps import RESUMED

Cli = Callable[..., Result]
NOW = utc_now()


@pytest.fixture
def cli(rb: Runbook, monkeypatch: pytest.MonkeyPatch) -> Cli:
    """Run a command on the mocked stack."""
    for module in ("actions", "asking", "one_run", "several_runs", "commands"):
        monkeypatch.setattr(f"runbook.cli.{module}.connect", Mock(return_value=rb))
    monkeypatch.setattr(rb, "_execution_if_known", Mock(return_value=None))

    def run(*arguments: str, stdin: str | None = None) -> Result:
        return CliRunner().invoke(app, list(arguments), input=stdin)

    return run


@pytest.fixture
def failed(history: History) -> str:
    """A run that failed a minute ago."""
    session_id = history.claim(NOW - timedelta(minutes=2))
    history.close(
        session_id, Status.SESSION_FAILED, NOW - timedelta(minutes=1), error_type="AgentLost", error_message="gone"
    )
    return session_id


def test_trigger_limits_what_the_run_may_use(cli: Cli, rb: Runbook, monkeypatch: pytest.MonkeyPatch) -> None:
    trigger = Mock(return_value="id")
    monkeypatch.setattr(rb, "trigger", trigger)
    cli("trigger", "Count", "--max-tokens", "200000", "--max-turns", "50")
    assert trigger.call_args.kwargs["limits"] == {"tokens": 200_000, "turns": 50}
    cli("trigger", "Count")
    assert trigger.call_args.kwargs["limits"] is None


def test_retry_lists_what_must_not_happen_twice_and_needs_to_be_told_again(
    cli: Cli, failed: str, rb: Runbook, outputs: StackOutputs
) -> None:
    writer = JournalWriter(rb.clients.dynamodb, outputs.journal_table_name, ttl_days=90)
    claim = ToolClaim("mailer", 2, 3, 0, "send_mail", "0" * 16, '{"to": "anna"}')
    rb.clients.dynamodb.put_item(
        TableName=outputs.journal_table_name,
        Item=to_item(
            failed,
            claim.sort_key,
            writer.stamp(failed, "TASK_MAILER_TOOL").attributes()
            | {"step": "mailer", "item": 2, "turn": 3}
            | claim.attributes(),
        ),
    )
    result = cli("retry", failed)
    assert (result.exit_code, result.stdout) == (commands.REFUSED, "")
    assert 'mailer [2] send_mail({"to": "anna"}). It may have taken effect' in result.stderr
    assert "--again" in result.stderr
    assert len(cli("retry", failed, "--again").stdout.strip()) == 36


def test_show_lists_each_turn_only_if_all_is_asked_for(cli: Cli, failed: str, history: History) -> None:
    for number in range(1, 9):
        detail = {"after": "model", "tools": [{"call": 0, "tool": "search", "input": f"{number}"}]}
        at = NOW - timedelta(seconds=100 - number)
        history.add(failed, "TASK_ANALYST_TURN", at, step="analyst", attempt=1, turn=number, detail=detail)
    assert "8 turns, the last after" in cli("show", failed).stdout
    assert "TASK_ANALYST_TURN" not in cli("show", failed).stdout
    assert cli("show", failed, "--all").stdout.count("TASK_ANALYST_TURN") == 8


def test_show_says_how_to_go_on_after_a_spent_budget(cli: Cli, history: History) -> None:
    session_id = history.claim(NOW)
    history.close(session_id, Status.AGENT_BACKGROUND_TASK_FAILED, NOW, error_type="BudgetExceeded", error_message="x")
    assert f"--retry-of {session_id}" in " ".join(cli("show", session_id).stdout.split())


def test_trigger_prints_the_session_id(cli: Cli) -> None:
    assert len(cli("trigger", "Count the clouds").stdout.strip()) == 36
    assert len(json.loads(cli("trigger", "-", "--json", stdin="Count the clouds").stdout)["sessionId"]) == 36


def test_a_prompt_that_can_not_be_run_is_one_sentence_and_exit_code_3(cli: Cli) -> None:
    result = cli("trigger", " ")
    assert (result.exit_code, result.stdout) == (commands.REFUSED, "")
    assert result.stderr.startswith("error: request.prompt is ' '")


def test_watching_a_run_that_completes_is_exit_code_0(cli: Cli, history: History) -> None:
    session_id = history.completed(NOW - timedelta(minutes=1))
    result = cli("watch", session_id)
    assert result.exit_code == commands.DONE
    assert result.stdout.splitlines()[-1].split() == ["3.000", "s", "AGENT_BACKGROUND_TASK_COMPLETED", "attempt", "1"]


def test_watching_a_run_that_fails_is_exit_code_1_and_says_where_to_look(cli: Cli, failed: str) -> None:
    result = cli("watch", failed)
    assert result.exit_code == commands.NOT_COMPLETED
    assert "AgentLost: gone" in result.stdout
    assert f"logs {failed} --level ERROR" in result.stdout


def test_watching_for_too_long_is_exit_code_4(cli: Cli, history: History) -> None:
    result = cli("watch", history.claim(NOW), "--timeout", "0")
    assert result.exit_code == commands.TIMED_OUT
    assert "its last event is SESSION_INITIATED" in result.stderr


@pytest.mark.parametrize("timeout", ["0", "0.001"])
def test_a_new_run_that_is_not_waited_for_is_open_and_not_unknown(cli: Cli, timeout: str) -> None:
    result = cli("trigger", "Count the clouds", "--watch", "--timeout", timeout)
    assert result.exit_code == commands.TIMED_OUT
    assert "it has no event yet" in result.stderr


def test_watching_as_json_is_a_line_for_each_event(cli: Cli, history: History) -> None:
    lines = cli("watch", history.completed(NOW - timedelta(minutes=1)), "--json").stdout.splitlines()
    assert [json.loads(line)["status"] for line in lines][-1] == "AGENT_BACKGROUND_TASK_COMPLETED"


def test_an_interrupted_watch_is_exit_code_130(cli: Cli, failed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runbook.cli.one_run.follow", Mock(side_effect=KeyboardInterrupt))
    assert cli("watch", failed).exit_code == commands.INTERRUPTED


def test_list_shows_runs_with_their_errors(cli: Cli, history: History, failed: str) -> None:
    completed = history.completed(NOW - timedelta(hours=3))
    old = history.completed(NOW - timedelta(days=5))
    lines = cli("list").stdout.splitlines()
    assert [line.split()[0] for line in lines[1:]] == [completed, failed, "AgentLost:"]
    assert "1 min 00 s" in lines[2]
    assert old in cli("list", "--since", "1w").stdout


def test_list_is_narrowed_down_by_outcome_number_and_time(cli: Cli, history: History, failed: str) -> None:
    completed = history.completed(NOW - timedelta(hours=3))
    assert failed not in cli("list", "--outcome", "completed").stdout
    assert completed not in cli("list", "--limit", "1").stdout
    assert "The newest 1 of 2" in cli("list", "--limit", "1").stdout
    assert json.loads(cli("list", "--until", "1h", "--json").stdout)["sessionId"] == completed
    assert "No such runs since" in cli("list", "--outcome", "cancelled").stdout


def test_list_is_narrowed_down_by_what_was_asked(cli: Cli, history: History, failed: str) -> None:
    request = {"prompt": "Count", "workflow": "investigate", "requestedBy": "billing"}
    asked = history.claim(NOW - timedelta(hours=1), request=request)
    for option in (["--workflow", "investigate"], ["--requested-by", "billing"]):
        lines = cli("list", *option).stdout.splitlines()
        assert [line.split()[0] for line in lines[1:]] == [asked, "workflow"]
        assert lines[2].strip() == "workflow investigate, requested by billing"
    found = [json.loads(line) for line in cli("list", "--json").stdout.splitlines()]
    assert {run["sessionId"]: run["requestedBy"] for run in found} == {asked: "billing", failed: None}
    assert "No such runs" in cli("list", "--workflow", "investigate", "--requested-by", "anna").stdout


def test_the_workflow_of_a_run_is_checked_and_completed_from_the_stack(
    cli: Cli, rb: Runbook, monkeypatch: pytest.MonkeyPatch
) -> None:
    stack = dataclasses.replace(rb.outputs, workflows=("default", "investigate"))
    monkeypatch.setattr(rb, "_place", (stack, rb.clients))
    result = cli("trigger", "Count the clouds", "--workflow", "investigte")
    assert (result.exit_code, result.stdout) == (commands.REFUSED, "")
    assert "one of default, investigate" in result.stderr
    connect = Mock(return_value=rb)
    monkeypatch.setattr("runbook.cli.commands.connect", connect)
    words = {"_RUNBOOK_COMPLETE": "complete_bash", "COMP_WORDS": "runbook trigger --stack dev --workflow inv"}
    completed = CliRunner().invoke(app, env={**words, "COMP_CWORD": "5"}, prog_name="runbook")
    assert completed.stdout.split() == ["investigate"]
    connect.assert_called_with("dev")
    connect.side_effect = CloudNotRunning("no")
    assert not CliRunner().invoke(app, env={**words, "COMP_CWORD": "5"}, prog_name="runbook").output.strip()


def test_show_has_a_tree_in_place_of_items_that_went_well(cli: Cli, history: History) -> None:
    session_id = history.claim(NOW)
    history.put(
        dataclasses.replace(event, session_id=session_id, created_at=event.created_at + (NOW - NOON)).to_item()
        for event in RESUMED
    )
    text = cli("show", session_id).stdout
    assert "└── [2]                   failed, 3.0 s" in text
    assert "TASK_INVESTIGATOR_FAILED [2]" in text
    assert "TASK_INVESTIGATOR_COMPLETED" not in text
    steps = json.loads(cli("show", session_id, "--json").stdout)["steps"]
    assert [work["item"] for work in steps if work["state"] == "DONE"] == [None, 1, 0]


@pytest.mark.parametrize("since", ["yesterday", "5", "h", "9999999999999d", ""])
def test_a_time_that_is_none_is_exit_code_2(cli: Cli, since: str) -> None:
    result = cli("list", "--since", since)
    assert result.exit_code == commands.USAGE
    assert "is not a time" in " ".join(result.stderr.split())


@pytest.mark.parametrize("timeout", ["-1", "nan", "inf", "1e300"])
def test_a_time_that_can_not_be_waited_is_exit_code_2(cli: Cli, failed: str, timeout: str) -> None:
    result = cli("watch", failed, "--timeout", timeout)
    assert result.exit_code == commands.USAGE
    assert "is not a time to wait: give 0 to 2592000 seconds" in " ".join(result.stderr.replace("│", " ").split())


@pytest.mark.parametrize("since", ["0001-01-01", "0001-01-01T00:00-00:01", "9000w", "99999w", "9999-12-31"])
@pytest.mark.parametrize("until", ["9999-12-31", "9999-12-31T23:59:59Z"])
def test_any_date_is_an_answer_or_a_sentence(cli: Cli, failed: str, since: str, until: str) -> None:
    result = cli("list", "--since", since, "--until", until)
    sentences = ("is not a time", "must be later", "No such runs")
    assert failed in result.stdout or any(sentence in result.stdout + result.stderr for sentence in sentences)


def test_an_interrupted_question_is_exit_code_130(cli: Cli, history: History, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **__: object) -> bool:
        aborted = typer.Abort()
        aborted.__context__ = KeyboardInterrupt()
        raise aborted

    monkeypatch.setattr("typer.confirm", interrupted)
    assert cli("cancel", history.claim(NOW), "--reason", "wrong prompt").exit_code == commands.INTERRUPTED


def test_without_its_bucket_a_run_is_shown_and_its_artifacts_are_said_to_be_missing(
    cli: Cli, rb: Runbook, failed: str
) -> None:
    with Stubber(rb.clients.s3) as s3:
        s3.add_client_error("list_objects_v2", "NoSuchBucket", "it is gone")
        result = cli("show", failed)
    assert result.exit_code == commands.DONE
    assert "missing: " in result.stdout
    assert "NoSuchBucket" in result.stdout


def test_a_time_without_a_zone_is_utc(cli: Cli, failed: str) -> None:
    assert failed in cli("list", "--since", f"{NOW - timedelta(hours=1):%Y-%m-%dT%H:%M}").stdout
    assert "must be later" in cli("list", "--since", "1h", "--until", "2h").stderr


def test_show_explains_a_failed_run_and_says_what_to_do_next(cli: Cli, failed: str) -> None:
    text = cli("show", failed).stdout
    assert "AgentLost: gone" in text
    assert "Count the clouds" in text
    assert f"retry {failed}" in text


def test_show_offers_no_retry_of_a_request_that_can_not_be_run(cli: Cli, history: History) -> None:
    session_id = history.claim(NOW, request={"question": "a request needs a prompt"})
    history.close(session_id, Status.SESSION_FAILED, NOW, error_type="InvalidRequest", error_message="no prompt")
    text = cli("show", session_id).stdout
    assert "trigger a new run" in text
    assert "Next: retry" not in text


def test_latest_is_the_run_that_began_last(cli: Cli, history: History, failed: str) -> None:
    newer = history.claim(NOW - timedelta(seconds=30))
    assert f"watch {newer}" in cli("show", "latest").stdout


def test_there_is_no_latest_run_in_an_empty_stack(cli: Cli) -> None:
    result = cli("show", "latest")
    assert result.exit_code == commands.REFUSED
    assert "no run began or ended in the last 2 days" in result.stderr


def test_a_run_that_nobody_knows_is_exit_code_3(cli: Cli) -> None:
    unknown = new_session_id()
    for arguments in (
        *([command, unknown] for command in ("show", "logs", "report", "cost", "retry")),
        ["trigger", "Count the clouds", "--retry-of", unknown],
        ["watch", unknown, "--timeout", "0"],
    ):
        result = cli(*arguments)
        assert (result.exit_code, result.stdout) == (commands.REFUSED, "")
        assert "there is no run" in result.stderr


def test_logs_are_whole_lines(cli: Cli, rb: Runbook, clients: Clients, outputs: StackOutputs, failed: str) -> None:
    at = NOW - timedelta(minutes=2)
    text = "ERROR " + "word " * 50
    write_log(clients, outputs, failed, "f3a95c1e-0cb4", at, text)
    assert cli("logs", failed).stdout.rstrip("\n").endswith(text)
    assert json.loads(cli("logs", failed, "--json").stdout)["level"] == "ERROR"
    assert "No such lines" in cli("logs", failed, "--text", "nothing like that").stdout
    assert "f3a95c1e-0cb4" in cli("logs", failed, "--streams").stdout
    assert json.loads(cli("logs", failed, "--streams", "--json").stdout)[0]["errors"] == 1
    assert cli("logs", failed, "--level", "LOUD").exit_code == commands.REFUSED


def test_a_report_into_a_file_is_the_markdown_that_it_is(
    cli: Cli, history: History, clients: Clients, outputs: StackOutputs
) -> None:
    session_id = history.completed(NOW - timedelta(minutes=1))
    text = "# Clouds\n\n" + "many " * 50
    key = f"sessions/{session_id}/reporter.md"
    clients.s3.put_object(Bucket=outputs.artifact_bucket_name, Key=key, Body=text.encode())
    assert cli("report", session_id).stdout == f"{text}\n"
    assert json.loads(cli("report", session_id, "--json").stdout)["report"] == text
    assert "has no report: it has no outcome yet" in cli("report", history.claim()).stderr


def test_what_a_step_or_an_item_has_produced_is_printed_as_it_is_stored(
    cli: Cli, history: History, clients: Clients, outputs: StackOutputs
) -> None:
    session_id = history.claim(NOW)
    for name, text in (("planner.json", '[{"question": "Why?"}]'), ("investigator/0003.md", "# Found")):
        key = f"sessions/{session_id}/{name}"
        clients.s3.put_object(Bucket=outputs.artifact_bucket_name, Key=key, Body=text.encode())
    assert cli("report", session_id, "--step", "planner").stdout == '[{"question": "Why?"}]\n'
    assert cli("report", session_id, "--step", "investigator", "--item", "3").stdout == "# Found\n"
    found = json.loads(cli("report", session_id, "--step", "planner", "--json").stdout)
    assert found == {"sessionId": session_id, "artifact": [{"question": "Why?"}]}
    assert "there is no artifact" in cli("report", session_id, "--step", "investigator").stderr
    assert cli("report", session_id, "--item", "3").exit_code == commands.USAGE


def test_cost_prints_a_sum(cli: Cli, rb: Runbook, failed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rb, "model_id", Mock(return_value="anthropic.claude-sonnet-4-6"))
    assert "List prices of 20" in cli("cost", failed).stdout
    assert json.loads(cli("cost", failed, "--json").stdout)["usd"] > 0


HOSTILE = "\x1b]0;title\x07\x1b[2Jred \x9b31m half \ud800 \u202eback line\u2028sep\u0085 [bold]end"
HARMLESS = re.compile(r"[\n\t -~\u00a0-\u2027\u2030-\u2065\u2070-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]*")


def hostile_run(history: History) -> str:
    """A run all of whose text is somebody else's."""
    session_id = history.claim(NOW - timedelta(minutes=2), request={"prompt": HOSTILE})
    detail = {"takenFrom": HOSTILE.replace("\ud800", "")}
    history.add(session_id, "TASK_ANALYST_SKIPPED", NOW - timedelta(minutes=1), step="analyst", detail=detail)
    text = HOSTILE.replace("\ud800", "")
    history.close(session_id, Status.SESSION_FAILED, NOW, error_type="AgentLost", error_message=text)
    return session_id


def test_what_a_run_says_never_acts_on_the_terminal(
    cli: Cli, rb: Runbook, history: History, clients: Clients, outputs: StackOutputs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rb, "dead_letters", Mock(return_value=[DeadLetter(new_session_id(), None, HOSTILE)]))
    session_id = hostile_run(history)
    line = json.dumps({"level": "ERROR", "message": HOSTILE, "stackTrace": [HOSTILE]})
    write_log(clients, outputs, session_id, "f3a95c1e-0cb4", NOW, line)
    for arguments in (
        ["list"],
        ["show", session_id],
        ["watch", session_id],
        ["logs", session_id],
        ["dead-letters"],
        ["report", session_id],
    ):
        result = cli(*arguments)
        assert HARMLESS.fullmatch(result.stdout + result.stderr), arguments
    assert "␛[2Jred" in cli("show", session_id).stdout
    assert "␛[2Jred" in cli("logs", session_id).stdout


def test_a_report_on_a_terminal_never_acts_on_it() -> None:
    links = "[a](http://example.com/\x1b]0;t\x07) [b](http://example.com/&#27;]0;t&#7;) <http://example.com/\x1b[2J>"
    report = render.artifact(Artifact(f"# {HOSTILE}\n\n{links} &#27;[2J &#x9b;31m"))
    file = io.StringIO()
    console = render.console(file)
    # As a terminal, so that links are sent as such.
    terminal = type(console)(file=file, force_terminal=True, color_system="truecolor", width=80, legacy_windows=False)
    terminal.print(report)
    links_and_colours = re.compile(r"\x1b\[[0-9;]*m|\x1b]8;[^\x1b\x07]*\x1b\\")
    assert HARMLESS.fullmatch(links_and_colours.sub("", file.getvalue()))


def test_json_is_one_line_for_a_record_whatever_is_in_it(cli: Cli, history: History) -> None:
    session_id, other = hostile_run(history), history.completed(NOW - timedelta(minutes=1))
    lines = cli("list", "--json").stdout.splitlines()
    assert [json.loads(line)["sessionId"] for line in lines] == [session_id, other]
    assert json.loads(lines[0])["prompt"] == HOSTILE
    assert cli("show", session_id, "--json").stdout.isascii()


def test_cancel_asks_before_it_does_anything(cli: Cli, rb: Runbook, history: History) -> None:
    session_id = history.claim(NOW)
    for answer in ("n\n", ""):
        result = cli("cancel", session_id, "--reason", "wrong prompt", stdin=answer)
        assert result.exit_code == commands.REFUSED
        question, sentence = result.stderr.splitlines()
        assert question.rstrip().endswith("[y/N]:")
        assert sentence.startswith("error: nothing was done")
    assert rb.outcome(session_id) is None
    assert cli("cancel", session_id, "--yes").exit_code == commands.USAGE
    # What can't be stored is refused before anything is asked.
    assert cli("cancel", session_id, "--reason", " ").stderr.startswith("error: reason is ")


def test_a_cancelled_run_is_closed_though_its_agent_can_not_be_stopped(cli: Cli, rb: Runbook, history: History) -> None:
    session_id = history.claim(NOW)
    with Stubber(rb.clients.agentcore) as agentcore:
        agentcore.add_client_error("stop_runtime_session", "ThrottlingException", "slow down")
        result = cli("cancel", session_id, "--reason", "wrong prompt", "--yes")
    assert result.exit_code == commands.DONE
    assert "stops by itself at its next write" in result.stderr
    outcome = rb.outcome(session_id)
    assert outcome
    assert outcome.error_message == "wrong prompt"
    again = cli("cancel", session_id, "--reason", "wrong prompt", "--yes", "--json")
    assert (again.exit_code, again.stderr) == (3, f"error: run {session_id} already has its outcome\n")


def test_retry_starts_a_new_run_and_can_follow_it(
    cli: Cli, failed: str, history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    followed = Mock()
    monkeypatch.setattr("runbook.cli.actions.follow_new", followed)
    session_id = cli("retry", failed, "--watch", "--timeout", "5").stdout.strip()
    assert session_id != failed
    assert followed.call_args.args[1] == session_id
    assert followed.call_args.kwargs == {"timeout_seconds": 5, "as_json": False}


def test_pull_says_what_is_there_and_what_to_do_with_it(
    cli: Cli, rb: Runbook, failed: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = Mock(return_value={"input": "{}"})
    monkeypatch.setattr(rb.clients.stepfunctions, "describe_execution", given)
    result = cli("pull", failed, "--to", str(tmp_path / "run"))
    assert result.exit_code == 0
    assert f"run {failed} is in" in result.output
    assert "python -m local replay" in result.output
    assert PulledRun.open(tmp_path / "run").session_id == failed
    assert json.loads(cli("pull", failed, "--to", str(tmp_path / "run"), "--json").output)["sessionId"] == failed
    (tmp_path / "run" / "events.jsonl").write_bytes(b"")
    changed = cli("pull", failed, "--to", str(tmp_path / "run"))
    assert (changed.exit_code, "events.jsonl can't be used" in " ".join(changed.output.split())) == (3, True)


def test_show_of_a_failed_run_points_at_pull_and_replay(cli: Cli, failed: str) -> None:
    assert f"pull {failed}" in cli("show", failed).output


def test_stuck_names_the_trouble(cli: Cli, history: History, rb: Runbook) -> None:
    history.claim(NOW - timedelta(hours=1))
    for arguments in (["stuck"], ["stuck", "--json"]):
        with Stubber(rb.clients.stepfunctions) as stepfunctions:
            stepfunctions.add_client_error("describe_execution", "ExecutionDoesNotExist", "no")
            assert "EXECUTION_ENDED" in cli(*arguments).stdout
    assert "No run is stuck." in cli("stuck", "--since", "5m").stdout


def test_dead_letters_are_listed_and_redriven_only_when_told_to(
    cli: Cli, rb: Runbook, clients: Clients, outputs: StackOutputs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runbook.dead_letters.WAIT_SECONDS", 0)
    clients.sqs.create_queue(QueueName=outputs.dead_letter_queue_url.rsplit("/", 1)[1])
    assert "empty" in cli("dead-letters").stdout
    session_id = new_session_id()
    body = json.dumps({"id": session_id, "detail": {"prompt": "Count"}})
    clients.sqs.send_message(QueueUrl=outputs.dead_letter_queue_url, MessageBody=body)
    assert session_id in cli("dead-letters").stdout
    assert cli("dead-letters", "--redrive", stdin="n\n").exit_code == commands.REFUSED
    with Stubber(rb.clients.stepfunctions) as stepfunctions:
        stepfunctions.add_client_error("start_execution", "ExecutionAlreadyExists", "there is one")
        assert json.loads(cli("dead-letters", "--redrive", "--yes", "--json").stdout)[0]["sessionId"] == session_id
    assert "empty" in cli("dead-letters").stdout


def test_what_aws_refuses_is_one_sentence(cli: Cli, rb: Runbook) -> None:
    with Stubber(rb.clients.dynamodb) as dynamodb:
        dynamodb.add_client_error("query", "AccessDeniedException", "you may not")
        result = cli("list")
    assert result.exit_code == commands.REFUSED
    assert result.stderr.startswith("error: AWS refuses: ")
    assert "you may not" in result.stderr


def test_the_shell_completes_session_ids_and_never_sees_an_error(
    cli: Cli, failed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert commands.recent_sessions(failed[:3]) == [failed]
    monkeypatch.setattr("runbook.cli.commands.connect", Mock(side_effect=CloudNotRunning("no")))
    assert commands.recent_sessions("") == []
