"""What the steps of a run produce, in S3: one object a step, written once and never replaced.

Keys are made from validated parts only. An artifact carries the tokens that it cost, so that a later attempt
that finds it there can still add up the whole run.
"""

import time
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from runtime.agent.errors import ArtifactMissing
from runtime.journal.request import check_session_id
from runtime.journal.vocabulary import check_step_name

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

INPUT_TOKENS = "input-tokens"
OUTPUT_TOKENS = "output-tokens"
CONFLICT_PAUSES = (0.1, 0.2, 0.4, 0.8)
"""Seconds between tries of a put that S3 answers with ConditionalRequestConflict.

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
    """Return a client of which no call takes longer than about a minute, tries and all."""
    return boto3.client(
        "s3",
        region_name=region,
        config=Config(
            connect_timeout=2,
            read_timeout=10,
            retries={"mode": "standard", "total_max_attempts": 5},
            tcp_keepalive=True,
        ),
    )


class ArtifactStore:
    """The artifacts of all runs of a stack. Methods block: call them from a thread.

    :raises botocore.exceptions.ClientError: from every method, if the bucket refuses
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

        The first one stays: whoever comes second, a zombie perhaps, goes on with what everybody else sees.
        """
        for pause in CONFLICT_PAUSES:
            try:
                self._put_new(session_id, artifact)
            except ClientError as error:
                status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
                if status == 412:
                    break
                if status != 409:
                    raise
                # Another writer of the same key is not done yet; S3 asks to try again.
                time.sleep(pause)
            else:
                return artifact
        return self.get(session_id, artifact.step)

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
