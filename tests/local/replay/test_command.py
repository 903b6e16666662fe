"""`python -m local replay` as a user has it: its exit codes, its tables, a debugger that stops."""

import subprocess
import sys
from pathlib import Path

import pytest

from local.__main__ import main
from runtime.agent.definition import Step
from runtime.journal.waits import Answer, Question
from tests.local.replay.conftest import Recorder
from tests.local.replay.order_desk import order_desk
from tests.support.scripted_model import calls, says

PROJECT = Path(__file__).parents[3]
RUN = Path(__file__).parent / "runs" / "order"
DEBUGGED = """
import sys
from local.__main__ import main
from runtime.agent import definition, workflow
from tests.local.replay import order_desk

async def total(given):
    rows = 6 * 7
    breakpoint()
    return rows

def look_up(order: str) -> str:
    '''Look an order up.

    Args:
        order: its number
    '''
    found = 3 * 5
    breakpoint()
    raise ConnectionError(f"order {order}: the warehouse does not answer")

definition.PROMPTS = order_desk.PROMPTS
send_mail = order_desk.send_mail
workflow.WORKFLOWS["order_desk"] = order_desk.order_desk(code=total, tools=(look_up, send_mail))
main()
"""


def keep_signals(*_: object) -> None:
    """Leave the test process's signals alone."""


def command(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    """Run the command in this process and return its exit code."""
    monkeypatch.setattr("local.__main__.signal.signal", keep_signals)
    monkeypatch.setattr(sys, "argv", ["local", "replay", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    assert isinstance(ended.value.code, int)
    return ended.value.code


def test_the_same_is_0_and_something_different_1_with_its_diff(
    recorder: Recorder, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    recorder.know(order_desk())
    assert command(monkeypatch, str(RUN)) == 0
    shown = capsys.readouterr().out
    assert "The replay is the same." in shown
    assert "20 in, 10 out" in shown
    monkeypatch.setattr(Step, "system_prompt", "Be brief.")
    assert command(monkeypatch, str(RUN)) == 1
    shown = capsys.readouterr()
    assert "+Be brief." in shown.out
    assert "The replay is different." in shown.out
    assert "Traceback" not in shown.err


def test_what_people_said_is_shown(
    recorder: Recorder, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    said = {'{"to": "ann"}': Answer(False, "not ann"), '{"to": "bob"}': Answer(False, expired=True)}

    def answered(question: Question) -> Answer:
        return said[question.text]

    mails = (calls("send_mail", to="ann"), calls("send_mail", to="bob"))
    folder = recorder.desk(*mails, says("1 2"), approve=("send_mail",), answered=answered)
    assert command(monkeypatch, str(folder)) == 0
    shown = capsys.readouterr().out
    assert 'asked     clerk: send_mail({"to": "ann"}): denied (not ann), ann' in shown
    assert 'asked     clerk: send_mail({"to": "bob"}): denied, nobody in time' in shown


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((str(RUN.parent),), "manifest.json can't be used: it is not there"),
        ((str(RUN), "--tools", "look_down"), "--tools names 'look_down', which is no tool of workflow order_desk"),
        ((str(RUN), "--tools", "send_mail"), "only with --force"),
        ((str(RUN), "--live-from", "nowhere"), "the steps of workflow order_desk are clerk, total"),
        ((str(RUN), "--live-from", "total"), "the environment names no region: set AWS_REGION"),
    ],
)
def test_what_cannot_be_replayed_is_2_and_one_sentence(
    recorder: Recorder,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    said: str,
) -> None:
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    recorder.know(order_desk())
    assert command(monkeypatch, *arguments) == 2
    shown = capsys.readouterr()
    assert said in shown.err
    assert shown.err.count("\n") == 1
    assert shown.out == ""


@pytest.mark.slow
def test_with_debug_the_debugger_stops_in_tools_and_in_plain_code(tmp_path: Path) -> None:
    script = tmp_path / "debugged.py"
    script.write_text(DEBUGGED, encoding="utf-8")
    ran = subprocess.run(
        [sys.executable, str(script), "replay", str(RUN), "--debug", "--tools", "look_up"],
        cwd=PROJECT,
        env={"PYTHONPATH": str(PROJECT), "PYTHONWARNINGS": "ignore"},
        input="p found * 100\nimport threading\np threading.current_thread().name\nc\n"
        "p rows * 100\nimport threading\np threading.current_thread().name\nc\n",
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode == 1, ran.stderr
    assert "1500" in ran.stdout
    assert "4200" in ran.stdout
    assert ran.stdout.count("MainThread") == 2
