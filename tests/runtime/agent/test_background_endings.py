"""How a background task ends: whatever its steps do, in exactly one terminal event."""

import asyncio
import sys
from contextlib import suppress
from datetime import timedelta

import pytest

from runtime.agent.artifacts import ArtifactStore, artifact_key
from runtime.journal.records import Event
from runtime.journal.vocabulary import TERMINAL, Status
from tests.runtime.agent.simulation import LEASE_SECONDS, START, Simulation, hangs, raises

ALL_DONE = ["STARTED", "ANALYST_STARTED", "ANALYST_COMPLETED", "REPORTER_STARTED", "REPORTER_COMPLETED", "COMPLETED"]


def the_end(simulation: Simulation) -> Event:
    """Return the terminal event, of which there has to be one, at the end, with the outcome beside it."""
    terminal = [event for event in simulation.events if event.status in TERMINAL]
    assert [event.event_id for event in terminal] == [simulation.events[-1].event_id]
    assert simulation.outcome == terminal[0]
    return terminal[0]


def test_a_run_that_works_journals_every_step_and_its_completion_in_order(simulation: Simulation) -> None:
    simulation.run_task()
    assert simulation.statuses == ALL_DONE
    end = the_end(simulation)
    assert (end.status, end.error_type, end.error_message) == (Status.AGENT_BACKGROUND_TASK_COMPLETED, None, None)
    assert end.detail == {
        "reportKey": artifact_key(simulation.session_id, "reporter"),
        "seconds": end.detail["seconds"] if end.detail else None,
        "tokens": {"inputTokens": 20, "outputTokens": 10},
    }
    assert simulation.detail("ANALYST_COMPLETED")["tokens"] == {"inputTokens": 10, "outputTokens": 5}
    assert simulation.detail("ANALYST_COMPLETED")["artifact"] == artifact_key(simulation.session_id, "analyst")
    assert simulation.artifacts.get(simulation.session_id, "reporter").text == "the report"


def test_every_event_of_a_task_is_a_sign_of_life_of_its_attempt_and_environment(simulation: Simulation) -> None:
    simulation.run_task(2)
    for event in simulation.events:
        assert (event.attempt, event.environment_id) == (2, "environment-2")
        assert event.lease_expires_at == event.created_at + timedelta(seconds=LEASE_SECONDS)


def test_each_step_is_told_the_request_and_what_the_steps_before_it_wrote(simulation: Simulation) -> None:
    simulation.run_task()
    assert simulation.messages["analyst"] == "# Request\n\nWhy is it slow?"
    assert simulation.messages["reporter"].endswith("# What the analyst wrote\n\nthe analysis")


@pytest.mark.parametrize(
    "error",
    [
        ValueError("bad tool"),
        KeyError(),
        TimeoutError("no answer"),
        SystemExit(3),
        asyncio.CancelledError("gone"),
        KeyboardInterrupt("enough"),
        GeneratorExit("done"),
        BaseExceptionGroup("several", [KeyboardInterrupt()]),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_step_that_fails_fails_the_run_with_its_error_and_ends_it(
    error: BaseException, simulation: Simulation
) -> None:
    simulation.work["analyst"] = raises(error)
    simulation.run_task()
    assert simulation.statuses == ["STARTED", "ANALYST_STARTED", "ANALYST_FAILED", "FAILED"]
    end, step = the_end(simulation), simulation.events[-2]
    assert end.error_type == step.error_type == type(error).__name__
    assert end.error_message == step.error_message == (str(error) or repr(error))
    assert step.step == "analyst"
    assert "reporter" not in simulation.messages


def test_the_traceback_of_a_failed_step_is_logged_once(
    simulation: Simulation, caplog: pytest.LogCaptureFixture
) -> None:
    error = ValueError("bad tool")
    simulation.work["reporter"] = raises(error)
    simulation.run_task()
    (record,) = [record for record in caplog.records if record.levelname == "ERROR"]
    assert record.message == "Step reporter failed: bad tool"
    assert record.exc_info
    assert record.exc_info[1] is error
    assert record.name.startswith("bedrock_agentcore.app.")


def test_a_step_that_leaves_the_process_only_leaves_its_run(simulation: Simulation) -> None:
    async def leave() -> str:
        sys.exit("a tool wants out")

    simulation.work["reporter"] = leave
    simulation.run_task()
    assert the_end(simulation).error_message == "a tool wants out"


def test_a_run_that_is_thrown_away_with_its_loop_waits_for_nothing(simulation: Simulation) -> None:
    async def main() -> None:
        workflow = simulation.task()._workflow.run()
        task = asyncio.create_task(workflow)
        await asyncio.sleep(0.1)
        # Raises if it goes on.
        workflow.close()
        task.cancel()
        with suppress(asyncio.CancelledError, RuntimeError):
            await task

    simulation.work["analyst"] = hangs
    simulation.run(main)
    assert simulation.statuses == ["ANALYST_STARTED"]


def test_a_long_error_is_cut_to_2_kb(simulation: Simulation) -> None:
    simulation.work["analyst"] = raises(ValueError("ä" * 5000))
    simulation.run_task()
    assert len((the_end(simulation).error_message or "").encode()) == 2048


def test_a_failure_before_the_first_step_fails_the_run_and_is_logged(
    simulation: Simulation, caplog: pytest.LogCaptureFixture
) -> None:
    simulation.artifacts = ArtifactStore(simulation.s3, "no-such-bucket")
    simulation.run_task()
    assert simulation.statuses == ["STARTED", "FAILED"]
    assert the_end(simulation).error_type == "NoSuchBucket"
    (record,) = [record for record in caplog.records if record.levelname == "ERROR"]
    assert record.message.startswith("The run failed: ")
    assert record.exc_info


def test_the_deadline_ends_a_step_that_hangs_and_says_what_was_running(simulation: Simulation) -> None:
    simulation.deadline_seconds = 100.0
    simulation.work["reporter"] = hangs
    simulation.run_task()
    assert [status for status in simulation.statuses if status != "HEARTBEAT"] == [
        *ALL_DONE[:4],
        "REPORTER_FAILED",
        "FAILED",
    ]
    end = the_end(simulation)
    assert end.error_type == "RunTimedOut"
    assert end.error_message == "the run's deadline, 2026-11-22T20:01:40.000Z, came: step reporter was running"
    assert end.created_at - START < timedelta(seconds=100.1)
    assert simulation.seconds < 101


def test_a_deadline_that_has_passed_already_ends_the_run_at_once(simulation: Simulation) -> None:
    simulation.deadline_seconds = -5.0
    simulation.run_task()
    end = the_end(simulation)
    assert (end.error_type, end.status) == ("RunTimedOut", Status.AGENT_BACKGROUND_TASK_FAILED)
    assert "reporter" not in simulation.messages


def test_a_step_that_does_not_let_itself_be_cancelled_does_not_keep_the_run_open(simulation: Simulation) -> None:
    closed = False

    async def stubborn() -> str:
        while not closed:
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(1000)
        return "much later"

    async def main() -> None:
        nonlocal closed
        await simulation.task().run()
        assert asyncio.get_running_loop().time() < 12
        closed = True
        await asyncio.sleep(2000)

    simulation.deadline_seconds = 10.0
    simulation.work["analyst"] = stubborn
    simulation.run(main)
    assert the_end(simulation).error_type == "RunTimedOut"


def test_a_step_that_fails_while_it_is_cancelled_is_journalled_once(simulation: Simulation) -> None:
    async def fails_on_cancel() -> str:
        try:
            return await hangs()
        except asyncio.CancelledError:
            raise ValueError("the connection broke") from None

    simulation.deadline_seconds = 10.0
    simulation.work["analyst"] = fails_on_cancel
    simulation.run_task()
    assert simulation.statuses == ["STARTED", "ANALYST_STARTED", "ANALYST_FAILED", "FAILED"]
    assert the_end(simulation).error_type == simulation.events[-2].error_type == "RunTimedOut"
