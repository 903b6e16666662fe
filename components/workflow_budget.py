"""What the state machine has to know, and what follows from it: how many polls, how many retries, which time limits.

Owns the arithmetic that keeps an execution within Step Functions' history limit; `components/workflow_definition.py`
has the states.
"""

import math
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from pulumi import Input

from components.settings import Settings

HISTORY_LIMIT = 25_000
"""Events an execution may have: https://docs.aws.amazon.com/step-functions/latest/dg/service-quotas.html"""
EVENTS_PER_POLL = 9
"""Wait and Choice enter and exit, the query enters, is scheduled, started, succeeded, and exits."""
EVENTS_PER_CALLBACK_POLL = 13
"""The waiting task enters, is scheduled, started, submitted, times out, and exits: 6 in place of the Wait's 2."""
EVENTS_PER_TRY = 3
EVENTS_PER_ATTEMPT = 30
SPARED_ATTEMPTS = 2
"""How many environments that shut down before they began don't count as an attempt."""
EVENTS_ONCE = 60
EVENTS_PER_WAIT = 40
"""The poll that notices it, stopping the session with its retries, the answers' expiry, the next segment."""
EVENTS_PER_ANSWER_LOOK = 18
"""A look has 5, a choice 2, an announcement 5, the waiting task 6."""
TURNS_PER_WAIT = 24
MIN_TURN_SECONDS = 600
TRANSITIONS_PER_ANSWER_LOOK = 4
"""Look, choice, announcement, waiting task."""
TRANSITIONS_PER_WAIT = 1
"""Stop, expiry and the next segment, less the announcement and the waiting task that don't follow the last look."""
RETRY_DELAY_SECONDS = 2
MAX_RETRY_DELAY_SECONDS = 60
TRANSITION_RETRY_SECONDS = 180
"""How long to wait for a session whose last environment is shutting down; a minute has been observed."""
ESSENTIAL_RETRY_SECONDS = 600
"""How long a claim or a close is retried before the execution fails."""
DAY_SECONDS = 86_400
LAST_RESORT_SECONDS = 900
MAX_POLL_SECONDS = 3600
TRANSITIONS_PER_POLL = 3
"""Wait, query, choice."""
TRANSITIONS_ONCE = 6
"""Claim, invoke, release, publish, and the two that end the execution."""


@dataclass(frozen=True, slots=True)
class WorkflowSettings:
    """What the state machine has to know. ARNs and names may be Pulumi outputs; the stack's settings are plain."""

    stack: Settings
    function_arn: Input[str]
    table_name: Input[str]
    event_bus_name: Input[str]


def growth(settings: Settings) -> float:
    """Return what each interval between polls is multiplied with to get the next."""
    return 1 + settings.poll_growth_percent / 100


def first_interval_seconds(settings: Settings) -> int:
    """Return the time until the first poll."""
    return settings.callback_poll_seconds if settings.completion == "callback" else settings.poll_interval_seconds


def longest_interval_seconds(settings: Settings) -> int:
    """Return what the time between two polls grows to."""
    return max(first_interval_seconds(settings), settings.poll_max_interval_seconds)


def poll_intervals(settings: Settings) -> Iterator[int]:
    """Yield the seconds before each poll of a run that never ends."""
    interval = float(first_interval_seconds(settings))
    while True:
        yield math.floor(interval)
        interval = min(interval * growth(settings), longest_interval_seconds(settings))


def polls(settings: Settings, run_seconds: float) -> int:
    """Return how many polls a run of that length takes."""
    count, waited = 0, 0
    for interval in poll_intervals(settings):
        if waited >= run_seconds:
            break
        count, waited = count + 1, waited + interval
    return count


def transitions(settings: Settings, run_seconds: float) -> int:
    """Return how many state transitions a run of that length takes, with completion `poll` and nothing lost."""
    return TRANSITIONS_ONCE + TRANSITIONS_PER_POLL * polls(settings, run_seconds)


def polls_until_longest(settings: Settings) -> int:
    """Return the number of polls after which the interval stops growing."""
    first, longest = first_interval_seconds(settings), longest_interval_seconds(settings)
    if longest <= first or growth(settings) <= 1:
        return 0
    return math.ceil(math.log(longest / first, growth(settings)))


def answer_turn_seconds(settings: Settings) -> int:
    """Return how long a run waits for a person until it looks: what a lost wake-up costs."""
    return min(settings.answer_seconds, max(MIN_TURN_SECONDS, math.ceil(settings.answer_seconds / TURNS_PER_WAIT)))


def answer_looks(settings: Settings) -> int:
    """Return how often a run looks for an answer that nobody gives, until it has expired."""
    return math.ceil(settings.answer_seconds / answer_turn_seconds(settings)) + 1


def wait_transitions(settings: Settings) -> int:
    """Return how many state transitions a wait takes that nobody answers."""
    return TRANSITIONS_PER_WAIT + TRANSITIONS_PER_ANSWER_LOOK * answer_looks(settings)


def undisturbed_events(settings: Settings) -> int:
    """Return how many history events the longest run takes if nothing is lost, throttled or retried."""
    per_poll = EVENTS_PER_CALLBACK_POLL if settings.completion == "callback" else EVENTS_PER_POLL
    looks = polls(settings, settings.max_run_seconds + settings.lease_seconds)
    per_wait = EVENTS_PER_WAIT + EVENTS_PER_ATTEMPT + answer_looks(settings) * EVENTS_PER_ANSWER_LOOK
    return EVENTS_ONCE + looks * per_poll + EVENTS_PER_ATTEMPT + settings.max_waits * per_wait


def history_events(settings: Settings) -> int:
    """Return how many history events the longest run takes at worst: every poll, attempt, wait and retry."""
    throttled = tries_for(settings.invoke_retry_seconds) * min(settings.max_attempts, 2)
    in_transition = tries_for(TRANSITION_RETRY_SECONDS)
    starts_again = settings.max_attempts - 1 + SPARED_ATTEMPTS
    essential = tries_for(ESSENTIAL_RETRY_SECONDS)
    per_segment = starts_again * (EVENTS_PER_ATTEMPT + EVENTS_PER_TRY * in_transition) + EVENTS_PER_TRY * throttled
    # After an answer the session's last environment may still be shutting down; an expiry is as essential as a close.
    per_wait = per_segment + EVENTS_PER_TRY * (in_transition + essential)
    return undisturbed_events(settings) + per_segment + EVENTS_PER_TRY * 2 * essential + settings.max_waits * per_wait


def check_budget(settings: Settings) -> None:
    """Refuse settings whose longest run doesn't fit into an execution's history, or outlives its own records.

    :raises ValueError: if it takes more than 25,000 history events, or may be open for longer than its records are kept
    """
    _check_history(settings)
    open_days = math.ceil(machine_timeout_seconds(settings) / DAY_SECONDS)
    if settings.journal_ttl_days < open_days:
        waits = f", {_waits(settings)}" if settings.max_waits else ""
        raise ValueError(
            f"fire-and-forget:journalTtlDays is {settings.journal_ttl_days}{waits}: a run may be open for {open_days} "
            f"days, and nothing of an open run may expire. Set journalTtlDays to {open_days} or more"
            + (", or maxWaits or answerSeconds to less." if waits else ", or invokeRetrySeconds to less.")
        )


def _waits(settings: Settings) -> str:
    return (
        f"maxWaits {settings.max_waits}, answerSeconds {settings.answer_seconds} and invokeRetrySeconds "
        f"{settings.invoke_retry_seconds}"
    )


def _check_history(settings: Settings) -> None:
    needed = history_events(settings)
    if needed <= HISTORY_LIMIT:
        return
    key = "callbackPollSeconds" if settings.completion == "callback" else "pollIntervalSeconds"
    was = next(poll_intervals(settings))
    fitting = next(
        (value for value in range(was, MAX_POLL_SECONDS + 1) if _fits(_with_poll_seconds(settings, value))), 0
    )
    longest = _most(settings, "max_run_seconds")
    cures = [
        *([f"{key} to {fitting} or more"] if fitting else []),
        *([f"maxRunSeconds to {longest} or less"] if longest else []),
    ]
    if settings.max_waits:
        waits, patience = _most(settings, "max_waits"), _most(settings, "invoke_retry_seconds")
        cures += [f"maxWaits to {waits} or less"] if waits else []
        cures += [f"invokeRetrySeconds to {patience} or less"] if patience else []
    cure = f"Set {', or '.join(cures)}." if cures else "It takes more than one of them to change that."
    also = f", {_waits(settings)}" if settings.max_waits else ""
    raise ValueError(
        f"fire-and-forget:{key} is {was} with fire-and-forget:maxRunSeconds {settings.max_run_seconds}{also}: the "
        f"longest run would take {needed} history events, and Step Functions allows {HISTORY_LIMIT}. {cure}"
    )


def _most(settings: Settings, field: str) -> int:
    """Return the highest value of a field with which all of it fits, or 0."""

    def events(value: int) -> int:
        changed: dict[str, Any] = {field: value}
        return history_events(replace(settings, **changed))

    fitting = bisect_right(range(getattr(settings, field)), HISTORY_LIMIT, key=events)
    return max(0, fitting - 1)


def tries_for(seconds: int) -> int:
    """Return how many retries with full jitter take that long on average."""
    tries, waited, delay = 0, 0.0, float(RETRY_DELAY_SECONDS)
    while waited < seconds:
        tries, waited = tries + 1, waited + delay / 2
        delay = min(2 * delay, MAX_RETRY_DELAY_SECONDS)
    return tries


def machine_timeout_seconds(settings: Settings) -> int:
    """Return the last resort: later than the agent's own deadline and the state machine's check of it."""
    segments = settings.max_waits + 1
    waiting_for_a_place = 2 * settings.invoke_retry_seconds * segments + LAST_RESORT_SECONDS
    lost = (settings.lease_seconds + TRANSITION_RETRY_SECONDS) * (settings.max_attempts + 1) * segments
    # A look comes a turn late at most, and an expiry is tried again for a while.
    a_wait = settings.answer_seconds + 2 * answer_turn_seconds(settings) + ESSENTIAL_RETRY_SECONDS
    return waiting_for_a_place + settings.max_run_seconds + lost + settings.max_waits * a_wait


def _with_poll_seconds(settings: Settings, seconds: int) -> Settings:
    return replace(settings, poll_interval_seconds=seconds, callback_poll_seconds=seconds)


def _fits(settings: Settings) -> bool:
    return history_events(settings) <= HISTORY_LIMIT
