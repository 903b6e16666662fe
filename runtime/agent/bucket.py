"""Objects of the artifacts' bucket: listed, read as they were stored, and put once. All of it blocks.

:raises botocore.exceptions.ClientError: from everything here, if the bucket refuses
:raises botocore.exceptions.BotoCoreError: from everything here, if it doesn't answer, or its answer breaks off
"""

from collections.abc import Iterator, Mapping
from contextlib import closing
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

PRECONDITION_FAILED = 412


def keys_below(client: "S3Client", bucket: str, prefix: str) -> Iterator[str]:
    """Yield the keys that begin with a prefix, in their order."""
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
        yield from (found["Key"] for found in page.get("Contents", []) if "Key" in found)


def content_of(client: "S3Client", bucket: str, key: str) -> tuple[bytes, Mapping[str, str]]:
    """Return an object's content and metadata.

    :raises client.exceptions.NoSuchKey: if there is none
    """
    answer = client.get_object(Bucket=bucket, Key=key)
    # Not `with` the body itself: that gives the raw stream, which verifies no checksum and whose errors are not
    # botocore's.
    with closing(answer["Body"]) as body:
        return body.read(), answer["Metadata"]


def put_new(
    client: "S3Client",
    bucket: str,
    key: str,
    content: bytes,
    content_type: str,
    metadata: Mapping[str, str],
) -> bool:
    """Put an object unless there is one, and return whether there was none."""
    try:
        client.put_object(
            Bucket=bucket,
            Key=key,
            Body=content,
            ContentType=content_type,
            Metadata=metadata,
            IfNoneMatch="*",
        )
    except ClientError as error:
        if error.response.get("ResponseMetadata", {}).get("HTTPStatusCode") != PRECONDITION_FAILED:
            raise
        return False
    return True
