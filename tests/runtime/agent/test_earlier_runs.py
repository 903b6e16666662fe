"""The example of a tool: what it reads, what it says when there is nothing, and that an agent can call it."""

import pytest
from mypy_boto3_s3 import S3Client

from runtime.agent import earlier_runs
from runtime.agent.artifacts import Artifact, ArtifactStore, Usage
from runtime.agent.earlier_runs import MAX_CHARACTERS, read_run
from runtime.agent.errors import ArtifactMissing
from runtime.contract.errors import InvalidRequest


@pytest.fixture
def store(s3: S3Client, monkeypatch: pytest.MonkeyPatch) -> ArtifactStore:
    store = ArtifactStore(s3, "artifacts")
    monkeypatch.setattr(earlier_runs, "_store", lambda: store)
    return store


def test_a_run_reads_as_what_its_steps_wrote(store: ArtifactStore, session_id: str) -> None:
    store.put(session_id, Artifact("plan", "Look at the cache.", Usage()))
    store.put(session_id, Artifact("answer", "It was the cache.", Usage()))
    assert read_run(session_id) == "# answer\n\nIt was the cache.\n\n# plan\n\nLook at the cache."


def test_a_long_artifact_is_cut_to_what_a_model_can_take_several_of(store: ArtifactStore, session_id: str) -> None:
    store.put(session_id, Artifact("plan", "x" * 2 * MAX_CHARACTERS, Usage()))
    assert read_run(session_id).count("x") == MAX_CHARACTERS


def test_a_run_without_artifacts_is_missing(store: ArtifactStore, session_id: str) -> None:
    with pytest.raises(ArtifactMissing, match=session_id):
        read_run(session_id)


def test_an_id_that_is_none_reads_nothing(store: ArtifactStore) -> None:
    with pytest.raises(InvalidRequest, match=r"session_id is '\.\./'"):
        read_run("../")
