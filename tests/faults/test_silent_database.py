"""A DynamoDB that accepts calls and never answers: everyone who calls it gives up in time, and the run goes on."""

import time
from datetime import timedelta

from runtime.journal.vocabulary import Status
from tests.support.fault_proxy import Call, first, unanswered
from tests.support.faulty_cloud import LEASE_SECONDS, FaultyCloud
from tests.support.http_server import Reply
from tests.support.own_agent import OwnAgent, first_attempt_by
from tests.support.run_story import RunStory
from tests.support.scenarios import Stories, scenario
from tests.support.waiting import wait_until

# Three tries of two seconds each, the pauses between them, and a cold start; boto3 alone would wait for ten minutes.
MAX_CALL_SECONDS = 20
BOTO3_TRIES = 3


@scenario
def silent_for_the_invoker(faulty: FaultyCloud) -> RunStory:
    session_id = faulty.new_session_id()
    began = time.monotonic()

    def is_write(call: Call) -> bool:
        return call.service == "dynamodb" and call.mentions(session_id)

    with faulty.aws.rule(first(BOTO3_TRIES, unanswered, is_write)):
        faulty.start(session_id)
        faulty.wait_for(session_id, Status.AGENT_INVOCATION_STARTED, seconds=MAX_CALL_SECONDS + 5)
        assert time.monotonic() - began > 3, "nothing was held back"
    return faulty.story(session_id)


@scenario
def silent_for_the_agent(faulty: FaultyCloud) -> RunStory:
    session_id = faulty.new_session_id()

    def silence(call: Call) -> Reply | None:
        return unanswered(call) if call.service == "dynamodb" and call.mentions(session_id) else None

    with (
        OwnAgent(faulty) as cut_off,
        OwnAgent(faulty) as successor,
        faulty.agentcore.rule(first_attempt_by(cut_off, successor, session_id)),
        faulty.model.held(session_id) as hold,
    ):
        faulty.start(session_id)
        hold.wait_for_call()
        with faulty.aws.rule(silence):
            silent_since = time.monotonic()
            # It answers all the while, and has given its work up before its lease runs out.
            wait_until(lambda: _ping(cut_off) == "Healthy", "the end of its work", LEASE_SECONDS, 0.1)
            assert time.monotonic() - silent_since < LEASE_SECONDS
        hold.wait_for_call(2)
        hold.release()
        return faulty.story(session_id)


def test_an_invoker_that_gets_no_answer_fails_in_time_and_is_called_again(
    faulty: FaultyCloud, story_of: Stories
) -> None:
    story = story_of(silent_for_the_invoker).check_completed()
    arn = faulty.cloud.runbook.execution(story.session_id).arn
    history = faulty.cloud.client("stepfunctions").get_execution_history(executionArn=arn)["events"]
    (failure,) = [event for event in history if event["type"] == "TaskFailed"]
    assert failure["taskFailedEventDetails"]["error"] == "JournalUnavailable"
    scheduled = next(event for event in history if event["type"] == "TaskScheduled" and event["id"] > 2)
    assert failure["timestamp"] - scheduled["timestamp"] < timedelta(seconds=MAX_CALL_SECONDS)


def test_an_agent_that_cannot_renew_its_lease_stops_itself_and_its_run_goes_on(story_of: Stories) -> None:
    story = story_of(silent_for_the_agent).check_completed()
    assert [event.attempt for event in story.of(Status.AGENT_BACKGROUND_TASK_STARTED)] == [1, 2]
    (lost,) = story.of(Status.AGENT_BACKGROUND_TASK_LOST)
    assert lost.attempt == 1


def _ping(agent: OwnAgent) -> str:
    said = agent.ping()
    assert said, "the agent did not answer /ping within a second: its event loop was blocked"
    return said
