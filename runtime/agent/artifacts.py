"""What the steps of a run produce, in S3: one object per step or item, written once and never replaced.

Keys are built from validated parts only. An artifact carries the tokens it cost, so that a later attempt that finds it
can still add up the whole run.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import astuple, dataclass, replace
from typing import TYPE_CHECKING

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from runtime.agent.bucket import content_of, keys_below, put_new
from runtime.agent.errors import ArtifactMissing
from runtime.contract.request import check_session_id
from runtime.journal.keys import artifact_prefix
from runtime.journal.vocabulary import check_step_name

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

METADATA_NAMES = ("input-tokens", "output-tokens", "cache-read-tokens", "cache-write-tokens")
DETAIL_NAMES = ("inputTokens", "outputTokens", "cacheReadTokens", "cacheWriteTokens")
MADE_FROM = "made-from"
CONTENT_TYPES = {"md": "text/markdown; charset=utf-8", "json": "application/json"}
TRANSIENT_STATUSES = {409, 429}
"""409, ConditionalRequestConflict: another write of the same key is in progress, and S3 asks to retry.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html
"""


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens that a model read and wrote.

    :ivar input_tokens: without those that came from a prompt cache or went into one
    """

    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(*(ours + theirs for ours, theirs in zip(astuple(self), astuple(other), strict=True)))

    @property
    def total(self) -> int:
        """All of them together."""
        return sum(astuple(self))

    def as_detail(self) -> dict[str, int]:
        """Return the tokens in the journal's form; those of caches only where there are any."""
        tokens = {"inputTokens": self.input_tokens, "outputTokens": self.output_tokens}
        cached = {"cacheReadTokens": self.cache_read_tokens, "cacheWriteTokens": self.cache_write_tokens}
        return tokens | {name: count for name, count in cached.items() if count}

    @classmethod
    def of_detail(cls, detail: Mapping[str, int]) -> "Usage":
        """Return the tokens of the journal's form."""
        return cls(*(detail.get(name, 0) for name in DETAIL_NAMES))

    @classmethod
    def of_metadata(cls, metadata: Mapping[str, str]) -> "Usage":
        """Return the tokens of an artifact's metadata."""
        return cls(*(int(metadata.get(name, "0")) for name in METADATA_NAMES))


@dataclass(frozen=True, slots=True)
class Artifact:
    """What one step, or one item of a step, produced.

    :ivar item: its place in the list, from 0, where the step runs once per item
    :ivar extension: `md` for text, `json` for data
    :ivar made_from: digest of the list that the item is from
    """

    step: str
    text: str
    usage: Usage
    item: int | None = None
    extension: str = "md"
    made_from: str = ""

    def key(self, session_id: str) -> str:
        """Return its key in a run."""
        return artifact_key(session_id, self.step, self.item, self.extension)

    @property
    def digest(self) -> str:
        """What tells it from another with the same key: 32 characters."""
        return hashlib.sha256(self.text.encode()).hexdigest()[:32]


def artifact_key(session_id: str, step: str, item: int | None = None, extension: str = "md") -> str:
    """Return the key of a step's artifact, or of one of its items'."""
    place = check_step_name(step) if item is None else f"{check_step_name(step)}/{item:04}"
    return f"{artifact_prefix(check_session_id(session_id))}{place}.{extension}"


def connect(region: str) -> "S3Client":
    """Return a client whose calls take at most about a minute and a half, retries included.

    An answer may take forty seconds: with a slow bucket, a shorter timeout would fail at every try.
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
    """Return whether an error is transient, so that the call can be retried."""
    if isinstance(error, BotoCoreError):
        # No answer, a truncated one, or one that fails its checksum.
        return True
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    return (
        status >= 500 or status in TRANSIENT_STATUSES or error.response.get("Error", {}).get("Code") == "RequestTimeout"
    )


class ArtifactStore:
    """The artifacts of all runs of a stack. Methods block: call them from a thread.

    Retrying an error that :func:`is_transient` accepts is left to the caller; every method is safe to call again.

    :raises botocore.exceptions.ClientError: from every method, if the bucket refuses
    :raises botocore.exceptions.BotoCoreError: from every method, if it doesn't answer, or its answer breaks off
    """

    def __init__(self, client: "S3Client", bucket: str) -> None:
        self._client = client
        self._bucket = bucket

    def finished(self, session_id: str) -> set[str]:
        """Return the keys of a run's artifacts."""
        # Listed rather than looked up one by one: S3 answers 403 for a missing key to a role that may not list.
        return {*keys_below(self._client, self._bucket, artifact_prefix(check_session_id(session_id)))}

    def get(self, session_id: str, step: str, item: int | None = None, extension: str = "md") -> Artifact:
        """Return a step's artifact, or one of its items'.

        :raises ArtifactMissing: if it is not there
        """
        text, metadata = self.read(artifact_key(session_id, step, item, extension))
        return Artifact(step, text, Usage.of_metadata(metadata), item, extension, metadata.get(MADE_FROM, ""))

    def read(self, key: str) -> tuple[str, Mapping[str, str]]:
        """Return an artifact's text and metadata by its key.

        :raises ArtifactMissing: if there is none
        """
        try:
            content, metadata = content_of(self._client, self._bucket, key)
        except self._client.exceptions.NoSuchKey as error:
            raise ArtifactMissing(key) from error
        return content.decode(), metadata

    def put(self, session_id: str, artifact: Artifact) -> Artifact:
        """Store a step's artifact unless there already is one, and return the stored one.

        The first one stays: a second writer, perhaps a zombie, continues with what everyone else sees. Lone
        surrogates, which a model's JSON can hold and UTF-8 can't, are replaced.
        """
        storable = replace(artifact, text=artifact.text.encode("utf-8", "replace").decode())
        made_from = {MADE_FROM: artifact.made_from} if artifact.made_from else {}
        is_new = put_new(
            self._client,
            self._bucket,
            storable.key(session_id),
            storable.text.encode(),
            CONTENT_TYPES[artifact.extension],
            _tokens(artifact.usage) | made_from,
        )
        return storable if is_new else self.get(session_id, artifact.step, artifact.item, artifact.extension)


def _tokens(usage: Usage) -> dict[str, str]:
    counts = zip(METADATA_NAMES, astuple(usage), strict=True)
    return {name: str(count) for name, count in counts if count}
