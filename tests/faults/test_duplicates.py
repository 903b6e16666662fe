"""The same thing asked for more than once is done once."""

import json
from concurrent.futures import ThreadPoolExecutor

from runtime.journal.vocabulary import Status
from tests.support.fault_proxy import Call, first
from tests.support.faulty_cloud import FaultyCloud
from tests.support.http_server import Reply
from tests.support.own_agent import OwnAgent, handled_by
from tests.support.run_story import RunStory
from tests.support.scenarios import Stories, scenario

DELIVERIES = 20


@scenario
def invoked_in_two_environments_at_once(faulty: FaultyCloud) -> RunStory:
    session_id = faulty.new_session_id()
    with OwnAgent(faulty) as one, OwnAgent(faulty) as other, ThreadPoolExecutor(2) as threads:

        def both(_job: object, payload: bytes) -> Reply:
            asked = [threads.submit(agent.invoke, session_id, payload) for agent in (one, other)]
            answers = [answer.result() for answer in asked]
            assert [answer.status for answer in answers] == [200, 200]
            return answers[0]

        with faulty.agentcore.rule(handled_by(session_id, both)):
            faulty.start(session_id)
            return faulty.story(session_id)


@scenario
def acknowledgement_lost_on_the_way(faulty: FaultyCloud) -> RunStory:
    session_id = faulty.new_session_id()

    def is_invocation(call: Call) -> bool:
        return call.operation == "InvokeAgentRuntime" and call.mentions(session_id)

    # The agent works on until it is called again: a forked one would be done by then.
    with faulty.agentcore.rule(first(1, faulty.agentcore.lost, is_invocation)), faulty.model.held(session_id) as hold:
        faulty.start(session_id)
        faulty.wait_for(session_id, Status.AGENT_INVOCATION_STARTED, count=2)
        hold.release()
        return faulty.story(session_id)


@scenario
def agentcore_answers_503_twice(faulty: FaultyCloud) -> RunStory:
    session_id, seen = faulty.new_session_id(), list[str]()

    def unavailable(call: Call) -> Reply | None:
        if call.operation != "InvokeAgentRuntime" or not call.mentions(session_id):
            return None
        seen.append(call.operation)
        return Reply(503, b"{}", {"Content-Type": "application/json"}) if len(seen) < 3 else None

    with faulty.agentcore.rule(unavailable):
        faulty.start(session_id)
        story = faulty.story(session_id)
    # One call a line in the journal: boto3 has sent nothing again by itself.
    assert len(seen) == len(story.of(Status.AGENT_INVOCATION_STARTED)) == 3, story
    return story


def test_an_event_that_is_delivered_twenty_times_at_once_is_one_run(faulty: FaultyCloud) -> None:
    session_id = faulty.new_session_id()
    execution_input = json.dumps({"session_id": session_id, "request": {"prompt": session_id}})
    with ThreadPoolExecutor(DELIVERIES) as threads:
        arns = list(threads.map(faulty.cloud.start_execution, [execution_input] * DELIVERIES))
        ended = list(threads.map(faulty.cloud.ended_execution, arns))
    assert [execution["status"] for execution in ended] == ["SUCCEEDED"] * DELIVERIES
    story = faulty.story(session_id).check_completed()
    assert len(story.of(Status.SESSION_INITIATED)) == 1
    assert len(story.of(Status.AGENT_INVOCATION_STARTED)) == 1
    assert faulty.model.steps_of(session_id) == ["analyst", "reporter"]


def test_two_invocations_of_one_attempt_in_two_environments_are_one_background_task(
    faulty: FaultyCloud, story_of: Stories
) -> None:
    story = story_of(invoked_in_two_environments_at_once).check_completed()
    assert len(story.of(Status.AGENT_BACKGROUND_TASK_STARTED)) == 1
    assert faulty.model.steps_of(story.session_id) == ["analyst", "reporter"]


def test_an_agent_whose_acknowledgement_got_lost_is_called_again_and_works_once(
    faulty: FaultyCloud, story_of: Stories
) -> None:
    story = story_of(acknowledgement_lost_on_the_way).check_completed()
    (failed,) = story.of(Status.AGENT_INVOCATION_FAILED)
    assert failed.error_type == "AgentUnavailable"
    assert len(story.of(Status.AGENT_INVOCATION_STARTED)) == 2
    assert len(story.of(Status.AGENT_BACKGROUND_TASK_STARTED)) == 1
    assert faulty.model.steps_of(story.session_id) == ["analyst", "reporter"]


def test_a_failed_call_is_repeated_by_the_state_machine_alone(story_of: Stories) -> None:
    story = story_of(agentcore_answers_503_twice).check_completed()
    assert [event.error_type for event in story.of(Status.AGENT_INVOCATION_FAILED)] == ["AgentUnavailable"] * 2
