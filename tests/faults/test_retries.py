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


OTHER_LEADS = [{"question": f"And what about {what}?", "why": "It decides."} for what in ("rain", "snow", "hail")]


@scenario
def retried_from_the_planner(faulty: FaultyCloud) -> list[RunStory]:
    """Two items are finished and one failed; the retry plans otherwise and fails as well; its retry completes."""
    first, runbook = faulty.new_session_id(), faulty.cloud.runbook
    with faulty.model.held(first, "# Your part, 3 of") as third, faulty.model.held(first, "# Your part, [4-7] of 7"):
        faulty.model.fail(to=rf"(?s){first}.*# Your part, 3 of 7")
        faulty.start(first, "investigate")
        faulty.wait_for(first, "TASK_INVESTIGATOR_COMPLETED", count=2)
        third.wait_for_call()
        third.release()
        stories = [faulty.story(first).check()]
    faulty.model.play([("planner", {"items": OTHER_LEADS})], to=first)
    with faulty.model.held(first, "# Your part, 3 of 3") as last:
        faulty.model.fail(to=rf"(?s){first}.*# Your part, 3 of 3")
        second = runbook.retry(first, from_step="planner")
        faulty.wait_for(second, "TASK_INVESTIGATOR_COMPLETED", count=2)
        last.wait_for_call()
        last.release()
        stories.append(faulty.story(second).check())
    return [*stories, faulty.story(runbook.retry(second))]


def test_no_item_of_a_list_that_a_retry_threw_away_is_in_a_later_retry(faulty: FaultyCloud, story_of: Stories) -> None:
    first, second, third = story_of(retried_from_the_planner)
    third.check_completed()
    requests = [faulty.cloud.runbook.metadata(story.session_id).request for story in (second, third)]
    assert (requests[0]["retryFrom"], "takeFrom" in requests[0]) == ("planner", False)
    assert [source["session"] for source in requests[1]["takeFrom"]] == [second.session_id]
    taken = {(event.detail or {}).get("takenFrom") for event in third.events} - {None}
    assert taken == {second.session_id}
    planned = faulty.cloud.runbook.artifact(third.session_id, "planner").data
    assert planned == OTHER_LEADS
    items = [key for key in faulty.cloud.runbook.artifacts(third.session_id) if "/investigator/" in key]
    assert len(items) == len(OTHER_LEADS)
    # The old run stays as it is.
    assert faulty.events(first.session_id) == first.events


def test_a_step_that_failed_at_its_model_says_at_which_call_and_why(story_of: Stories) -> None:
    first, *_ = story_of(retried_from_the_planner)
    (failed,) = [event for event in first.events if event.status == "TASK_INVESTIGATOR_FAILED"]
    call = (failed.detail or {})["modelCall"]
    assert (call["turn"], "scripted failure" in call["errorMessage"]) == (1, True)
    assert call["errorType"]


def test_the_retry_of_a_retry_runs_no_step_that_the_first_run_has_finished(
    faulty: FaultyCloud, story_of: Stories
) -> None:
    story = story_of(retried_twice).check_completed()
    assert _steps(story) == ["TASK_ANALYST_SKIPPED", "TASK_REPORTER_SKIPPED"]
    request = faulty.cloud.runbook.metadata(story.session_id).request
    assert [source["steps"] for source in request["takeFrom"]] == [["analyst"], ["reporter"]]


def _steps(story: RunStory) -> list[str]:
    return [status for status in story.statuses if status.startswith("TASK_")]
