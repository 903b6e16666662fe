"""What happens within a step, wherever it is shown and counted."""

from __future__ import annotations

import pytest

from runbook import render
from runbook.costs import estimate
from runbook.events import Events
from runbook.lanes import lanes
from runbook.render_steps import tree
from runbook.steps import Kind, attempts, step_tokens
from runbook.summary import RunSummary
from runbook.within import said
from runtime.agent.definition import Step
from runtime.agent.progress import progress
from runtime.journal.records import Event
from runtime.journal.vocabulary import Status
from tests.runbook.test_lanes import ID, at
from tests.runbook.test_render import shown
from tests.support.mortal_run import MortalRun
from tests.support.scripted_model import DeterministicModel, calls, says

SONNET = "anthropic.claude-sonnet-4-6"
CALL = {"call": 0, "tool": "send_mail"}


def spent(number: int, **cached: int) -> dict[str, int]:
    """Totals after so much work."""
    return {"inputTokens": 100 * number, "outputTokens": number} | cached


def turn(seconds: float, number: int, after: str, attempt: int = 1, **detail: object) -> Event:
    """A stored turn of the mailer."""
    return at(seconds, "TASK_MAILER_TURN", attempt, turn=number, detail={"after": after, **detail})


def called(seconds: float, number: int, tokens: dict[str, int], attempt: int = 1) -> Event:
    """A turn in which the model called a tool."""
    return turn(seconds, number, "model", attempt, tools=[CALL | {"input": '{"to": "a"}'}], tokens=tokens)


def tool(seconds: float, number: int, claim: str, attempt: int = 1) -> Event:
    """What became of a call that must not happen twice."""
    return at(seconds, "TASK_MAILER_TOOL", attempt, turn=number, detail=CALL | {"claim": claim})


LOST = [
    at(0, Status.SESSION_INITIATED),
    at(1, Status.AGENT_BACKGROUND_TASK_STARTED, 1),
    at(2, "TASK_MAILER_STARTED", 1),
    called(3, 1, spent(1)),
    tool(3.1, 1, "claimed"),
    turn(4, 1, "tools", tools=[CALL | {"status": "success", "characters": 1234}]),
    at(4.5, "TASK_MAILER_PROGRESS", 1, turn=2, detail={"text": "half of them [bold]done[/bold]"}),
    called(5, 2, spent(2, cacheReadTokens=1000)),
    tool(5.1, 2, "claimed"),
    at(9, Status.AGENT_BACKGROUND_TASK_LOST, 1),
]
RESUMED = [
    *LOST,
    at(10, Status.AGENT_BACKGROUND_TASK_STARTED, 2),
    at(11, "TASK_MAILER_STARTED", 2),
    at(
        12,
        "TASK_MAILER_RESUMED",
        2,
        turn=2,
        detail={"turn": 2, "fromAttempt": 1, "definitionChanged": True, "tokens": spent(2, cacheReadTokens=1000)},
    ),
    tool(12.1, 2, "unknown", 2),
    called(13, 3, spent(3, cacheReadTokens=3000, cacheWriteTokens=500), 2),
]


def summary(events: list[Event]) -> RunSummary:
    """A run of these events."""
    return RunSummary(Events(ID, events), None, None, [], [], None)


def test_each_event_within_a_step_is_said_in_words() -> None:
    assert [words for event in RESUMED if (words := said(event))] == [
        'calls send_mail({"to": "a"})',
        "send_mail is called, which must not happen twice",
        "has heard send_mail (1,234 characters)",
        "half of them [bold]done[/bold]",
        'calls send_mail({"to": "a"})',
        "send_mail is called, which must not happen twice",
        "goes on after turn 2 of attempt 1, with other instructions or tools",
        "send_mail is not called again: an earlier attempt has begun this call, and its outcome is unknown",
        'calls send_mail({"to": "a"})',
    ]
    assert said(turn(1, 4, "answer")) == "has answered"
    assert said(tool(1, 4, "refused")).startswith("send_mail is refused: the same call was begun before")
    assert len(said(at(1, "TASK_MAILER_PROGRESS", 1, detail={"text": "x" * 500}))) == 100


QUESTIONS = [{"step": "mailer", "item": 2, "tool": "send_mail"}, {"step": "planner", "tool": "ask"}]
ASKED = {"wait": 1, "until": "2026-11-30T14:00:07.000Z", "questions": QUESTIONS}
ANN = "arn:aws:sts::123456789012:assumed-role/operator/ann"
YES, NO = {"approved": True, "text": ""}, {"approved": False, "text": "too many"}


@pytest.mark.parametrize(
    ("status", "detail", "words"),
    [
        (
            Status.RUN_WAITING,
            ASKED,
            "waits for an answer to 2 questions until 2026-11-30 14:00 UTC: mailer [2] send_mail, planner ask",
        ),
        (Status.RUN_ANSWERED, {"wait": 1, "by": ANN, "answers": [YES, YES]}, "ann answered: approved"),
        (
            Status.RUN_ANSWERED,
            {"by": "arn:aws:iam::123456789012:root", "answers": [YES, NO]},
            "root answered: approved, denied (too many)",
        ),
        (Status.RUN_ANSWERED, {"wait": 1, "expired": True}, "nobody answered in time, which is a denial"),
        ("TASK_MAILER_TURN", {"after": "question", "tools": [CALL]}, "asks a person about send_mail"),
        ("TASK_MAILER_TURN", {"after": "question"}, "asks a person"),
    ],
)
def test_a_question_and_its_answer_are_said_in_words(status: str, detail: dict[str, object], words: str) -> None:
    assert said(at(1, status, 1, detail=detail)) == words


def test_a_run_waits_from_its_question_to_its_answer_and_not_after_its_end() -> None:
    asked, answered = at(2, Status.RUN_WAITING, 1, detail=ASKED), at(3, Status.RUN_ANSWERED, detail={"wait": 1})
    again = at(4, Status.RUN_WAITING, 2, detail=ASKED)
    ended = at(5, Status.SESSION_CANCELLED)
    assert Events(ID, [asked]).open_wait == asked
    assert Events(ID, [asked, answered]).open_wait is None
    assert Events(ID, [asked, answered, again]).open_wait == again
    assert Events(ID, [asked, answered, again, ended]).open_wait is None


def test_turns_in_a_row_are_one_line_with_the_latest_and_what_was_not_called_has_its_own() -> None:
    lines = shown(render.timeline(Events(ID, RESUMED))).splitlines()
    assert "             2 turns, 1 message, send_mail 2 times, the last after 5.1 s: mailer" in lines
    assert any("TASK_MAILER_RESUMED turn 2" in line for line in lines)
    assert "send_mail is not called again" in " ".join(lines)
    assert "half of them" not in " ".join(lines)


def test_a_step_of_a_thousand_turns_is_a_line_of_a_timeline_unless_all_is_asked_for() -> None:
    many = [called(n, n, spent(n)) for n in range(3, 1003)]
    beats = [at(n + 0.5, Status.AGENT_BACKGROUND_TASK_HEARTBEAT, 1) for n in range(3, 1003, 50)]
    events = Events(ID, sorted([*LOST[:3], *many, *beats], key=lambda event: event.created_at))
    assert len(shown(render.timeline(events)).splitlines()) < 8
    assert "1000 turns, 20 heartbeats, last " in shown(render.timeline(events))
    everything = shown(render.timeline(events, everything=True))
    assert everything.count("TASK_MAILER_TURN") == 1000
    assert everything.count("calls send_mail") == 1000


def test_the_tree_says_how_far_a_step_is_and_what_it_does() -> None:
    lines = [line.strip("├└│─ ") for line in shown(tree(summary(RESUMED))).splitlines()]
    assert " ".join(lines[1].split()).startswith("mailer cut off, 3.1 s, 2 turns, 200 in, 2 out, 1,000")
    assert lines[-1] == 'calls send_mail({"to": "a"})'


def test_lanes_mark_turns_resumes_and_calls_that_were_and_were_not_made() -> None:
    lane = next(lane for lane in lanes(summary(RESUMED)) if lane.name.strip() == "mailer")
    assert [(mark.at, mark.kind) for mark in lane.marks] == [
        (3, Kind.TURN),
        (3.1, Kind.CALLED),
        (5, Kind.TURN),
        (5.1, Kind.CALLED),
        (12, Kind.RESUMED),
        (12.1, Kind.NOT_CALLED),
        (13, Kind.TURN),
    ]


def test_what_a_lost_step_has_spent_is_counted_once_with_what_goes_on_from_it() -> None:
    assert step_tokens(LOST) == {"mailer": {None: spent(2, cacheReadTokens=1000)}}
    assert step_tokens(RESUMED) == {"mailer": {None: spent(3, cacheReadTokens=3000, cacheWriteTokens=500)}}
    first, second = attempts(Events(ID, RESUMED), 20)
    assert [(work.turns, work.tokens) for attempt in (first, second) for work in attempt.work] == [
        (2, spent(2, cacheReadTokens=1000)),
        (1, spent(3, cacheReadTokens=3000, cacheWriteTokens=500)),
    ]


def test_what_was_thrown_away_because_a_step_began_anew_is_paid_for_too() -> None:
    anew = [*LOST, at(11, "TASK_MAILER_STARTED", 2), called(12, 1, spent(1), 2), called(13, 2, spent(5), 2)]
    skipped = at(20, "TASK_MAILER_SKIPPED", 3, detail={"tokens": spent(5)})
    for events in (anew, [*anew, skipped]):
        assert step_tokens(events) == {"mailer": {None: spent(7, cacheReadTokens=1000)}}


def test_tokens_from_and_into_a_cache_have_prices_of_their_own() -> None:
    tokens: dict[str, int] = dict.fromkeys(
        ("inputTokens", "outputTokens", "cacheReadTokens", "cacheWriteTokens"), 1000000
    )
    run = summary([at(0, Status.SESSION_INITIATED), called(1, 1, tokens)])
    for model, factor in ((SONNET, 1.0), (f"us.{SONNET}", 1.1)):
        cost = {item.item: round(item.usd or 0, 6) for item in estimate(run, model, 3, 1)}
        kinds = ("input", "output", "cache read", "cache write")
        assert [cost[f"model {kind}"] for kind in kinds] == [round(usd * factor, 6) for usd in (3.0, 15.0, 0.3, 3.75)]
    (step,) = estimate(run, SONNET, 3, 1).steps
    assert (step.cache_read_tokens, step.cache_write_tokens, step.usd) == (1_000_000, 1_000_000, 22.05)


def test_a_run_that_exceeded_its_budget_says_on_what_it_was_spent() -> None:
    ended = at(
        20,
        Status.AGENT_BACKGROUND_TASK_FAILED,
        1,
        error_type="BudgetExceeded",
        error_message="the run may spend 1,000 tokens and has spent 1,200",
        detail={"limit": 1000, "spent": {"analyst": 200, "mailer": 1000}, "tokens": spent(12)},
    )
    text = " ".join(shown(render.summary(summary([*LOST, ended]))).split())
    assert "BudgetExceeded: the run may spend 1,000 tokens" in text
    assert "spent on mailer 1,000, analyst 200" in text
    assert "tokens 200 in, 2 out, 1,000 cache hit" in text


def test_all_that_an_agent_journals_of_a_step_is_said_in_full() -> None:
    def look_up(what: str) -> str:
        """Look something up."""
        return f"{what} is 42"

    step = Step("mailer", "analyst.md", (look_up, progress), once=("look_up",))
    run = MortalRun(step, DeterministicModel(calls("look_up", "progress", what="a", text="half"), says("done")))
    # As the results are stored: the next attempt goes on, and one call's outcome is unknown.
    run.dies_at = 6
    assert run.begin() is None
    run.dies_at = 0
    assert run.begin()
    events = (at(0, f"TASK_MAILER_{phase}", 1, turn=number, detail=detail) for phase, number, detail in run.events)
    told = [said(event) for event in events]
    assert "goes on after turn 1 of attempt 1" in told
    [heard] = [text for text in told if text.startswith("has heard")]
    assert "look_up (error, " in heard
    assert "progress (5 characters)" in heard
    assert not [text for text in told if not text or "None" in text]
