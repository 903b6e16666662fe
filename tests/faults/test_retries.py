"""A retry of a retry pays for nothing that any run before it has finished."""

from contextlib import ExitStack

from runtime.journal.vocabulary import Status
from tests.support.fault_proxy import Call, denied, failed
from tests.support.faulty_cloud import FaultyCloud
from tests.support.http_server import Reply
from tests.support.run_story import RunStory
from tests.support.scenarios import Stories, scenario


@scenario
def retried_twice(faulty: FaultyCloud) -> RunStory:
    """Both steps are finished and the run is not; its retry fails in the middle of taking them over."""
    first, retries = faulty.new_session_id(), list[str]()

    def no_end_and_one_copy(call: Call) -> Reply | None:
        if call.mentions(first) and call.mentions(f'"{Status.AGENT_BACKGROUND_TASK_COMPLETED}"'):
            return failed(call)
        if call.operation == "PutObject" and any(call.mentions(f"{again}/reporter.md") for again in retries):
            return denied(call)
        return None

    runbook = faulty.cloud.runbook
    with ExitStack() as faults:
        faults.enter_context(faulty.aws.rule(no_end_and_one_copy))
        faulty.start(first)
        faulty.wait_for(first, "TASK_REPORTER_COMPLETED")
        runbook.cancel(first, "looked finished")
        faulty.story(first).check()
        retries.append(runbook.retry(first))
        second = faulty.story(retries[0]).check()
        assert second.ending.status == Status.AGENT_BACKGROUND_TASK_FAILED, second
        assert _steps(second) == ["TASK_ANALYST_SKIPPED", "TASK_REPORTER_FAILED"], second
    return faulty.story(runbook.retry(retries[0]))


def test_the_retry_of_a_retry_runs_no_step_that_the_first_run_has_finished(
    faulty: FaultyCloud, story_of: Stories
) -> None:
    story = story_of(retried_twice).check_completed()
    assert _steps(story) == ["TASK_ANALYST_SKIPPED", "TASK_REPORTER_SKIPPED"]
    request = faulty.cloud.runbook.metadata(story.session_id).request
    assert [source["steps"] for source in request["takeFrom"]] == [["analyst"], ["reporter"]]


def _steps(story: RunStory) -> list[str]:
    return [status for status in story.statuses if status.startswith("TASK_")]
