"""What a background task may still write, and when it stops itself."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from itertools import pairwise

import pytest

from runtime.agent.threads import at_work
from runtime.journal.errors import JournalError
from runtime.journal.vocabulary import TERMINAL, Status
from runtime.journal.writer import Standing
from tests.runtime.agent.simulation import LEASE_SECONDS, START, Simulation, hangs, raises, says
from tests.support.faulty_dynamodb import Fault, LostAnswer, NoAnswer, client_error, first, throttled, timed_out
from tests.support.virtual_time import jump

COMPLETED = Status.AGENT_BACKGROUND_TASK_COMPLETED
HEARTBEAT = Status.AGENT_BACKGROUND_TASK_HEARTBEAT
QUARTER = LEASE_SECONDS / 4


def second_of(simulation: Simulation, status: str) -> list[float]:
    """Return when the events with a status were written, in seconds since the start."""
    found = [event for event in simulation.events if event.status == status]
    return [round((event.created_at - START).total_seconds(), 1) for event in found]


def beats(simulation: Simulation) -> list[float]:
    return second_of(simulation, HEARTBEAT)


def write_later(simulation: Simulation, seconds: float, write: Callable[[], None]) -> Callable[[], None]:
    """Let somebody else write something while the task runs; return a function that begins that."""

    def begin() -> None:
        asyncio.get_running_loop().call_later(seconds, write)

    return begin


def run_while(simulation: Simulation, begin: Callable[[], None]) -> None:
    async def main() -> None:
        begin()
        await simulation.task().run()

    simulation.run(main)


def cancel_the_run(simulation: Simulation) -> None:
    simulation.journal.close(simulation.journal.stamp(simulation.session_id, Status.SESSION_CANCELLED))


def claim(simulation: Simulation, attempt: int) -> None:
    event = simulation.journal.stamp(
        simulation.session_id, Status.AGENT_BACKGROUND_TASK_STARTED, attempt=attempt, lease_seconds=LEASE_SECONDS
    )
    simulation.journal.claim_attempt(event, Standing(attempt, 3))


# The claim


@pytest.mark.parametrize("claimed", [1, 2, 3])
def test_a_task_whose_attempt_is_claimed_or_over_stops_without_a_word(claimed: int, simulation: Simulation) -> None:
    run_while(simulation, lambda: claim(simulation, claimed))
    assert simulation.statuses == ["STARTED"]
    assert simulation.messages == {}
    assert simulation.outcome is None


def test_a_task_of_a_closed_run_stops_without_a_word(simulation: Simulation) -> None:
    run_while(simulation, lambda: cancel_the_run(simulation))
    assert simulation.statuses == ["SESSION_CANCELLED"]
    assert simulation.messages == {}


@pytest.mark.parametrize("fault", [timed_out, throttled, LostAnswer], ids=lambda fault: fault.__name__)
def test_a_claim_that_fails_at_first_is_made_once_and_is_the_tasks_own(
    fault: Callable[[], BaseException], simulation: Simulation
) -> None:
    simulation.table.decide = first(3, fault, of="TASK_STARTED")
    simulation.run_task()
    assert simulation.statuses.count("STARTED") == 1
    assert simulation.statuses[-1] == "COMPLETED"


def test_a_claim_that_is_never_answered_ends_the_task_within_the_lease(simulation: Simulation) -> None:
    simulation.table.decide = first(1, NoAnswer)
    simulation.run_task()
    assert simulation.statuses == []
    assert simulation.seconds < LEASE_SECONDS


def test_an_event_whose_answer_is_lost_is_in_the_journal_once(simulation: Simulation) -> None:
    simulation.table.decide = first(100, LostAnswer)
    simulation.run_task()
    assert len(simulation.statuses) == len(set(simulation.statuses)) == 6
    assert simulation.statuses[-1] == "COMPLETED"


def test_two_tasks_of_one_attempt_in_one_process_are_one_run(simulation: Simulation) -> None:
    async def main() -> None:
        await asyncio.gather(simulation.task().run(), simulation.task().run())

    simulation.run(main)
    assert simulation.statuses.count("STARTED") == simulation.statuses.count("COMPLETED") == 1
    assert simulation.statuses.count("ANALYST_STARTED") == 1


def test_a_role_that_may_not_write_the_journal_leaves_it_as_it_is(
    simulation: Simulation, caplog: pytest.LogCaptureFixture
) -> None:
    simulation.table.decide = lambda _: client_error("AccessDeniedException", 400)
    simulation.run_task()
    assert simulation.statuses == []
    assert "can't be journalled" in caplog.text


# Heartbeats


def test_a_heartbeat_is_written_only_when_nothing_else_was_for_a_quarter_of_the_lease(simulation: Simulation) -> None:
    simulation.work = {"analyst": says("a", after=QUARTER - 1), "reporter": says("b", after=QUARTER - 1)}
    simulation.run_task()
    assert beats(simulation) == []


def test_a_long_step_has_a_heartbeat_every_quarter_of_the_lease(simulation: Simulation) -> None:
    simulation.work["analyst"] = says("a", after=4 * QUARTER - 1)
    simulation.run_task()
    assert beats(simulation) == [QUARTER, 2 * QUARTER, 3 * QUARTER]
    for event in simulation.events:
        assert event.lease_expires_at == event.created_at + timedelta(seconds=LEASE_SECONDS)


def test_other_events_put_the_next_heartbeat_off(simulation: Simulation) -> None:
    simulation.work = {"analyst": says("a", after=20), "reporter": says("b", after=QUARTER + 5)}
    simulation.run_task()
    assert beats(simulation) == [20 + QUARTER]


def test_no_two_signs_of_life_of_a_long_run_are_further_apart_than_a_quarter_of_the_lease(
    simulation: Simulation,
) -> None:
    simulation.work = {"analyst": says("a", after=400), "reporter": says("b", after=133)}
    simulation.run_task()
    moments = [event.created_at for event in simulation.events]
    gaps = [(later - earlier).total_seconds() for earlier, later in pairwise(moments)]
    assert max(gaps) <= QUARTER + 0.1
    assert len(moments) < 533 / QUARTER + 8


@pytest.mark.parametrize(
    ("by", "then"),
    [
        (partial(claim, attempt=2), "STARTED"),
        (partial(claim, attempt=3), "STARTED"),
        (cancel_the_run, "SESSION_CANCELLED"),
    ],
    ids=["attempt 2", "attempt 3", "a cancel"],
)
def test_a_task_learns_by_its_next_heartbeat_that_it_is_over_and_stops(
    by: Callable[[Simulation], None], then: str, simulation: Simulation
) -> None:
    simulation.work["analyst"] = hangs
    run_while(simulation, write_later(simulation, 40, lambda: by(simulation)))
    assert simulation.statuses == ["STARTED", "ANALYST_STARTED", "HEARTBEAT", then]
    assert simulation.seconds < 2 * QUARTER + 1


def test_a_task_that_may_write_nothing_more_waits_for_no_thread_of_a_tool(simulation: Simulation) -> None:
    simulation.work["analyst"] = hangs
    with at_work():
        run_while(simulation, write_later(simulation, 10, lambda: cancel_the_run(simulation)))
    assert simulation.seconds < QUARTER + 0.1


def test_a_step_that_ends_after_its_run_was_cancelled_adds_nothing(simulation: Simulation) -> None:
    simulation.work["analyst"] = says("too late", after=20)
    run_while(simulation, write_later(simulation, 10, lambda: cancel_the_run(simulation)))
    assert simulation.statuses == ["STARTED", "ANALYST_STARTED", "SESSION_CANCELLED"]
    assert "reporter" not in simulation.messages


def test_a_step_that_fails_after_its_successor_began_adds_nothing(simulation: Simulation) -> None:
    simulation.work["analyst"] = raises(ValueError("late"), after=20)
    run_while(simulation, write_later(simulation, 10, lambda: claim(simulation, 2)))
    assert simulation.statuses == ["STARTED", "ANALYST_STARTED", "STARTED"]
    assert simulation.outcome is None


# A journal that can't be written


@pytest.mark.parametrize("fault", [timed_out, throttled, NoAnswer], ids=lambda fault: fault.__name__)
def test_a_task_that_cannot_renew_its_lease_stops_before_it_is_over(
    fault: Callable[[], BaseException], simulation: Simulation
) -> None:
    simulation.work["analyst"] = hangs
    simulation.table.decide = lambda status: fault() if status == HEARTBEAT else None
    simulation.run_task()
    assert simulation.statuses == ["STARTED", "ANALYST_STARTED"]
    assert simulation.outcome is None
    # A little before the state machine counts it as lost.
    assert LEASE_SECONDS / 2 < simulation.seconds < LEASE_SECONDS


@pytest.mark.parametrize("fault", [timed_out, NoAnswer], ids=lambda fault: fault.__name__)
def test_a_task_that_cannot_write_anything_more_stops_and_closes_nothing(
    fault: Callable[[], BaseException], simulation: Simulation
) -> None:
    simulation.table.decide = lambda status: fault() if "STARTED" not in status else None
    simulation.run_task()
    assert simulation.statuses == ["STARTED", "ANALYST_STARTED"]
    assert simulation.seconds < LEASE_SECONDS
    assert not set(simulation.table.tried) & set(TERMINAL)


def test_an_outage_shorter_than_the_lease_costs_nothing(simulation: Simulation) -> None:
    simulation.work = {"analyst": says("a", after=300), "reporter": says("b", after=300)}
    began = START + timedelta(seconds=100)

    def outage(_: str) -> Fault:
        return timed_out() if timedelta(0) < simulation.now() - began < timedelta(seconds=60) else None

    simulation.table.decide = outage
    simulation.run_task()
    assert simulation.statuses[-1] == "COMPLETED"
    assert simulation.statuses.count("ANALYST_STARTED") == 1


def test_a_task_that_was_stopped_for_longer_than_its_lease_writes_nothing_when_it_goes_on(
    simulation: Simulation,
) -> None:
    async def stopped() -> str:
        await asyncio.sleep(10)
        jump(LEASE_SECONDS)
        return "a zombie's answer"

    simulation.work["analyst"] = stopped
    simulation.run_task()
    assert simulation.statuses == ["STARTED", "ANALYST_STARTED"]
    assert len(simulation.table.tried) == 2
    assert simulation.outcome is None


def test_a_task_that_may_not_write_any_more_stops_without_an_outcome(simulation: Simulation) -> None:
    denied = client_error("AccessDeniedException", 400)
    simulation.table.decide = lambda status: denied if "REPORTER" in status or status in TERMINAL else None
    simulation.run_task()
    assert simulation.statuses == ["STARTED", "ANALYST_STARTED", "ANALYST_COMPLETED"]
    assert simulation.outcome is None


# The terminal event


@pytest.mark.parametrize("fault", [timed_out, throttled, LostAnswer], ids=lambda fault: fault.__name__)
@pytest.mark.parametrize("status", [COMPLETED, Status.AGENT_BACKGROUND_TASK_FAILED])
def test_a_run_is_closed_with_the_ending_that_it_had_however_often_that_has_to_be_tried(
    status: Status, fault: Callable[[], BaseException], simulation: Simulation
) -> None:
    if status is not COMPLETED:
        simulation.work["reporter"] = raises(ValueError("no report"))
    simulation.table.decide = first(6, fault, of=status)
    simulation.run_task()
    assert (outcome := simulation.outcome) is not None
    assert outcome.status == status
    assert [event for event in simulation.events if event.status in TERMINAL] == [outcome]
    assert [tried for tried in simulation.table.tried if tried in TERMINAL] == [status] * (
        2 if fault is LostAnswer else 7
    )


@pytest.mark.parametrize("fault", [timed_out, NoAnswer], ids=lambda fault: fault.__name__)
def test_a_run_that_cannot_be_closed_within_the_lease_is_left_to_the_next_attempt(
    fault: Callable[[], BaseException], simulation: Simulation
) -> None:
    simulation.table.decide = lambda status: fault() if status in TERMINAL else None
    simulation.run_task()
    assert simulation.outcome is None
    assert simulation.statuses[-1] == "REPORTER_COMPLETED"
    assert {tried for tried in simulation.table.tried if tried in TERMINAL} == {COMPLETED}
    assert simulation.seconds < LEASE_SECONDS + 2


def test_a_run_that_somebody_else_has_closed_keeps_that_outcome(simulation: Simulation) -> None:
    def cancelled_at_the_end(status: str) -> Fault:
        if status == COMPLETED:
            simulation.table.decide = lambda _: None
            cancel_the_run(simulation)
        return None

    simulation.table.decide = cancelled_at_the_end
    simulation.run_task()
    assert (outcome := simulation.outcome) is not None
    assert outcome.status == Status.SESSION_CANCELLED
    assert simulation.statuses[-1] == "SESSION_CANCELLED"


def test_journal_errors_of_the_task_are_not_raised(simulation: Simulation) -> None:
    simulation.table.decide = lambda _: client_error("ResourceNotFoundException", 400)
    try:
        simulation.run_task()
    except JournalError as error:  # pragma: no cover
        pytest.fail(f"an owner that nobody waits for raised {error}")
