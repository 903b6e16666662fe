"""An environment that is told to go gives its lease back, so that the next attempt need not wait for its end."""

import asyncio
from collections.abc import Callable, Coroutine
from datetime import timedelta
from typing import Any

import pytest

from runtime.journal.vocabulary import TERMINAL, Status
from tests.runtime.agent.simulation import LEASE_SECONDS, START, Simulation, hangs, says
from tests.support.faulty_dynamodb import NoAnswer, client_error, conflict, first, timed_out

HEARTBEAT = Status.AGENT_BACKGROUND_TASK_HEARTBEAT


def cancelled_after(simulation: Simulation, seconds: float) -> Callable[[], Coroutine[Any, Any, float]]:
    """Return a run of a task that is cancelled after some seconds; it returns how long the task then took to end."""

    async def main() -> float:
        task = asyncio.create_task(simulation.task().run())
        await asyncio.sleep(seconds)
        task.cancel()
        await asyncio.wait({task})
        assert task.cancelled()
        return asyncio.get_running_loop().time() - seconds

    return main


def test_a_task_that_is_cancelled_releases_its_lease_and_says_what_it_was_doing(simulation: Simulation) -> None:
    simulation.work["reporter"] = hangs
    assert simulation.run(cancelled_after(simulation, 20.0)) < 0.1
    assert simulation.statuses == ["STARTED", "ANALYST_STARTED", "ANALYST_COMPLETED", "REPORTER_STARTED", "HEARTBEAT"]
    released = simulation.events[-1]
    assert released.lease_expires_at == released.created_at
    assert released.created_at - START == timedelta(seconds=20)
    assert released.attempt == 1
    assert released.detail == {"released": "the environment is shutting down", "running": ["reporter"]}
    assert simulation.outcome is None


UNCLAIMED = {"released": "the environment is shutting down", "unclaimed": True}


def test_a_task_that_has_to_go_before_its_claim_gives_the_lease_back_and_leaves_the_attempt(
    simulation: Simulation,
) -> None:
    async def main() -> None:
        await simulation.task().give_back()

    simulation.run(main)
    [released] = simulation.events
    assert (released.status, released.attempt, released.detail) == (HEARTBEAT, 1, UNCLAIMED)
    assert released.lease_expires_at == released.created_at
    simulation.run_task(1)
    assert simulation.statuses[1:] == [
        "STARTED",
        "ANALYST_STARTED",
        "ANALYST_COMPLETED",
        "REPORTER_STARTED",
        "REPORTER_COMPLETED",
        "COMPLETED",
    ]


def test_a_claim_that_is_done_while_its_task_has_to_go_is_released_as_one(simulation: Simulation) -> None:
    simulation.blocking_seconds = 0.2
    assert simulation.run(cancelled_after(simulation, 0.1)) < 0.5
    assert simulation.statuses == ["STARTED", "HEARTBEAT"]
    assert simulation.events[-1].detail == {"released": "the environment is shutting down"}


def test_a_lease_is_given_back_though_another_write_was_in_its_way(simulation: Simulation) -> None:
    simulation.work["analyst"] = hangs
    simulation.table.decide = first(2, conflict, of=HEARTBEAT)
    assert simulation.run(cancelled_after(simulation, 20.0)) < 0.2
    assert simulation.statuses == ["STARTED", "ANALYST_STARTED", "HEARTBEAT"]


@pytest.mark.parametrize("fault", [timed_out, NoAnswer], ids=["fails", "hangs"])
def test_a_claim_that_could_not_be_made_in_time_is_given_back(
    fault: Callable[[], BaseException], simulation: Simulation
) -> None:
    simulation.table.decide = lambda status: fault() if "STARTED" in status else None
    assert simulation.run(cancelled_after(simulation, 20.0)) < 0.5
    assert simulation.statuses == ["HEARTBEAT"]
    assert simulation.events[-1].detail == UNCLAIMED


@pytest.mark.parametrize("claimed", [1, 2])
def test_the_lease_of_an_attempt_that_another_task_has_claimed_is_not_given_back(
    claimed: int, simulation: Simulation
) -> None:
    async def main() -> None:
        late = simulation.task(1)
        await simulation.attempt(claimed).claim()
        await late.give_back()

    simulation.run(main)
    assert simulation.statuses == ["STARTED"]


def test_the_next_attempt_goes_on_where_the_released_one_was(simulation: Simulation) -> None:
    simulation.work["reporter"] = hangs
    simulation.run(cancelled_after(simulation, 20.0))
    simulation.work["reporter"] = says("the report")
    simulation.run_task(2)
    assert simulation.statuses[5:] == [
        "STARTED",
        "ANALYST_SKIPPED",
        "REPORTER_STARTED",
        "REPORTER_COMPLETED",
        "COMPLETED",
    ]


def test_no_heartbeat_takes_a_released_lease_back(simulation: Simulation) -> None:
    simulation.work["analyst"] = hangs
    simulation.blocking_seconds = 0.5

    async def main() -> None:
        task = asyncio.create_task(simulation.task().run())
        # Just before a heartbeat is due, so that it would come while the release is being written.
        await asyncio.sleep(0.5 + LEASE_SECONDS / 4 - 0.1 + 0.5)
        task.cancel()
        await asyncio.wait({task})

    simulation.run(main)
    assert simulation.events[-1].detail == {"released": "the environment is shutting down", "running": ["analyst"]}
    assert simulation.statuses.count("HEARTBEAT") == 1


def test_a_step_that_fails_because_it_is_cancelled_does_not_take_a_released_lease_back(simulation: Simulation) -> None:
    async def fails_on_cancel() -> str:
        try:
            return await hangs()
        finally:
            raise ValueError("the connection broke")

    simulation.work["analyst"] = fails_on_cancel
    simulation.run(cancelled_after(simulation, 20.0))
    assert simulation.statuses == ["STARTED", "ANALYST_STARTED", "HEARTBEAT"]


@pytest.mark.parametrize(
    "fault", [timed_out, NoAnswer, lambda: client_error("AccessDeniedException", 400)], ids=["fails", "hangs", "denied"]
)
def test_a_lease_that_cannot_be_given_back_does_not_hold_up_the_shutdown(
    fault: Callable[[], BaseException], simulation: Simulation
) -> None:
    simulation.work["analyst"] = hangs
    simulation.table.decide = lambda status: fault() if status == HEARTBEAT else None
    assert simulation.run(cancelled_after(simulation, 20.0)) <= 1.1
    assert simulation.statuses == ["STARTED", "ANALYST_STARTED"]


def test_a_task_of_a_run_that_is_closed_has_nothing_to_give_back(simulation: Simulation) -> None:
    simulation.work["analyst"] = hangs

    async def main() -> None:
        task = asyncio.create_task(simulation.task().run())
        await asyncio.sleep(5)
        simulation.journal.close(simulation.journal.stamp(simulation.session_id, Status.SESSION_CANCELLED))
        task.cancel()
        await asyncio.wait({task})

    simulation.run(main)
    assert simulation.statuses == ["STARTED", "ANALYST_STARTED", "SESSION_CANCELLED"]


def test_a_step_that_does_not_let_itself_be_cancelled_holds_up_the_shutdown_for_a_second(
    simulation: Simulation,
) -> None:
    gone = False

    async def stubborn() -> str:
        while not gone:
            try:
                await asyncio.sleep(10)
            except asyncio.CancelledError:
                continue
        return ""

    async def main() -> float:
        nonlocal gone
        took = await cancelled_after(simulation, 5.0)()
        gone = True
        await asyncio.sleep(20)
        return took

    simulation.work["analyst"] = stubborn
    assert simulation.run(main) <= 1.1
    assert simulation.statuses[-1] == "HEARTBEAT"


def test_whoever_waits_is_woken_after_the_outcome_and_after_a_release(simulation: Simulation) -> None:
    woken: list[tuple[str, bool]] = []

    async def wake(session_id: str) -> None:
        woken.append((session_id, simulation.outcome is not None))

    simulation.wake = wake
    simulation.work["reporter"] = hangs
    simulation.run(cancelled_after(simulation, 20.0))
    assert woken == [(simulation.session_id, False)]
    simulation.work["reporter"] = says("the report")
    simulation.run_task(2)
    assert woken == [(simulation.session_id, False), (simulation.session_id, True)]
    assert simulation.statuses[-1] == "COMPLETED"
    assert len([event for event in simulation.events if event.status in TERMINAL]) == 1
