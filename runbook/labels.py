"""How outcomes, durations and errors are said to people, in terminals, notebooks and pictures alike."""

from collections.abc import Mapping, Sequence
from typing import Any

from runbook.plain_text import visible
from runtime.journal.records import Event
from runtime.journal.vocabulary import TERMINAL, Status

NOTHING = "-"
OPEN = "OPEN"
OUTCOMES = {
    Status.AGENT_BACKGROUND_TASK_COMPLETED: "completed",
    Status.AGENT_BACKGROUND_TASK_FAILED: "failed",
    Status.SESSION_FAILED: "failed",
    Status.SESSION_TIMED_OUT: "timed out",
    Status.SESSION_CANCELLED: "cancelled",
    OPEN: "open",
}
FAILURES = (Status.AGENT_BACKGROUND_TASK_FAILED, Status.SESSION_FAILED, Status.SESSION_TIMED_OUT)


def outcome(status: str) -> str:
    """Return a terminal status, or `OPEN`, as a word or two."""
    return OUTCOMES.get(status, status)


def style(status: str) -> str:
    """Return the colour of a status, as rich names them: good and bad ends stand out, signs of life step back."""
    if status.endswith("_COMPLETED"):
        return "green"
    if status in (Status.SESSION_CANCELLED, Status.RUN_WAITING):
        return "yellow"
    if status in TERMINAL or status.endswith(("_FAILED", "_LOST")):
        return "red"
    return "dim" if status == Status.AGENT_BACKGROUND_TASK_HEARTBEAT else ""


def duration(seconds: float | None) -> str:
    """Return seconds for people: `0.012 s`, `3.2 s`, `4 min 07 s`, `2 h 05 min`."""
    if seconds is None:
        return NOTHING
    if seconds < 1:
        return f"{seconds:.3f} s"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def error(event: Event | None) -> str:
    """Return what went wrong, as its class and its message; an empty text if nothing did."""
    if event is None or not event.error_type:
        return ""
    return visible(f"{event.error_type}: {event.error_message or 'no message'}")


TOKENS = {"inputTokens": "in", "outputTokens": "out", "cacheReadTokens": "cache hit", "cacheWriteTokens": "cached"}
"""The journal's names of tokens, and how they are said."""


def tokens(found: Mapping[str, int] | None) -> str:
    """Return tokens for people: `1,200 in, 30 out, 900 cache hit`; an empty text for none."""
    said = [f"{found[name]:,} {word}" for name, word in TOKENS.items() if name in found] if found else []
    return ", ".join(said) if found and any(found.values()) else ""


def item_label(item: int | None) -> str:
    """Return how an item is named after its step: ` [3]`; nothing for a whole step."""
    return "" if item is None else f" [{item}]"


def amount(number: float) -> str:
    """Return a number with as many of six decimals as it has: `1,200`, `0.0375`."""
    return f"{number:,.6f}".rstrip("0").rstrip(".")


def answers(shown: Sequence[Mapping[str, Any]]) -> str:
    """Return what a person said, as an event shows it: `approved`, `denied (too many), approved`; once if all is one.

    :param shown: see :func:`runtime.journal.waits.shown_answers`
    """
    said = [_answer(answer) for answer in shown]
    return ", ".join(said if len(set(said)) > 1 else said[:1])


def _answer(answer: Mapping[str, Any]) -> str:
    approved, text = bool(answer.get("approved")), str(answer.get("text") or "")
    if answer.get("wants") == "text":
        said = "answered" if approved else "not answered"
    else:
        said = "approved" if approved else "denied"
    return said + (f" ({text})" if text else "")


def who(arn: str) -> str:
    """Return the name in the ARN of somebody who did something: `ann` of `arn:aws:sts::…:assumed-role/operator/ann`."""
    return arn.rpartition("/")[2].rpartition(":")[2]
