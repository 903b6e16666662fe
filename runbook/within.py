"""What happens within a step, in words: turns of its conversation, calls of tools, messages of its agent's own.

Owns how a thousand of these events are said in a line, and how a run's question to a person and its answer are. What
they mean for attempts and lanes is `runbook.steps`'.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from runbook import labels
from runbook.tables import shortened
from runtime.journal.records import Event
from runtime.journal.vocabulary import Status, StepPhase

WITHIN = (StepPhase.TURN, StepPhase.RESUMED, StepPhase.PROGRESS, StepPhase.TOOL)
CLAIMED = "claimed"
_SHOWN_CHARACTERS = 100
_CLAIMS = {
    CLAIMED: "is called, which must not happen twice",
    "unknown": "is not called again: an earlier attempt has begun this call, and its outcome is unknown",
    "refused": "is refused: the same call was begun before, and its outcome is unknown",
}


def phase_of(event: Event) -> StepPhase | None:
    """Return what a step's event says of it, None for other events."""
    ending = event.status.rpartition("_")[2]
    return StepPhase(ending) if event.status.startswith("TASK_") and ending in StepPhase.__members__ else None


def is_within(event: Event) -> bool:
    """Return whether an event is about what a step does, and not about its beginning or its end."""
    return phase_of(event) in WITHIN


def is_routine(event: Event) -> bool:
    """Return whether an event is one of many that only together say something: no resume, no call that wasn't made."""
    phase = phase_of(event)
    is_made = phase is StepPhase.TOOL and (event.detail or {}).get("claim") == CLAIMED
    return is_made or phase in (StepPhase.TURN, StepPhase.PROGRESS) or _is_heartbeat(event)


def said(event: Event) -> str:
    """Return what an event within a step, a question or an answer says, on one line; an empty text for other events."""
    say = _SAY.get(phase_of(event) or event.status)
    return shortened(say(event.detail or {}), _SHOWN_CHARACTERS) if say else ""


def counted(events: Sequence[Event]) -> str:
    """Return how many of each there are: `12 turns, 2 messages, send_mail 3 times, 4 heartbeats`."""
    turns = {(event.step, event.item, event.turn) for event in events if phase_of(event) is StepPhase.TURN}
    messages = sum(phase_of(event) is StepPhase.PROGRESS for event in events)
    calls = Counter(str((event.detail or {}).get("tool")) for event in events if phase_of(event) is StepPhase.TOOL)
    beats = sum(map(_is_heartbeat, events))
    parts = [_number(len(turns), "turn"), _number(messages, "message")]
    parts += [f"{tool} {'once' if count == 1 else f'{count} times'}" for tool, count in calls.items()]
    return ", ".join(part for part in [*parts, _number(beats, "heartbeat")] if part)


def _number(count: int, word: str) -> str:
    return f"{count} {word}{'' if count == 1 else 's'}" if count else ""


def _is_heartbeat(event: Event) -> bool:
    return event.status == Status.AGENT_BACKGROUND_TASK_HEARTBEAT


def _turn(detail: Mapping[str, Any]) -> str:
    tools: Sequence[Mapping[str, Any]] = detail.get("tools") or ()
    if detail.get("after") == "answer":
        return "has answered"
    if detail.get("after") == "tools":
        return "has heard " + ", ".join(_heard(tool) for tool in tools)
    if detail.get("after") == "question":
        return "asks a person" + (f" about {', '.join(str(tool.get('tool')) for tool in tools)}" if tools else "")
    return "calls " + ", ".join(f"{tool.get('tool')}({tool.get('input', '')})" for tool in tools)


def _heard(tool: Mapping[str, Any]) -> str:
    went = "" if tool.get("status") == "success" else f"{tool.get('status')}, "
    return f"{tool.get('tool')} ({went}{tool.get('characters', 0):,} characters)"


def _resumed(detail: Mapping[str, Any]) -> str:
    changed = ", with other instructions or tools" if detail.get("definitionChanged") else ""
    return f"goes on after turn {detail.get('turn')} of attempt {detail.get('fromAttempt')}{changed}"


def _tool(detail: Mapping[str, Any]) -> str:
    claim = str(detail.get("claim"))
    return f"{detail.get('tool')} {_CLAIMS.get(claim, claim)}"


def _waiting(detail: Mapping[str, Any]) -> str:
    questions: Sequence[Mapping[str, Any]] = detail.get("questions") or ()
    until = str(detail.get("until"))[:16].replace("T", " ")
    about = ", ".join(
        f"{each.get('step')}{labels.item_label(each.get('item'))} {each.get('tool')}" for each in questions
    )
    return f"waits for an answer to {_number(len(questions), 'question')} until {until} UTC: {about}"


def _answered(detail: Mapping[str, Any]) -> str:
    if detail.get("expired"):
        return "nobody answered in time, which is a denial"
    return f"{labels.who(str(detail.get('by')))} answered: {labels.answers(detail.get('answers') or ())}"


_SAY: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    StepPhase.TURN: _turn,
    StepPhase.RESUMED: _resumed,
    StepPhase.PROGRESS: lambda detail: str(detail.get("text", "")),
    StepPhase.TOOL: _tool,
    Status.RUN_WAITING: _waiting,
    Status.RUN_ANSWERED: _answered,
}
