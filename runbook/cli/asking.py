"""Commands that list what runs ask people, and answer it."""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from runbook import labels, render
from runbook.answering import NOT_READ, OpenWait
from runbook.cli.commands import (
    AsJson,
    Session,
    Stack,
    asked,
    command,
    confirm,
    fail,
    is_terminal,
    print_json,
    show,
)
from runbook.connection import EMBEDDED, connect
from runbook.render_tables import Lines
from runtime.journal.waits import MAX_ANSWERS_BYTES, Answer, Question, Wants, shown_answers

NOTHING_DONE = "nothing was answered: without a terminal say what was read and what is answered, --wait {} --approve"
Answering = Callable[[OpenWait], Sequence[Answer]]


@command("waiting", "waiting")
def waiting(as_json: AsJson = False, stack: Stack = EMBEDDED) -> None:
    """List what runs ask people, whole, however old the runs are; wake again what is answered and still waits."""
    found = connect(stack).waiting()
    for session_id in found.woken:
        typer.echo(f"Run {session_id} is answered and had not gone on: it was woken again.", err=True)
    if as_json:
        for each in found.to_json():
            print_json(each)
    elif found:
        show(Lines(found))
        show(Text("Next: answer SESSION --wait W, with --approve, --deny, --text or --file", "dim"))
    else:
        show(Text(found.nothing, "dim"))


@command("answer", 'answer latest --wait 1 --deny --text "not on a Friday"')
def answer(
    session: Session,
    wait: Annotated[int | None, typer.Option(min=1, help="The wait whose questions were read, by its number.")] = None,
    approve: Annotated[bool, typer.Option("--approve", help="Yes, to each of its questions.")] = False,
    deny: Annotated[bool, typer.Option("--deny", help="No, to each of its questions.")] = False,
    text: Annotated[str | None, typer.Option(help="The text that is asked for, or a reason.")] = None,
    file: Annotated[
        Path | None,
        typer.Option(
            help="Different answers: a JSON list, one for each question in its order, such as "
            '`[{"approved": true}, {"approved": false, "text": "why"}, {"text": "an answer"}]`.',
        ),
    ] = None,
    as_json: AsJson = False,
    stack: Stack = EMBEDDED,
) -> None:
    """Answer all questions of a run that waits for a person; without --wait it shows them and asks."""
    given = _given(approve, deny, text, file)
    runbook = connect(stack)
    found = runbook.open_wait(runbook.session_id(session), wait)
    _show(found, as_json=as_json)
    is_asked = wait is None or given is None
    if is_asked and not is_terminal():
        raise fail(NOTHING_DONE.format(found.number))
    answers = given(found) if given else [_typed(number, each) for number, each in enumerate(found.questions, 1)]
    found.check(answers)
    said = labels.answers(shown_answers(answers, found.questions))
    if is_asked:
        confirm(f"Answer wait {found.number} of run {found.session_id} of stack {stack}: {said}?", yes=False)
    answered = runbook.answer(found, answers)
    if as_json:
        what = {"answers": [{"approved": each.approved, "text": each.text} for each in answered.answers]}
        print_json({"sessionId": found.session_id, "wait": found.number, "by": answered.by} | what)
    else:
        show(Text(f"Answered wait {found.number} of run {found.session_id}: {said}"))
        show(Text(f"Next: watch {found.session_id}", "dim"))


def _given(approve: bool, deny: bool, text: str | None, file: Path | None) -> Answering | None:
    """What the options say to answer, None if they say nothing.

    :raises typer.BadParameter: if they contradict each other
    """
    if approve and deny:
        raise typer.BadParameter("--approve and --deny are two answers: give one, or several with --file")
    if file is not None:
        if approve or deny or text is not None:
            raise typer.BadParameter("--file has all answers: leave --approve, --deny and --text out")
        content = _read(file)
        return lambda found: found.parsed_answers(content)
    if not approve and not deny and text is None:
        return None
    return lambda found: found.answers(True if approve else False if deny else None, text or "")


def _read(file: Path) -> str:
    """Return a file's text, as much as answers can be.

    :raises typer.BadParameter: if it can't be read, is longer than that, or not UTF-8
    """
    try:
        with file.open("rb") as opened:
            content = opened.read(2 * MAX_ANSWERS_BYTES)
        text = content.decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise typer.BadParameter(f"--file {file} can't be read as UTF-8: {error}") from None
    if len(content) > MAX_ANSWERS_BYTES:
        raise typer.BadParameter(
            f"--file {file} has more than {MAX_ANSWERS_BYTES} bytes, the most that answers may have"
        )
    return text


def _show(found: OpenWait, *, as_json: bool) -> None:
    """Show what is asked, beside the JSON if that is wanted."""
    console = render.console(sys.stderr if as_json else sys.stdout)
    until = f"{found.wait.until:%Y-%m-%d %H:%M} UTC"
    console.print(Text(f"Wait {found.number} of run {found.session_id}, until {until}:"))
    console.print(Text(found.text if found.problem is None else NOT_READ.format(found.problem), overflow="fold"))


def _typed(number: int, question: Question) -> Answer:
    nothing = "nothing was answered"
    if question.wants is Wants.TEXT:
        text = asked(
            lambda: typer.prompt(f"Answer to {number}, empty to deny", "", show_default=False, err=True), nothing
        )
        return Answer(bool(text.strip()), text)
    approved = asked(lambda: typer.confirm(f"Approve {number}?", default=None, err=True), nothing)
    text = asked(lambda: typer.prompt("Why, if there is a reason", "", show_default=False, err=True), nothing)
    return Answer(bool(approved), text)
