"""What a run is retried with: the request as it was asked, and where its finished steps are.

Owns following retries back to the runs that they retried. What is then taken over is the agent's decision: it looks
whether the artifacts are still there.
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, cast

from runtime.contract.errors import InvalidRequest
from runtime.contract.request import MAX_SOURCES, RETRY_FIELDS, check_session_id
from runtime.journal.keys import ARTIFACTS_PREFIX
from runtime.journal.records import RunMetadata
from runtime.journal.vocabulary import STEP_NAME

if TYPE_CHECKING:
    from mypy_boto3_stepfunctions import SFNClient

_ARTIFACT = re.compile(rf"{ARTIFACTS_PREFIX}[^/]+/(?P<step>{STEP_NAME.pattern})\.md")


def read_request(client: "SFNClient", metadata: RunMetadata) -> Any:
    """Return what a run was asked to do, without what made it a retry.

    The execution's own input, because the journal's copy has numbers of 15 digits; that copy where Step Functions
    doesn't have the input any more (after 90 days).
    """
    request = _read_input(client, metadata.execution_arn, metadata.request)
    if not isinstance(request, dict):
        return request
    fields = cast("dict[str, Any]", request)
    return {name: value for name, value in fields.items() if name not in RETRY_FIELDS}


def _read_input(client: "SFNClient", execution_arn: str, stored: Any) -> Any:
    try:
        given: object = json.loads(client.describe_execution(executionArn=execution_arn).get("input", ""))
    except (client.exceptions.ExecutionDoesNotExist, ValueError, RecursionError):
        return stored
    return cast("dict[str, Any]", given).get("request", stored) if isinstance(given, dict) else stored


def lineage(
    session_id: str, metadata_of: Callable[[str], RunMetadata | None]
) -> Iterator[tuple[str, RunMetadata | None]]:
    """Yield a run, the one that it retried, and so on, the newest first: as many as a request may name."""
    seen: set[str] = set()
    following: str | None = session_id
    while following and following not in seen and len(seen) < MAX_SOURCES:
        seen.add(following)
        metadata = metadata_of(following)
        yield following, metadata
        following = _retried(metadata)


def _retried(metadata: RunMetadata | None) -> str | None:
    request: object = metadata.request if metadata else None
    earlier = cast("dict[str, Any]", request).get("retryOf") if isinstance(request, dict) else None
    try:
        return check_session_id(earlier)
    except InvalidRequest:
        return None


def take_from(artifacts: Iterable[tuple[str, Iterable[str]]]) -> list[dict[str, Any]]:
    """Return a request's `takeFrom`: each step from the newest run that has its artifact.

    :param artifacts: runs, the newest first, each with the keys of its artifacts
    """
    sources: list[dict[str, Any]] = []
    taken: set[str] = set()
    for session_id, keys in artifacts:
        matches = map(_ARTIFACT.fullmatch, keys)
        steps = [step for step in (found["step"] for found in matches if found) if step not in taken]
        if steps:
            sources.append({"session": session_id, "steps": steps})
            taken.update(steps)
    return sources
