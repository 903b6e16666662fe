"""`runbook waiting` and `runbook answer` through the app's own runner."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from runbook.cli import asking, commands
from runbook.runbook import Runbook
from runtime.journal.timestamps import utc_now
from runtime.journal.vocabulary import Status
from runtime.journal.waits import MAX_ANSWERS_BYTES, Answer, Wait
from tests.runbook.asking import MAIL, QUARTER, asks
from tests.runbook.cli.test_cli import HARMLESS, HOSTILE, Cli, cli
from tests.runbook.history import History

__all__ = ["cli"]


@pytest.fixture
def both(rb: Runbook, history: History) -> Wait:
    """A run that asks for a yes or no, and for a text."""
    return asks(rb, history, MAIL, QUARTER)


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody is there to type."""
    for module in (asking, commands):
        monkeypatch.setattr(module, "is_terminal", lambda: True)


def said(rb: Runbook, wait: Wait) -> list[tuple[bool, str]] | None:
    """What a wait was answered with."""
    answered = rb._reader.answered(wait)
    return [(answer.approved, answer.text) for answer in answered.answers] if answered else None


def test_waiting_shows_each_question_whole(cli: Cli, rb: Runbook, history: History) -> None:
    assert cli("waiting").stdout == "No run waits for an answer.\n"
    long = replace(MAIL, text="word " * 400 + "to the end")
    wait = asks(rb, history, long, QUARTER)
    result = cli("waiting")
    assert result.exit_code == commands.DONE
    assert result.stdout.splitlines()[1].split()[:3] == [wait.session_id, "1", "1"]
    assert "to the end" in result.stdout
    assert "2. planner: ask wants a text" in result.stdout
    (line,) = cli("waiting", "--json").stdout.splitlines()
    found = json.loads(line)
    assert {"sessionId", "wait", "until", "ageSeconds", "workflow", "questions"} <= set(found)
    assert [question["text"] for question in found["questions"]] == [long.text, "Which quarter?"]


def test_waiting_says_whom_it_woke(cli: Cli, rb: Runbook, both: Wait, monkeypatch: pytest.MonkeyPatch) -> None:
    rb.answer(rb.open_wait(both.session_id), (Answer(True), Answer(True, "x")))
    # There is nobody to wake.
    assert cli("waiting").stderr == ""
    monkeypatch.setattr(rb, "_wake_execution", lambda _: True)
    result = cli("waiting", "--json")
    assert result.stdout == ""
    assert f"Run {both.session_id} is answered and had not gone on: it was woken again." in result.stderr


@pytest.mark.parametrize(
    ("options", "answers"),
    [
        (["--approve", "--text", "the third"], [(True, "the third")] * 2),
        (["--deny"], [(False, "")] * 2),
        (["--deny", "--text", "not on a Friday"], [(False, "not on a Friday")] * 2),
    ],
)
def test_an_answer_holds_for_all_questions_which_are_shown_first(
    options: list[str], answers: list[tuple[bool, str]], cli: Cli, rb: Runbook, both: Wait
) -> None:
    result = cli("answer", both.session_id, "--wait", "1", *options)
    assert (result.exit_code, result.stderr) == (commands.DONE, "")
    assert said(rb, both) == answers
    shown, _, done = result.stdout.partition("Answered wait 1 of run ")
    assert '{"to": "anna"}' in shown
    assert done.split()[0] == f"{both.session_id}:"


def test_different_answers_come_from_a_file(cli: Cli, rb: Runbook, both: Wait, tmp_path: Path) -> None:
    file = tmp_path / "answers.json"
    command = ["answer", both.session_id, "--wait", "1", "--file", str(file)]
    assert "can't be read as UTF-8" in " ".join(cli(*command).stderr.split())
    file.write_bytes(b"\xff\xfe")
    assert "can't be read as UTF-8" in " ".join(cli(*command).stderr.split())
    file.write_text("[" + " " * MAX_ANSWERS_BYTES, "utf-8")
    assert "has more than 16384 bytes" in " ".join(cli(*command).stderr.split())
    file.write_text('[{"approved": false}]', "utf-8")
    assert "answers is 1: it must be 2" in " ".join(cli(*command).stderr.split())
    file.write_text('[{"approved": false, "text": "why"}, {"text": "\N{EURO SIGN}"}]', "utf-8")
    result = cli(*command, "--json")
    assert '{"to": "anna"}' in result.stderr
    by = rb.clients.sts.get_caller_identity()["Arn"]
    answers = [{"approved": False, "text": "why"}, {"approved": True, "text": "\N{EURO SIGN}"}]
    assert json.loads(result.stdout) == {"sessionId": both.session_id, "wait": 1, "by": by, "answers": answers}
    assert said(rb, both) == [(False, "why"), (True, "\N{EURO SIGN}")]


@pytest.mark.parametrize(
    ("options", "code", "sentence"),
    [
        (["--wait", "1", "--approve", "--deny"], commands.USAGE, "two answers"),
        (["--wait", "1", "--file", "x", "--deny"], commands.USAGE, "has all answers"),
        (["--wait", "2", "--approve"], commands.REFUSED, "has no wait 2, its latest is wait 1"),
        (["--wait", "1", "--approve"], commands.REFUSED, "answer 2 is without text"),
        (["--wait", "1", "--text", "the third"], commands.REFUSED, "yes or no, which question 1 wants"),
        (["--wait", "1"], commands.REFUSED, "without a terminal say what was read"),
        (["--approve", "--text", "x"], commands.REFUSED, "without a terminal say what was read"),
    ],
)
def test_what_can_not_be_an_answer_is_a_sentence_and_changes_nothing(
    options: list[str], code: int, sentence: str, cli: Cli, rb: Runbook, both: Wait
) -> None:
    result = cli("answer", both.session_id, *options)
    assert result.exit_code == code
    assert sentence in " ".join(result.stderr.replace("│", " ").split())
    assert said(rb, both) is None


def test_a_second_answer_is_shown_the_first(cli: Cli, rb: Runbook, both: Wait) -> None:
    cli("answer", both.session_id, "--wait", "1", "--deny", "--text", "not on a Friday")
    result = cli("answer", both.session_id, "--wait", "1", "--approve", "--text", "x")
    assert (result.exit_code, result.stdout) == (commands.REFUSED, "")
    assert "is already answered by arn:aws:" in result.stderr
    assert "denied (not on a Friday)" in " ".join(result.stderr.split())
    assert said(rb, both) == [(False, "not on a Friday")] * 2


@pytest.mark.usefixtures("terminal")
@pytest.mark.parametrize(
    ("options", "typed", "answers"),
    [
        ([], "y\n\nthe third\ny\n", [(True, ""), (True, "the third")]),
        (["--wait", "1"], "n\nno\n\ny\n", [(False, "no"), (False, "")]),
        (["--deny"], "y\n", [(False, "")] * 2),
        ([], "y\n\nthe third\nn\n", None),
        ([], "y\n", None),
        (["--deny"], "\n", None),
    ],
)
def test_on_a_terminal_it_shows_the_questions_and_asks(
    options: list[str], typed: str, answers: Any, cli: Cli, rb: Runbook, both: Wait
) -> None:
    result = cli("answer", both.session_id, *options, stdin=typed)
    assert "Which quarter?" in result.stdout
    assert said(rb, both) == answers
    assert result.exit_code == (commands.DONE if answers else commands.REFUSED)
    if answers is None:
        assert "nothing was" in result.stderr


def test_what_an_agent_asks_never_acts_on_the_terminal(cli: Cli, rb: Runbook, history: History) -> None:
    wait = asks(rb, history, replace(MAIL, text=HOSTILE.replace("\ud800", ""), tool="\x1b[2Jmail"))
    for arguments in (["waiting"], ["show", wait.session_id], ["answer", wait.session_id, "--wait", "1", "--deny"]):
        result = cli(*arguments)
        assert result.exit_code == commands.DONE
        assert HARMLESS.fullmatch(result.stdout + result.stderr), arguments
        assert "␛[2J" in result.stdout


def test_whoever_follows_a_run_that_waits_is_told_so(cli: Cli, rb: Runbook, both: Wait, history: History) -> None:
    asked = f"waits for an answer to 2 questions until {both.until:%Y-%m-%d %H:%M} UTC: mailer [2] send_mail, planner"
    result = cli("watch", both.session_id, "--timeout", "0")
    assert asked in " ".join(result.stdout.split())
    assert result.exit_code == commands.TIMED_OUT
    assert "It goes on once it is answered: `runbook waiting`" in " ".join(result.stderr.split())
    shown = " ".join(cli("show", both.session_id).stdout.split())
    assert "OPEN: waits for a person since" in shown
    assert f"Next: answer {both.session_id} --wait 1" in shown
    cli("answer", both.session_id, "--wait", "1", "--deny")
    shown = " ".join(cli("show", both.session_id).stdout.split())
    assert "OPEN: no outcome yet" in shown
    assert " answered: denied" in shown
    history.close(both.session_id, Status.AGENT_BACKGROUND_TASK_COMPLETED, utc_now())
    assert cli("watch", both.session_id).exit_code == commands.DONE
