import uuid
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.exceptions import BotoCoreError, ClientError
from botocore.stub import Stubber
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runtime.agent.artifacts import Artifact, ArtifactStore, Usage, artifact_key, connect, is_transient
from runtime.agent.errors import ArtifactMissing
from runtime.contract.errors import InvalidRequest
from runtime.contract.request import SESSION_ID
from runtime.journal.errors import InvalidStepName
from runtime.journal.keys import artifact_prefix
from runtime.journal.vocabulary import STEP_NAME
from tests.support.http_server import HttpServer, Reply

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


@pytest.fixture
def store(s3: "S3Client") -> ArtifactStore:
    return ArtifactStore(s3, "artifacts")


def test_an_artifact_comes_back_as_it_was(store: ArtifactStore, session_id: str) -> None:
    artifact = Artifact("analyst", "# Ergebnis\n\näöü €\n", Usage(12, 7))
    assert store.put(session_id, artifact) == artifact
    assert store.get(session_id, "analyst") == artifact
    assert store.finished(session_id) == {f"sessions/{session_id}/analyst.md"}


def test_an_artifact_is_text_for_whoever_opens_it(store: ArtifactStore, s3: "S3Client", session_id: str) -> None:
    store.put(session_id, Artifact("analyst", "text", Usage(1, 2)))
    found = s3.head_object(Bucket="artifacts", Key=artifact_key(session_id, "analyst"))
    assert found["ContentType"] == "text/markdown; charset=utf-8"
    assert found["Metadata"] == {"input-tokens": "1", "output-tokens": "2"}


def test_the_first_artifact_of_a_step_stays_and_is_what_the_second_writer_gets(
    store: ArtifactStore, session_id: str
) -> None:
    first = Artifact("analyst", "first", Usage(1, 1))
    store.put(session_id, first)
    assert store.put(session_id, Artifact("analyst", "second", Usage(2, 2))) == first
    assert store.get(session_id, "analyst") == first


@pytest.mark.parametrize(
    ("code", "status", "transient"),
    [
        ("ConditionalRequestConflict", 409, True),
        ("SlowDown", 503, True),
        ("InternalError", 500, True),
        ("RequestTimeout", 400, True),
        ("TooManyRequests", 429, True),
        ("AccessDenied", 403, False),
        ("NoSuchBucket", 404, False),
        ("InvalidRequest", 400, False),
    ],
)
def test_only_what_passes_is_worth_another_try(
    code: str, status: int, transient: bool, s3: "S3Client", session_id: str
) -> None:
    with Stubber(s3) as stub:
        stub.add_client_error("put_object", code, http_status_code=status)
        with pytest.raises(ClientError) as refused:
            ArtifactStore(s3, "artifacts").put(session_id, Artifact("analyst", "text", Usage(1, 1)))
    assert is_transient(refused.value) is transient


def test_half_a_character_of_a_model_does_not_cost_its_text(store: ArtifactStore, session_id: str) -> None:
    stored = store.put(session_id, Artifact("analyst", "so \ud83d far", Usage()))
    assert stored == store.get(session_id, "analyst") == Artifact("analyst", "so ? far", Usage())


def test_the_artifacts_of_one_run_are_not_those_of_another_with_a_longer_name(
    store: ArtifactStore, session_id: str
) -> None:
    store.put(f"{session_id}0", Artifact("analyst", "another's", Usage()))
    assert store.finished(session_id) == set()


def test_an_artifact_that_is_not_there_is_missing_by_its_key(store: ArtifactStore, session_id: str) -> None:
    with pytest.raises(ArtifactMissing, match=f"sessions/{session_id}/analyst.md is not in the bucket") as missing:
        store.get(session_id, "analyst")
    assert missing.value.key == artifact_key(session_id, "analyst")


def test_an_artifact_without_counts_cost_nothing(store: ArtifactStore, s3: "S3Client", session_id: str) -> None:
    s3.put_object(Bucket="artifacts", Key=artifact_key(session_id, "analyst"), Body=b"by hand")
    assert store.get(session_id, "analyst") == Artifact("analyst", "by hand", Usage())


def test_many_artifacts_are_listed_page_by_page(session_id: str) -> None:
    client = boto3.client("s3", region_name="us-east-1")
    keys = [artifact_key(session_id, f"step{number}") for number in range(2)]
    wanted: dict[str, Any] = {"Bucket": "artifacts", "Prefix": artifact_prefix(session_id)}
    with Stubber(client) as stubber:
        page: dict[str, Any] = {"IsTruncated": True, "NextContinuationToken": "next", "Contents": [{"Key": keys[0]}]}
        stubber.add_response("list_objects_v2", page, wanted)
        page = {"IsTruncated": False, "Contents": [{"Key": keys[1]}]}
        stubber.add_response("list_objects_v2", page, wanted | {"ContinuationToken": "next"})
        assert ArtifactStore(client, "artifacts").finished(session_id) == set(keys)


def test_a_refused_put_is_raised(session_id: str) -> None:
    client = boto3.client("s3", region_name="us-east-1")
    store = ArtifactStore(client, "artifacts")
    with Stubber(client) as stubber:
        stubber.add_client_error("put_object", "AccessDenied", http_status_code=403)
        with pytest.raises(ClientError, match="AccessDenied"):
            store.put(session_id, Artifact("analyst", "text", Usage()))


def test_an_artifact_that_breaks_off_is_worth_another_try_and_no_shorter_artifact(
    session_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with HttpServer(Reply(200, b"half of ", cut_short=True)) as bucket:
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", bucket.url)
        store = ArtifactStore(connect("us-east-1"), "artifacts")
        with pytest.raises(BotoCoreError, match=r"IncompleteRead|Connection broken") as broken:
            store.get(session_id, "analyst")
    assert is_transient(broken.value)


def test_an_artifact_that_was_changed_on_its_way_is_refused(session_id: str, monkeypatch: pytest.MonkeyPatch) -> None:
    headers = {"x-amz-checksum-crc32": "AAAAAA==", "x-amz-checksum-type": "FULL_OBJECT"}
    with HttpServer(Reply(200, b"not what was stored", headers)) as bucket:
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", bucket.url)
        store = ArtifactStore(connect("us-east-1"), "artifacts")
        with pytest.raises(BotoCoreError, match="checksum") as broken:
            store.get(session_id, "analyst")
    assert is_transient(broken.value)


@pytest.mark.parametrize("step", ["", "../analyst", "a/b", "Analyst", "a.md"])
def test_no_key_is_made_from_an_odd_step(step: str, session_id: str) -> None:
    with pytest.raises(InvalidStepName):
        artifact_key(session_id, step)


@pytest.mark.parametrize("session", ["", "short", "../" * 12, "a" * 35 + "/", "a" * 101])
def test_no_key_is_made_from_an_odd_session_id(session: str, store: ArtifactStore) -> None:
    with pytest.raises(InvalidRequest):
        store.finished(session)
    with pytest.raises(InvalidRequest):
        store.get(session, "analyst")


@settings(max_examples=30, derandomize=True, database=None)
@given(st.from_regex(SESSION_ID, fullmatch=True), st.from_regex(STEP_NAME, fullmatch=True))
def test_a_key_has_exactly_its_three_parts(session: str, step: str) -> None:
    assert artifact_key(session, step).split("/") == ["sessions", session, f"{step}.md"]


@settings(
    max_examples=20,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(text=st.text(st.characters(exclude_categories=["Cs"])))
def test_any_text_comes_back_as_it_was(text: str, store: ArtifactStore) -> None:
    session_id = str(uuid.uuid4())
    store.put(session_id, Artifact("analyst", text, Usage()))
    assert store.get(session_id, "analyst").text == text


def test_no_call_can_take_longer_than_a_minute_and_a_half_and_each_answer_may_take_half_a_minute() -> None:
    config: Any = connect("eu-west-1").meta.config
    assert config.retries == {"mode": "standard", "total_max_attempts": 2}
    assert 30 < config.read_timeout <= 90 / 2
