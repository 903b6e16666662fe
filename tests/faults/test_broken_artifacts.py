"""A bucket whose answers break off, and one that is out of order for a while: no paid text is lost."""

import signal

from tests.support.fault_proxy import Call, failed, first
from tests.support.faulty_cloud import FaultyCloud
from tests.support.run_story import RunStory
from tests.support.scenarios import Stories, scenario

AT_REPORTER = "# What the analyst wrote"
# More than botocore's own tries get over.
FAULTS = 6


@scenario
def broken_off(faulty: FaultyCloud) -> RunStory:
    """An artifact that the second attempt reads breaks off, several times."""
    session_id = faulty.new_session_id()

    def reads(call: Call) -> bool:
        return call.operation == "GetObject" and call.mentions(session_id)

    with faulty.aws.rule(first(3, faulty.aws.lost, reads)):
        return faulty.signalled_in_a_step(signal.SIGKILL, AT_REPORTER, session_id=session_id)


@scenario
def not_stored_at_once(faulty: FaultyCloud) -> RunStory:
    session_id = faulty.new_session_id()

    def writes(call: Call) -> bool:
        return call.operation == "PutObject" and call.mentions(session_id)

    with faulty.aws.rule(first(FAULTS, failed, writes)):
        faulty.start(session_id)
        return faulty.story(session_id)


def test_an_artifact_that_breaks_off_is_read_again(faulty: FaultyCloud, story_of: Stories) -> None:
    story = story_of(broken_off).check_completed()
    assert "TASK_ANALYST_SKIPPED" in story.statuses
    reads = [call for call in faulty.aws.calls if call.operation == "GetObject" and call.mentions(story.session_id)]
    assert len(reads) >= 4
    assert faulty.model.steps_of(story.session_id) == ["analyst", "reporter", "reporter"]


def test_a_text_that_the_bucket_does_not_take_at_once_is_stored_and_paid_for_once(
    faulty: FaultyCloud, story_of: Stories
) -> None:
    story = story_of(not_stored_at_once).check_completed()
    assert faulty.model.steps_of(story.session_id) == ["analyst", "reporter"]
