"""The example workflow on the real machine: its tool reads an earlier run by the right that the agent's role has."""

import uuid

import pytest

from runtime.journal.vocabulary import Status
from tests.support.fake_model import FakeModel
from tests.support.rights import without
from tests.support.running_cloud import RunningCloud

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
