"""What a caller may send to AgentCore's data plane, and what it means.

Owns the syntax and the limits of requests. It does not know whether a runtime, endpoint or session exists, nor who may
use it. Runtimes are addressed by ARN only: a bare runtime id with an `accountId`, which AWS also accepts, is refused,
and so is a `runtimeUserId`, which would need an IAM action of its own.

Limits from botocore's service model `bedrock-agentcore`, 2024-02-28, and
https://docs.aws.amazon.com/bedrock-agentcore/latest/devguide/bedrock-agentcore-limits.html
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass

from starlette.requests import Request

from local.agentcore.protocol.errors import ValidationError

SESSION_HEADER = "X-Amzn-Bedrock-AgentCore-Runtime-Session-Id"
REQUEST_ID_HEADER = "X-Amzn-Bedrock-AgentCore-Runtime-Request-Id"
USER_HEADER = "X-Amzn-Bedrock-AgentCore-Runtime-User-Id"
PAYLOAD_MAX_BYTES = 100_000_000
SESSION_ID_MIN_CHARACTERS = 33
SESSION_ID_MAX_CHARACTERS = 256
_DRAINED_BYTES = 2 * PAYLOAD_MAX_BYTES

_RUNTIME_ARN = re.compile(
    r"arn:aws(?:-[^:]+)?:bedrock-agentcore:[a-z0-9-]+:[0-9]{12}:runtime/(?P<id>[a-zA-Z]\w{0,99}-[a-zA-Z0-9]{10})",
    re.ASCII,
)


@dataclass(frozen=True)
class Endpoint:
    """One endpoint of a runtime, which callers address and sessions belong to.

    :ivar name: `DEFAULT`, or the name of a created one.
    """

    runtime_arn: str
    name: str = "DEFAULT"

    @property
    def runtime_id(self) -> str:
        """The last part of the runtime's ARN."""
        return self.runtime_arn.rpartition("/")[2]

    @property
    def arn(self) -> str:
        """The ARN used in IAM."""
        return f"{self.runtime_arn}/runtime-endpoint/{self.name}"

    @property
    def log_group(self) -> str:
        """https://docs.aws.amazon.com/bedrock-agentcore/latest/devguide/observability-configure.html"""
        return f"/aws/bedrock-agentcore/runtimes/{self.runtime_id}-{self.name}"


def endpoint_of(runtime_arn: str, qualifier: str | None) -> Endpoint:
    """The endpoint named by a path and a query.

    :raises ValidationError: if the ARN is not a runtime's.
    """
    if not _RUNTIME_ARN.fullmatch(runtime_arn):
        raise ValidationError(
            f"Value {runtime_arn!r} at 'agentRuntimeArn' failed to satisfy constraint: it must look like "
            "arn:aws:bedrock-agentcore:<region>:<account>:runtime/<name>-<10 letters and digits>"
        )
    return Endpoint(runtime_arn, qualifier or "DEFAULT")


def session_id_of(headers: Mapping[str, str]) -> str:
    """The caller's session id, or a new one.

    :raises ValidationError: if it is too short or too long.
    """
    session_id = headers.get(SESSION_HEADER)
    if session_id is None:
        return str(uuid.uuid4())
    if not SESSION_ID_MIN_CHARACTERS <= len(session_id) <= SESSION_ID_MAX_CHARACTERS:
        raise ValidationError(
            f"Value '{session_id}' with {len(session_id)} characters at 'runtimeSessionId' failed to satisfy "
            f"constraint: its length must be from {SESSION_ID_MIN_CHARACTERS} to {SESSION_ID_MAX_CHARACTERS}"
        )
    return session_id


def refuse_what_is_not_emulated(headers: Mapping[str, str]) -> None:
    """Refuse headers that this data plane does not support as AWS does.

    :raises ValidationError: if the request names a user.
    """
    if USER_HEADER in headers:
        raise ValidationError("The local AgentCore data plane does not emulate 'runtimeUserId': leave it out")


async def payload_of(request: Request) -> bytes:
    """The whole body.

    :raises ValidationError: if it is larger than AgentCore accepts.
    """
    chunks: list[bytes] = []
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        # Keep reading, or the caller would see its connection reset instead of the answer.
        if size <= PAYLOAD_MAX_BYTES:
            chunks.append(chunk)
        elif size > _DRAINED_BYTES:
            break
    if size > PAYLOAD_MAX_BYTES:
        raise ValidationError(
            f"Value at 'payload' failed to satisfy constraint: it may have {PAYLOAD_MAX_BYTES} bytes, got {size}"
        )
    return b"".join(chunks)
