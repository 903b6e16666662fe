"""Writes fail or lose their answer: they are tried again as they were, and the end of a run never becomes another."""

import json

from runtime.journal.vocabulary import Status
from tests.support.fault_proxy import Call, failed, first
from tests.support.faulty_cloud import FaultyCloud
from tests.support.http_server import Reply
from tests.support.own_agent import OwnAgent, handled_by
from tests.support.run_story import RunStory
from tests.support.scenarios import Stories, scenario

# More than boto3 tries by itself.
REFUSALS = 5
LOST = {"AGENT_BACKGROUND_TASK_STARTED", "TASK_ANALYST_COMPLETED", "AGENT_BACKGROUND_TASK_COMPLETED"}


def _closes(call: Call, session_id: str, status: str) -> bool:
    return call.operation == "TransactWriteItems" and call.mentions(session_id) and call.mentions(f'"{status}"')


@scenario
def completed_is_refused_for_a_while(faulty: FaultyCloud) -> RunStory:
    session_id = faulty.new_session_id()
    closes = first(REFUSALS, failed, lambda call: _closes(call, session_id, Status.AGENT_BACKGROUND_TASK_COMPLETED))
    with faulty.aws.rule(closes):
        faulty.start(session_id)
        return faulty.story(session_id)


@scenario
def completed_is_refused_until_the_lease_is_over(faulty: FaultyCloud) -> RunStory:
    session_id = faulty.new_session_id()

    def refused(call: Call) -> Reply | None:
        return failed(call) if _closes(call, session_id, Status.AGENT_BACKGROUND_TASK_COMPLETED) else None

    with faulty.aws.rule(refused):
        faulty.start(session_id)
        faulty.wait_for(session_id, Status.AGENT_BACKGROUND_TASK_LOST)
    return faulty.story(session_id)


@scenario
def failed_is_refused_for_a_while(faulty: FaultyCloud) -> RunStory:
    session_id = faulty.new_session_id()
    faulty.model.reply_with("", to=session_id)
    closes = first(REFUSALS, failed, lambda call: _closes(call, session_id, Status.AGENT_BACKGROUND_TASK_FAILED))
    with faulty.aws.rule(closes):
        faulty.start(session_id)
        return faulty.story(session_id)


@scenario
def success_of_the_invoker_is_refused_for_a_while(faulty: FaultyCloud) -> RunStory:
    session_id = faulty.new_session_id()

    def is_success(call: Call) -> bool:
        return call.operation == "PutItem" and call.mentions(session_id) and call.mentions("AGENT_INVOCATION_SUCCEEDED")

    with faulty.aws.rule(first(REFUSALS, failed, is_success)), faulty.model.held(session_id) as hold:
        faulty.start(session_id)
        faulty.wait_for(session_id, Status.AGENT_INVOCATION_SUCCEEDED)
        hold.release()
        return faulty.story(session_id)


@scenario
def answers_of_the_agents_writes_are_lost(faulty: FaultyCloud) -> RunStory:
    """Each is done, and tried again by boto3 under the same token, and then by the agent under another."""
    session_id, tokens = faulty.new_session_id(), dict[str, str]()

    def lose_first_token(call: Call) -> Reply | None:
        if call.operation != "TransactWriteItems" or not call.mentions(session_id):
            return None
        body = json.loads(call.request.body)
        status, token = body["TransactItems"][0]["Put"]["Item"]["status"]["S"], body["ClientRequestToken"]
        if status not in LOST or tokens.setdefault(status, token) != token:
            return None
        return faulty.aws.lost(call)

    with (
        # boto3 takes seconds for its tries: the lease is not what this is about.
        OwnAgent(faulty, LEASE_SECONDS="60") as agent,
        faulty.agentcore.rule(handled_by(session_id, lambda _, payload: agent.invoke(session_id, payload))),
        faulty.aws.rule(lose_first_token),
    ):
        faulty.start(session_id)
        story = faulty.story(session_id)
    assert tokens.keys() == LOST
    return story


def test_a_refused_write_of_completed_never_becomes_a_failure(story_of: Stories) -> None:
    story = story_of(completed_is_refused_for_a_while).check_completed()
    assert story.ending.attempt == 1
    assert not _failures(story)


def test_a_run_that_could_not_write_completed_at_all_is_completed_by_its_next_attempt(story_of: Stories) -> None:
    story = story_of(completed_is_refused_until_the_lease_is_over).check_completed()
    assert story.ending.attempt == 2
    # On a busy machine there may be a sign of life between them.
    written = [status for status in story.statuses if status != Status.AGENT_BACKGROUND_TASK_HEARTBEAT]
    assert written[-3:-1] == ["TASK_ANALYST_SKIPPED", "TASK_REPORTER_SKIPPED"]
    assert not _failures(story)


def test_a_refused_write_of_failed_is_written_later_with_the_first_error(story_of: Stories) -> None:
    story = story_of(failed_is_refused_for_a_while).check()
    assert story.ending.status == Status.AGENT_BACKGROUND_TASK_FAILED
    assert (story.ending.error_type, story.ending.attempt) == ("EmptyAnswer", 1)


def test_a_refused_success_of_the_invoker_is_written_later_and_nothing_starts_again(story_of: Stories) -> None:
    story = story_of(success_of_the_invoker_is_refused_for_a_while).check_completed()
    assert len(story.of(Status.AGENT_INVOCATION_STARTED)) == 1
    assert len(story.of(Status.AGENT_INVOCATION_SUCCEEDED)) == 1


def test_a_write_that_was_done_though_its_answer_got_lost_counts_once(story_of: Stories) -> None:
    story = story_of(answers_of_the_agents_writes_are_lost).check_completed()
    assert story.ending.attempt == 1
    assert not story.of(Status.AGENT_BACKGROUND_TASK_LOST)
    assert len(story.events) == len({(event.status, event.created_at) for event in story.events})


def _failures(story: RunStory) -> list[str]:
    """What the agent says has failed; a call of it that came while its old session was ending is the invoker's."""
    return [event.status for event in story.events if event.environment_id and event.status.endswith("_FAILED")]
