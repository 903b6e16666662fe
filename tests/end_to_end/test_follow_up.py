"""The example workflow on the real machine: it reads an earlier run by the right of the agent's role, and asks."""

import uuid

import pytest

from runbook.answering import OpenWait
from runtime.journal.vocabulary import Status
from tests.support.fake_model import FakeModel
from tests.support.rights import without
from tests.support.running_cloud import RunningCloud
from tests.support.waiting import wait_until

# How the end is noticed has nothing to do with tools.
pytestmark = pytest.mark.parametrize("cloud", ["poll"], indirect=True)


@pytest.fixture(scope="module")
def earlier(cloud: RunningCloud) -> str:
    """A run that wrote something."""
    session_id = str(uuid.uuid4())
    cloud.client("s3").put_object(
        Bucket=cloud.output("artifactBucketName"), Key=f"sessions/{session_id}/plan.md", Body=b"Look at the cache."
    )
    return session_id


def follow_up(cloud: RunningCloud, model: FakeModel, earlier: str) -> str:
    """Return what the model was told last."""
    model.queue_tool_call("read_run", {"session_id": earlier})
    model.queue_text("It was the cache.")
    session_id = cloud.runbook.trigger(f"What did {earlier} find?", workflow="follow_up")
    assert cloud.wait_for_end(session_id).status == Status.AGENT_BACKGROUND_TASK_COMPLETED
    assert "TASK_LIBRARIAN_COMPLETED" in cloud.statuses(session_id)
    return model.conversations[-1].last_message


def test_the_agent_reads_an_earlier_run_with_its_tool(cloud: RunningCloud, model: FakeModel, earlier: str) -> None:
    assert "Look at the cache." in follow_up(cloud, model, earlier)


def test_without_the_right_the_model_is_told_and_the_run_goes_on(
    cloud: RunningCloud, model: FakeModel, earlier: str
) -> None:
    with without(cloud, "agent", "s3:GetObject"):
        told = follow_up(cloud, model, earlier)
    assert "AccessDenied" in told
    assert "s3:GetObject" in told


@pytest.mark.parametrize("approved", [True, False])
def test_while_a_person_is_asked_there_is_no_process_and_what_is_approved_is_posted(
    cloud: RunningCloud, model: FakeModel, approved: bool
) -> None:
    model.queue_tool_call("post_notice", {"text": "Restart the cache first."})
    model.queue_text("Done.")
    session_id = cloud.runbook.trigger("Tell the others.", workflow="follow_up")
    wait_until(lambda: asked_by(cloud, session_id), "its question", 60, 0.2)
    (asked,) = asked_by(cloud, session_id)
    assert "Restart the cache first." in asked.text
    environments = cloud.parts.data_plane.environments
    wait_until(lambda: session_id not in {found.session_id for found in environments()}, "no process", 30)
    assert "TASK_LIBRARIAN_PROGRESS" not in cloud.statuses(session_id)
    cloud.runbook.answer(asked, asked.answers(approved))
    assert cloud.wait_for_end(session_id).status == Status.AGENT_BACKGROUND_TASK_COMPLETED
    assert cloud.statuses(session_id).count("TASK_LIBRARIAN_PROGRESS") == approved
    assert asked_by(cloud, session_id) == []


def asked_by(cloud: RunningCloud, session_id: str) -> list[OpenWait]:
    """Return what a run asks."""
    return [found for found in cloud.runbook.waiting() if found.session_id == session_id]
