"""How a replay looks on a terminal."""

import logging
from collections.abc import Iterator
from dataclasses import asdict

from rich.console import Console
from rich.text import Text

from local.replay.comparison import Replay, Side, UnitComparison
from local.replay.record.errors import Stop
from runbook import labels
from runbook.labels import item_label, tokens
from runbook.render_tables import Lines
from runbook.tables import Column, Table, Terminal, shortened
from runbook.waits import shown_question

SHOWN_CHARACTERS = 60


def leave_out_stops() -> None:
    """Keep the tracebacks of what a replay itself ends with out of the log: the comparison says it better."""
    for name in ("bedrock_agentcore.app.steps", "strands.event_loop.event_loop"):
        logging.getLogger(name).addFilter(_is_of_the_code)


def _is_of_the_code(record: logging.LogRecord) -> bool:
    error = record.exc_info[1] if record.exc_info else None
    return not (isinstance(error, Stop) or record.name.startswith("strands"))


def _verdict(unit: UnitComparison) -> str:
    if unit.was_cut_off:
        return "cut off"
    if unit.is_taken:
        return "taken"
    return "same" if unit.same else "different"


def _both(one: str, other: str) -> str:
    return one if one == other else f"{one} → {other}"


def _ends(unit: UnitComparison) -> str | None:
    one, other = (shortened(side.end, SHOWN_CHARACTERS) for side in (unit.recorded, unit.replayed))
    return None if unit.was_cut_off or (one, other) == ("result", "result") else _both(one, other)


def _tokens(side: Side) -> str:
    return tokens(side.usage.as_detail()) if side.usage.total else ""


def _turns(unit: UnitComparison) -> str | None:
    turns = _both(str(unit.recorded.turns), str(unit.replayed.turns)) if not unit.is_taken else ""
    return None if turns in ("", "0") else turns


class Comparisons(Table[UnitComparison]):
    """Steps and items, recorded and replayed."""

    columns = (
        Column("step", heading="step", terminal=Terminal.LINE, read=lambda unit: unit.step + item_label(unit.item)),
        Column("verdict", heading="", terminal=Terminal.LINE, read=_verdict, style=lambda unit: _style(same=unit.same)),
        Column("turns", heading="turns", terminal=Terminal.LINE, read=_turns),
        Column(
            "tokens",
            heading="tokens",
            terminal=Terminal.LINE,
            read=lambda unit: (
                _both(_tokens(unit.recorded), "" if unit.is_taken else _tokens(unit.replayed))
                if not unit.is_taken
                else None
            ),
        ),
        Column("ends", heading="end", terminal=Terminal.BELOW, read=_ends),
    )


def print_replay(replay: Replay, console: Console, *, diffs: bool) -> None:
    """Print a comparison: the outcomes, each step and item, and where a model was asked something else.

    :param diffs: whether to print what differs of the results
    """
    console.print(f"run {replay.folder.session_id}, workflow {replay.workflow}", style="bold")
    for line in _outcome(replay):
        console.print(line)
    for line in _people(replay):
        console.print(line)
    console.print()
    console.print(Lines(Comparisons(replay.units)))
    if stopped := replay.request_differs:
        console.print(f"\n{stopped}:", style="red", markup=False)
        console.print(Text.assemble(*_coloured(stopped.diff)))
    for unit in replay.units if diffs else ():
        if unit.diff and not unit.was_cut_off and unit.texts_count:
            console.print(f"\n{unit.step}{item_label(unit.item)}:", markup=False)
            console.print(Text.assemble(*_coloured(unit.diff)))
    for note in replay.notes:
        console.print(f"\n{note}", style="yellow", markup=False)
    console.print(f"\nThe replay is {'the same' if replay.same else 'different'}.", style=_style(same=replay.same))


def _outcome(replay: Replay) -> Iterator[Text]:
    recorded, now = (_said(end) for end in (replay.recorded_end, replay.end))
    yield Text(f"recorded  {recorded}")
    yield Text(f"replayed  {now}", _style(same=replay.same_end))


def _people(replay: Replay) -> Iterator[Text]:
    """What people were asked in the recorded run, and what they said."""
    for wait in replay.folder.waits:
        for question, answer in wait.said:
            said = labels.answers([asdict(answer)]) if answer else "no answer"
            by = "nobody in time" if wait.expired else labels.who(wait.by or "")
            asked = f"{question.step}{labels.item_label(question.item)}: {shown_question(asdict(question))}"
            yield Text(f"asked     {asked}: {said}{f', {by}' if by else ''}")


def _said(end: tuple[str | None, str | None, str | None]) -> str:
    status, error_type, message = end
    return (status or "open") + (f"  {error_type}: {message}" if error_type else "")


def _style(*, same: bool) -> str:
    return "green" if same else "red"


def _coloured(text: str) -> Iterator[tuple[str, str]]:
    for line in text.splitlines():
        style = {"+": "green", "-": "red", "@": "cyan"}.get(line[:1], "")
        yield f"{line}\n", style
