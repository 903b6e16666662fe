"""What a later attempt, or a run that retries another, takes over instead of doing it again."""

import asyncio
from typing import Any

import pytest
from botocore.exceptions import ResponseStreamingError

from runtime.agent.artifacts import Artifact, Usage, artifact_key
from runtime.contract.request import ClaimedCall, StepSource
from tests.runtime.agent.simulation import LEASE_SECONDS, Simulation, hangs, raises, says
from tests.support.faulty_dynamodb import client_error, timed_out

OTHER = "11111111-0000-4000-8000-000000000000"
ANALYSIS = Artifact("analyst", "an earlier analysis", Usage(100, 50))


@pytest.fixture
def retry(simulation: Simulation) -> Simulation:
    """A run that retries another one, whose analysis is there."""
    simulation.artifacts.put(OTHER, ANALYSIS)
    simulation.take_from = (StepSource(OTHER, ("analyst",)),)
    return simulation


def test_a_step_whose_artifact_is_there_is_skipped_and_its_text_handed_on(simulation: Simulation) -> None:
    simulation.artifacts.put(simulation.session_id, ANALYSIS)
    simulation.run_task(2)
    assert simulation.statuses == [
        "STARTED",
        "ANALYST_SKIPPED",
        "REPORTER_STARTED",
        "REPORTER_COMPLETED",
        "COMPLETED",
    ]
    assert "analyst" not in simulation.messages
    assert simulation.messages["reporter"].endswith("an earlier analysis")


def test_the_tokens_of_skipped_steps_are_in_the_whole_runs(simulation: Simulation) -> None:
    simulation.artifacts.put(simulation.session_id, ANALYSIS)
    simulation.run_task(2)
    assert simulation.detail("ANALYST_SKIPPED")["tokens"] == {"inputTokens": 100, "outputTokens": 50}
    assert simulation.detail("_TASK_COMPLETED")["tokens"] == {"inputTokens": 110, "outputTokens": 55}


def test_an_attempt_that_finds_everything_done_only_closes_the_run(simulation: Simulation) -> None:
    simulation.artifacts.put(simulation.session_id, ANALYSIS)
    simulation.artifacts.put(simulation.session_id, Artifact("reporter", "an earlier report", Usage()))
    simulation.run_task(3)
    assert simulation.statuses == ["STARTED", "ANALYST_SKIPPED", "REPORTER_SKIPPED", "COMPLETED"]
    assert simulation.messages == {}


def test_a_retry_takes_over_what_the_other_run_finished_and_pays_for_the_rest_only(retry: Simulation) -> None:
    retry.run_task()
    assert retry.statuses == ["STARTED", "ANALYST_SKIPPED", "REPORTER_STARTED", "REPORTER_COMPLETED", "COMPLETED"]
    assert retry.detail("ANALYST_SKIPPED") == {
        "artifact": artifact_key(retry.session_id, "analyst"),
        "takenFrom": OTHER,
        "tokens": {"inputTokens": 0, "outputTokens": 0},
    }
    assert retry.detail("_TASK_COMPLETED")["tokens"] == {"inputTokens": 10, "outputTokens": 5}
    assert retry.artifacts.get(retry.session_id, "analyst").text == "an earlier analysis"
    assert retry.messages["reporter"].endswith("an earlier analysis")


def test_a_retry_prefers_what_it_has_itself(retry: Simulation) -> None:
    retry.artifacts.put(retry.session_id, Artifact("analyst", "its own analysis", Usage()))
    retry.run_task(2)
    assert "takenFrom" not in retry.detail("ANALYST_SKIPPED")
    assert retry.messages["reporter"].endswith("its own analysis")


def test_a_retry_of_a_run_that_left_nothing_does_everything(simulation: Simulation) -> None:
    simulation.take_from = (StepSource("0" * 36, ("analyst", "reporter")),)
    simulation.run_task()
    assert simulation.statuses[-1] == "COMPLETED"
    assert simulation.messages.keys() == {"analyst", "reporter"}


def test_each_step_is_taken_over_from_the_newest_run_that_still_has_it(simulation: Simulation) -> None:
    newest, middle, oldest = ("2" * 36, "1" * 36, "0" * 36)
    for session_id, steps in ((middle, ["analyst"]), (oldest, ["analyst", "reporter"])):
        for step in steps:
            simulation.artifacts.put(session_id, Artifact(step, f"of {session_id}", Usage()))
    sources = (newest, ("analyst",)), (middle, ("analyst", "gone")), (oldest, ("analyst", "reporter"))
    simulation.take_from = tuple(StepSource(session_id, steps) for session_id, steps in sources)
    simulation.run_task()
    assert simulation.statuses == ["STARTED", "ANALYST_SKIPPED", "REPORTER_SKIPPED", "COMPLETED"]
    taken = [simulation.detail(f"{step}_SKIPPED")["takenFrom"] for step in ("ANALYST", "REPORTER")]
    assert taken == [middle, oldest]


def test_a_second_artifact_of_a_step_does_not_replace_the_first(simulation: Simulation) -> None:
    async def overtaken() -> str:
        await asyncio.sleep(5)
        simulation.artifacts.put(simulation.session_id, ANALYSIS)
        return "a later analysis"

    simulation.work["analyst"] = overtaken
    simulation.run_task()
    assert simulation.artifacts.get(simulation.session_id, "analyst") == ANALYSIS
    assert simulation.messages["reporter"].endswith("an earlier analysis")
    assert simulation.detail("ANALYST_COMPLETED")["tokens"] == {"inputTokens": 100, "outputTokens": 50}


def test_a_run_without_its_last_artifact_is_not_completed(simulation: Simulation) -> None:
    key = artifact_key(simulation.session_id, "reporter")

    def lose_it(status: str) -> None:
        if status == "TASK_REPORTER_COMPLETED":
            simulation.s3.delete_object(Bucket="artifacts", Key=key)

    simulation.table.decide = lose_it
    simulation.run_task()
    assert simulation.statuses[-2:] == ["REPORTER_COMPLETED", "FAILED"]
    assert (outcome := simulation.outcome) is not None
    assert (outcome.error_type, outcome.error_message) == ("ArtifactMissing", f"artifact {key} is not in the bucket")


def test_an_artifact_that_cannot_be_stored_fails_its_step(
    simulation: Simulation, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(session_id: str, artifact: Artifact) -> Artifact:
        raise PermissionError(f"no {artifact.step}")

    monkeypatch.setattr(simulation.artifacts, "put", refuse)
    simulation.run_task()
    assert simulation.statuses[-2:] == ["ANALYST_FAILED", "FAILED"]


def test_an_attempt_after_a_lost_one_repeats_only_what_was_not_finished(simulation: Simulation) -> None:
    async def main() -> None:
        task = asyncio.create_task(simulation.task().run())
        await asyncio.sleep(5)
        simulation.table.decide = lambda _: timed_out()
        await task

    simulation.work["reporter"] = hangs
    simulation.run(main)
    simulation.table.decide = lambda _: None
    simulation.work["analyst"] = raises(AssertionError("done before"))
    simulation.work["reporter"] = says("the report")
    simulation.run_task(2)
    assert simulation.statuses[-5:] == [
        "STARTED",
        "ANALYST_SKIPPED",
        "REPORTER_STARTED",
        "REPORTER_COMPLETED",
        "COMPLETED",
    ]


# A bucket that fails transiently


def out_of_order(simulation: Simulation, method: str, *, until: float, error: Exception) -> None:
    """Let a method of the artifact store fail until that second of the run."""
    works = getattr(simulation.artifacts, method)

    def call(*args: Any) -> Any:
        if asyncio.get_running_loop().time() < until:
            raise error
        return works(*args)

    setattr(simulation.artifacts, method, call)


SLOW_DOWN = client_error("SlowDown", 503, "PutObject")
BROKEN_OFF = ResponseStreamingError(error="IncompleteRead(3 bytes read, 5 more expected)")


@pytest.mark.parametrize("error", [SLOW_DOWN, BROKEN_OFF, timed_out()], ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("method", ["put", "finished"])
def test_a_bucket_that_is_out_of_order_for_less_than_a_lease_costs_nothing_but_time(
    method: str, error: Exception, simulation: Simulation
) -> None:
    out_of_order(simulation, method, until=LEASE_SECONDS * 0.9, error=error)
    simulation.run_task()
    assert [status for status in simulation.statuses if status != "HEARTBEAT"] == [
        "STARTED",
        "ANALYST_STARTED",
        "ANALYST_COMPLETED",
        "REPORTER_STARTED",
        "REPORTER_COMPLETED",
        "COMPLETED",
    ]
    assert list(simulation.messages) == ["analyst", "reporter"]


def test_an_artifact_that_breaks_off_is_read_again(simulation: Simulation) -> None:
    simulation.artifacts.put(simulation.session_id, ANALYSIS)
    out_of_order(simulation, "get", until=20, error=BROKEN_OFF)
    simulation.run_task(2)
    assert simulation.statuses[-1] == "COMPLETED"
    assert simulation.messages["reporter"].endswith("an earlier analysis")


def test_a_bucket_that_is_out_of_order_for_longer_than_a_lease_fails_the_run(simulation: Simulation) -> None:
    out_of_order(simulation, "put", until=LEASE_SECONDS * 3, error=SLOW_DOWN)
    simulation.run_task()
    assert (outcome := simulation.outcome) is not None
    assert (outcome.error_type, "SlowDown" in str(outcome.error_message)) == ("ClientError", True)
    assert LEASE_SECONDS * 0.9 <= simulation.seconds < LEASE_SECONDS * 1.2


def test_a_bucket_that_refuses_fails_the_run_at_once(simulation: Simulation) -> None:
    out_of_order(simulation, "put", until=1000, error=client_error("AccessDenied", 403, "PutObject"))
    simulation.run_task()
    assert simulation.statuses[-2:] == ["ANALYST_FAILED", "FAILED"]
    assert simulation.seconds < 5


def test_a_step_is_told_which_calls_an_earlier_run_began(simulation: Simulation) -> None:
    simulation.claims = (ClaimedCall("reporter", None, "send_mail", '{"to": "ann"}'),)
    simulation.run_task()
    assert "send_mail" in simulation.messages["reporter"]
    assert "send_mail" not in simulation.messages["analyst"]
