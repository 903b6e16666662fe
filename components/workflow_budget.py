"""The state machine's settings, and what follows from them: how many polls, how many retries, which time limits.

Owns the arithmetic that keeps an execution within Step Functions' history limit; `components/workflow_definition.py`
has the states.
"""

import math
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, replace

from pulumi import Input

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
RETRY_DELAY_SECONDS = 2
MAX_RETRY_DELAY_SECONDS = 60
TRANSITION_RETRY_SECONDS = 180
"""How long to wait for a session whose last environment is shutting down; a minute has been observed."""
ESSENTIAL_RETRY_SECONDS = 600
"""How long a claim or a close is retried before the execution fails."""
LAST_RESORT_SECONDS = 900
MAX_POLL_SECONDS = 3600


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkflowSettings:
    """What the state machine has to know. ARNs and names may be Pulumi outputs; numbers are plain.

    :ivar event_source: the source of the events that start runs
    :ivar poll_interval_seconds: time until the first look at the journal, with completion `poll`
    :ivar callback_poll_seconds: the same with completion `callback`
    :ivar poll_max_interval_seconds: what the time between looks grows to; less than the first means no growth
    :ivar poll_growth_percent: how much longer each interval is than the one before
    :ivar max_run_seconds: from the first acknowledgement to the run's deadline
    :ivar lease_seconds: how long an agent counts as alive after a sign of life
    :ivar max_attempts: how often a lost agent is started, the first time included
    :ivar invoke_retry_seconds: how long a throttled start is tried again, on average (the delays are random)
    :ivar completion: `poll`, or `callback` with polls in between
    """

    function_arn: Input[str]
    table_name: Input[str]
    event_bus_name: Input[str]
    event_source: str
    poll_interval_seconds: int = 10
    poll_max_interval_seconds: int = 10
    poll_growth_percent: int = 10
    max_run_seconds: int = 3600
    lease_seconds: int = 120
    max_attempts: int = 3
    invoke_retry_seconds: int = 3600
    journal_ttl_days: int = 90
    completion: str = "poll"
    callback_poll_seconds: int = 120

    @property
    def growth(self) -> float:
        """The factor from each interval to the next."""
        return 1 + self.poll_growth_percent / 100

    @property
    def first_interval_seconds(self) -> int:
        """The time until the first poll."""
        return self.callback_poll_seconds if self.completion == "callback" else self.poll_interval_seconds

    @property
    def longest_interval_seconds(self) -> int:
        """What the time between two polls grows to."""
        return max(self.first_interval_seconds, self.poll_max_interval_seconds)


def poll_intervals(settings: WorkflowSettings) -> Iterator[int]:
    """Yield the seconds before each poll of a run that never ends."""
    interval = float(settings.first_interval_seconds)
    while True:
        yield math.floor(interval)
        interval = min(interval * settings.growth, settings.longest_interval_seconds)


def polls(settings: WorkflowSettings, run_seconds: float) -> int:
    """Return how many polls a run of that length takes."""
    count, waited = 0, 0
    for interval in poll_intervals(settings):
        if waited >= run_seconds:
            break
        count, waited = count + 1, waited + interval
    return count


def polls_until_longest(settings: WorkflowSettings) -> int:
    """Return the number of polls after which the interval stops growing."""
    if settings.longest_interval_seconds <= settings.first_interval_seconds or settings.growth <= 1:
        return 0
    return math.ceil(math.log(settings.longest_interval_seconds / settings.first_interval_seconds, settings.growth))


def undisturbed_events(settings: WorkflowSettings) -> int:
    """Return how many history events the longest run takes if nothing is lost, throttled or retried."""
    per_poll = EVENTS_PER_CALLBACK_POLL if settings.completion == "callback" else EVENTS_PER_POLL
    looks = polls(settings, settings.max_run_seconds + settings.lease_seconds)
    return EVENTS_ONCE + looks * per_poll + EVENTS_PER_ATTEMPT


def history_events(settings: WorkflowSettings) -> int:
    """Return how many history events the longest run takes at worst: every poll, attempt and retry."""
    throttled = tries_for(settings.invoke_retry_seconds) * min(settings.max_attempts, 2)
    in_transition = tries_for(TRANSITION_RETRY_SECONDS)
    starts_again = settings.max_attempts - 1 + SPARED_ATTEMPTS
    essential = 2 * tries_for(ESSENTIAL_RETRY_SECONDS)
    return (
        undisturbed_events(settings)
        + starts_again * (EVENTS_PER_ATTEMPT + EVENTS_PER_TRY * in_transition)
        + EVENTS_PER_TRY * (throttled + essential)
    )


def check_poll_budget(settings: WorkflowSettings) -> None:
    """Refuse settings whose polls don't fit into an execution's history.

    :raises ValueError: if the longest run takes more than 25,000 history events
    """
    needed = history_events(settings)
    if needed <= HISTORY_LIMIT:
        return
    key = "callbackPollSeconds" if settings.completion == "callback" else "pollIntervalSeconds"
    was = next(poll_intervals(settings))
    fitting = next(
        (value for value in range(was, MAX_POLL_SECONDS + 1) if _fits(_with_poll_seconds(settings, value))), 0
    )
    longest = bisect_right(
        range(settings.max_run_seconds),
        HISTORY_LIMIT,
        key=lambda seconds: history_events(replace(settings, max_run_seconds=seconds)),
    )
    raise ValueError(
        f"fire-and-forget:{key} is {was} with fire-and-forget:maxRunSeconds {settings.max_run_seconds}: the longest "
        f"run would take {needed} history events, and Step Functions allows {HISTORY_LIMIT}. Set {key} to {fitting} or "
        f"more, or maxRunSeconds to {longest - 1} or less."
    )


def tries_for(seconds: int) -> int:
    """Return how many retries with full jitter take that long on average."""
    tries, waited, delay = 0, 0.0, float(RETRY_DELAY_SECONDS)
    while waited < seconds:
        tries, waited = tries + 1, waited + delay / 2
        delay = min(2 * delay, MAX_RETRY_DELAY_SECONDS)
    return tries


def machine_timeout_seconds(settings: WorkflowSettings) -> int:
    """Return the last resort: later than the agent's own deadline and the state machine's check of it."""
    waiting_for_a_place = 2 * settings.invoke_retry_seconds + LAST_RESORT_SECONDS
    lost = (settings.lease_seconds + TRANSITION_RETRY_SECONDS) * (settings.max_attempts + 1)
    return waiting_for_a_place + settings.max_run_seconds + lost


def _with_poll_seconds(settings: WorkflowSettings, seconds: int) -> WorkflowSettings:
    return replace(settings, poll_interval_seconds=seconds, callback_poll_seconds=seconds)


def _fits(settings: WorkflowSettings) -> bool:
    return history_events(settings) <= HISTORY_LIMIT
