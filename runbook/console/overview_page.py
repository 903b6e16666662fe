"""The console's first page as HTML: headline and rows. Widgets and static pages are made of the same pieces."""

from collections.abc import Sequence
from datetime import datetime

from runbook.console.html import about, ago, badge, block, moment, style, text
from runbook.console.overview import Overview, Row
from runbook.console.spending import Spent
from runbook.labels import duration

PROMPT_CHARACTERS = 200
ERROR_CHARACTERS = 400
STATIC_ROWS = 200


def headline(overview: Overview, letters: int | None = None, spent: Spent | None = None) -> str:
    """Return the numbers that come first.

    :param letters: dead letters, None while they are not counted
    :param spent: None while it is not added up
    """
    since = moment(overview.since, overview.as_of)
    figures = [
        _figure(overview.failed, f"failed of {_runs(len(overview.rows))}", bad=overview.failed > 0),
        _figure(overview.open, "open"),
        _figure(overview.stuck, "stuck", bad=overview.stuck > 0),
        _figure(
            "…" if letters is None else letters, "dead letter" if letters == 1 else "dead letters", bad=bool(letters)
        ),
        _figure("…" if spent is None else _dollars(spent), _spent_on(spent)),
    ]
    return block(
        f'<p class="rbc-stack"><b>{text(overview.stack)}</b> since {since} UTC</p>'
        f'<div class="rbc-figures">{"".join(figures)}</div>'
    )


def row(found: Row, now: datetime) -> str:
    """Return a run as a row; what went wrong, or what goes on, stands on a line of its own."""
    notes = [*_notes(found, now)]
    below = f'<div class="rbc-below">{" · ".join(notes)}</div>' if notes else ""
    return block(
        f"{badge(found.word)}<span>{moment(found.began_at or found.ended_at, now)}</span>"
        f"<span>{duration(found.seconds)}{' old' if found.is_open else ''}</span>"
        f"<span>{text(found.workflow, 40)}</span>"
        f'<span class="rbc-prompt">{text(found.prompt, PROMPT_CHARACTERS) or "<i>no prompt</i>"}</span>{below}',
        "rbc-row",
    )


def heading() -> str:
    """Return what stands above the rows."""
    names = ("", "began (UTC)", "took", "workflow", "asked")
    return block("".join(f"<span>{name}</span>" for name in names), "rbc-row", "rbc-heading")


def nothing(overview: Overview) -> str:
    """Return what stands in the place of rows where there are none."""
    why = "No run matches." if overview.rows else "No run began or ended in this time, and none is open."
    return block(f"<p>{why}</p>")


def static_page(
    overview: Overview,
    letters: int | None,
    spent: Spent | None,
    unanswered: Sequence[str] = (),
    questions: str = "",
) -> str:
    """Return the whole page for where nothing can be clicked.

    :param unanswered: what could not be found out
    :param questions: HTML of what runs ask people
    """
    shown = overview.rows[:STATIC_ROWS]
    rows = "".join(row(found, overview.as_of) for found in shown) or nothing(overview)
    left = len(overview.rows) - len(shown)
    more = f"<p>… and {left} older ones</p>" if left else ""
    missing = "".join(f'<p class="rbc-error">{text(sentence)}</p>' for sentence in unanswered)
    as_of = block(f"{missing}{more}<p>As of {overview.as_of:%Y-%m-%d %H:%M:%S} UTC.</p>")
    return (
        f'{style()}<div class="rbc-page">{headline(overview, letters, spent)}{questions}{heading()}{rows}{as_of}</div>'
    )


def _notes(found: Row, now: datetime) -> list[str]:
    notes: list[str] = []
    if found.trouble:
        notes.append(f'<span class="rbc-error">{text(found.trouble, ERROR_CHARACTERS)}</span>')
    if found.error:
        error = text(found.error, ERROR_CHARACTERS)
        notes.append(f'<span class="rbc-error">{error}</span>' if found.is_failure else error)
    if found.is_open:
        notes += _goings_on(found, now)
    if found.retried_as:
        notes.append(f"retried as {text(found.retried_as[:8])}")
    if found.retry_of:
        notes.append(f"retries {text(found.retry_of[:8])}")
    return notes


def _goings_on(found: Row, now: datetime) -> list[str]:
    if found.waiting:
        return [found.waiting]
    doing = f"step {text(', '.join(found.steps), 80)}" if found.steps else "no step yet"
    sign = f"last sign of life {ago(found.last_sign_at, now)}" if found.last_sign_at else "no sign of life"
    if found.deadline is None:
        return [doing, sign, "no deadline yet"]
    left = found.deadline - now
    return [
        doing,
        sign,
        f"deadline in {about(left)}" if left.total_seconds() > 0 else f"deadline was {ago(found.deadline, now)}",
    ]


def _figure(number: object, label: str, *, bad: bool = False) -> str:
    return f'<div class="rbc-figure{" rbc-bad" if bad else ""}"><b>{number}</b><span>{label}</span></div>'


def _runs(number: int) -> str:
    return "1 run" if number == 1 else f"{number} runs"


def _dollars(spent: Spent) -> str:
    digits = 2 if spent.usd >= 1 else 4
    return f"{'≥ ' if spent.is_partial else ''}&#36;{spent.usd:.{digits}f}"


def _spent_on(spent: Spent | None) -> str:
    if spent is None or spent.counted == spent.runs:
        return "estimated cost"
    return f"estimated cost of {spent.counted} of {_runs(spent.runs)}"
