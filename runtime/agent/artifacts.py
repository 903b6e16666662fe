"""What the steps of a run produce, in S3: one object a step, written once and never replaced.

Keys are made from validated parts only. An artifact carries the tokens that it cost, so that a later attempt
that finds it there can still add up the whole run.
"""

from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from runtime.agent.errors import ArtifactMissing
from runtime.contract.request import check_session_id
from runtime.journal.vocabulary import check_step_name

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

INPUT_TOKENS = "input-tokens"
OUTPUT_TOKENS = "output-tokens"
TRANSIENT_STATUSES = {409, 429}
"""409, ConditionalRequestConflict: another writer of the same key is not done yet, and S3 asks to try again.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html
"""


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens that a model took and gave."""

    input_tokens: int = 0
    output_tokens: int = 0

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(self.input_tokens + other.input_tokens, self.output_tokens + other.output_tokens)

    def as_detail(self) -> dict[str, int]:
        """Return the tokens as the journal has them."""
        return {"inputTokens": self.input_tokens, "outputTokens": self.output_tokens}


@dataclass(frozen=True, slots=True)
class Artifact:
    """What one step produced."""

    step: str
    text: str
    usage: Usage


def artifact_prefix(session_id: str) -> str:
    """Return what the keys of all artifacts of a run begin with."""
    return f"sessions/{check_session_id(session_id)}/"


def artifact_key(session_id: str, step: str) -> str:
    """Return the key of a step's artifact."""
    return f"{artifact_prefix(session_id)}{check_step_name(step)}.md"


def connect(region: str) -> "S3Client":
    """Return a client of which no call takes longer than about a minute and a half, tries and all.

    An answer may take forty seconds: of a bucket that is slow, a client with less patience would fail at each try.
    """
    return boto3.client(
        "s3",
        region_name=region,
        config=Config(
            connect_timeout=2,
            read_timeout=40,
            retries={"mode": "standard", "total_max_attempts": 2},
            tcp_keepalive=True,
        ),
    )


def is_transient(error: BotoCoreError | ClientError) -> bool:
    """Return whether a call that failed like this is worth another try."""
    if isinstance(error, BotoCoreError):
        # No answer, one that broke off, or one that is not what was stored.
        return True
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    return (
        status >= 500 or status in TRANSIENT_STATUSES or error.response.get("Error", {}).get("Code") == "RequestTimeout"
    )


class ArtifactStore:
    """The artifacts of all runs of a stack. Methods block: call them from a thread.

    None tries again by itself what :func:`is_transient` holds for worth it; each may be called again.

    :raises botocore.exceptions.ClientError: from every method, if the bucket refuses
    :raises botocore.exceptions.BotoCoreError: from every method, if it doesn't answer, or its answer breaks off
    """

    def __init__(self, client: "S3Client", bucket: str) -> None:
        self._client = client
        self._bucket = bucket

    def finished(self, session_id: str) -> set[str]:
        """Return the keys of the artifacts that a run has."""
        # A list and no look at single keys: S3 answers 403 for a missing key to a role that may not list.
        pages = self._client.get_paginator("list_objects_v2").paginate(
            Bucket=self._bucket, Prefix=artifact_prefix(session_id)
        )
        return {found["Key"] for page in pages for found in page.get("Contents", []) if "Key" in found}

    def get(self, session_id: str, step: str) -> Artifact:
        """Return a step's artifact.

        :raises ArtifactMissing: if it is not there
        """
        key = artifact_key(session_id, step)
        try:
            answer = self._client.get_object(Bucket=self._bucket, Key=key)
        except self._client.exceptions.NoSuchKey as error:
            raise ArtifactMissing(key) from error
        # Not `with`: that gives the raw stream, whose errors are not botocore's and which checks no checksum.
        with closing(answer["Body"]) as body:
            text = body.read().decode()
        return Artifact(step, text, _usage(answer["Metadata"]))

    def put(self, session_id: str, artifact: Artifact) -> Artifact:
        """Store a step's artifact unless there is one, and return the one that is there then.

        The first one stays: whoever comes second, a zombie perhaps, goes on with what everybody else sees. Half
        characters, which a model's JSON can hold and UTF-8 can't, are replaced.
        """
        storable = replace(artifact, text=artifact.text.encode("utf-8", "replace").decode())
        try:
            self._put_new(session_id, storable)
        except ClientError as error:
            if error.response.get("ResponseMetadata", {}).get("HTTPStatusCode") != 412:
                raise
            return self.get(session_id, artifact.step)
        return storable

    def _put_new(self, session_id: str, artifact: Artifact) -> None:
        self._client.put_object(
            Bucket=self._bucket,
            Key=artifact_key(session_id, artifact.step),
            Body=artifact.text.encode(),
            ContentType="text/markdown; charset=utf-8",
            Metadata={
                INPUT_TOKENS: str(artifact.usage.input_tokens),
                OUTPUT_TOKENS: str(artifact.usage.output_tokens),
            },
            IfNoneMatch="*",
        )


def _usage(metadata: Mapping[str, str]) -> Usage:
    return Usage(int(metadata.get(INPUT_TOKENS, "0")), int(metadata.get(OUTPUT_TOKENS, "0")))
