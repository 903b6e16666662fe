"""The invoker dies at the worst moment: the agent works, and nobody has been told."""

import psutil

from runtime.journal.vocabulary import Status
from tests.support.fault_proxy import Call, failed, first
from tests.support.faulty_cloud import FaultyCloud, emulator_process
from tests.support.http_server import Reply
from tests.support.scenarios import Stories


def test_an_invoker_killed_between_the_acknowledgement_and_its_own_event_costs_nothing(
    faulty: FaultyCloud, story_of: Stories
) -> None:
    # All of the function's processes are killed: nobody else may need one.
    story_of.wait_for_all()
    session_id = faulty.new_session_id()

    def kill_the_writer(call: Call) -> Reply:
        for process in _function_processes(faulty):
            process.kill()
        return failed(call)

    def is_success(call: Call) -> bool:
        return call.operation == "PutItem" and call.mentions(session_id) and call.mentions("AGENT_INVOCATION_SUCCEEDED")

    with faulty.aws.rule(first(1, kill_the_writer, is_success)), faulty.model.held(session_id) as hold:
        faulty.start(session_id)
        faulty.wait_for(session_id, Status.AGENT_INVOCATION_SUCCEEDED)
        hold.release()
        story = faulty.story(session_id).check_completed()
    assert story.ending.attempt == 1
    assert len(story.of(Status.AGENT_INVOCATION_STARTED)) == 2
    assert len(story.of(Status.AGENT_INVOCATION_SUCCEEDED)) == 1
    assert len(story.of(Status.AGENT_BACKGROUND_TASK_STARTED)) == 1
    assert faulty.model.steps_of(session_id) == ["analyst", "reporter"]


def _function_processes(faulty: FaultyCloud) -> list[psutil.Process]:
    started = emulator_process(faulty.cloud).children(recursive=True)
    functions = [process for process in started if "awslambdaric" in process.cmdline()]
    assert functions, "no process of the function is running"
    return functions
