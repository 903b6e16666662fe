"""A cancel closes a run at once, and its agent stops by itself even where its session can't be stopped."""

import dataclasses
from datetime import timedelta

from runbook import connect_embedded
from runtime.journal.vocabulary import Status
from tests.support.fault_proxy import Call, denied
from tests.support.faulty_cloud import LEASE_SECONDS, FaultyCloud
from tests.support.http_server import Reply
from tests.support.run_story import RunStory
from tests.support.scenarios import Stories, scenario
from tests.support.waiting import wait_until

REASON = "asked for the wrong month"


@scenario
def cancelled_while_stopping_is_denied(faulty: FaultyCloud) -> RunStory:
    session_id = faulty.new_session_id()

    def no_stopping(call: Call) -> Reply | None:
        return denied(call) if call.operation == "StopRuntimeSession" and call.mentions(session_id) else None

    through_proxy = dataclasses.replace(faulty.cloud.stack, agentcore_endpoint_url=faulty.agentcore.url)
    runbook = connect_embedded(through_proxy)
    with faulty.agentcore.rule(no_stopping), faulty.model.held(session_id) as hold:
        faulty.start(session_id)
        hold.wait_for_call()
        cancellation = runbook.cancel(session_id, REASON)
        assert not cancellation.session_stopped
        assert "AccessDeniedException" in str(cancellation.stop_error)
        story = faulty.story(session_id)
        environment = faulty.environment_of(session_id)
        assert environment, "the environment is still there: nobody could stop it"
        stopped = f"Attempt 1 of run {session_id} stops"
        wait_until(lambda: faulty.cloud.runbook.log_events(session_id, text=stopped), stopped, LEASE_SECONDS, 0.05)
        assert faulty.events(session_id) == story.events
    faulty.cloud.runbook.stop_session(session_id)
    return story


def test_a_cancel_closes_the_run_with_its_reason(story_of: Stories) -> None:
    story = story_of(cancelled_while_stopping_is_denied).check()
    assert story.ending.status == Status.SESSION_CANCELLED
    assert story.ending.error_message == REASON
    assert story.statuses[-1] == Status.SESSION_CANCELLED


def test_the_poll_ends_the_execution_of_a_cancelled_run(faulty: FaultyCloud, story_of: Stories) -> None:
    story = story_of(cancelled_while_stopping_is_denied)
    assert story.execution == "FAILED"
    execution = faulty.cloud.runbook.execution(story.session_id)
    described = faulty.cloud.client("stepfunctions").describe_execution(executionArn=execution.arn)
    assert (described["error"], described["cause"]) == ("Cancelled", REASON)


def test_the_agent_of_a_cancelled_run_stops_at_its_next_heartbeat_though_nobody_may_stop_it(story_of: Stories) -> None:
    story = story_of(cancelled_while_stopping_is_denied)
    assert [status for status in story.statuses if status.startswith("TASK_")] == ["TASK_ANALYST_STARTED"]
    began = story.of(Status.AGENT_BACKGROUND_TASK_STARTED)[0].created_at
    assert story.ending.created_at - began < timedelta(seconds=30)
