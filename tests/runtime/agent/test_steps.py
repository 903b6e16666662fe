"""What a later attempt, or a run that retries another, takes over instead of doing it again."""

import asyncio

import pytest

from runtime.agent.artifacts import Artifact, Usage, artifact_key
from tests.runtime.agent.simulation import Simulation, hangs, raises, says
from tests.support.faulty_dynamodb import timed_out

OTHER = "11111111-0000-4000-8000-000000000000"
ANALYSIS = Artifact("analyst", "an earlier analysis", Usage(100, 50))


@pytest.fixture
def retry(simulation: Simulation) -> Simulation:
    """A run that retries another one, whose analysis is there."""
    other = f"{simulation.session_id}-retried"
    simulation.artifacts.put(other, ANALYSIS)
    simulation.retry_of = other
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
        "takenFrom": retry.retry_of,
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
    simulation.retry_of = OTHER
    simulation.run_task()
    assert simulation.statuses[-1] == "COMPLETED"
    assert simulation.messages.keys() == {"analyst", "reporter"}


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
