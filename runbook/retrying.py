"""What a run is retried with: the request as it was asked, and where its finished steps are.

Owns following retries back to the runs that they retried. What is then taken over is the agent's decision: it looks
whether the artifacts are still there.
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, cast

from runbook.runs import request_text
from runtime.contract.errors import InvalidRequest
from runtime.contract.request import MAX_RETRY_BYTES, MAX_SOURCES, RETRY_FIELDS, check_session_id, size_in_claim
from runtime.journal.keys import ARTIFACTS_PREFIX
from runtime.journal.records import RunMetadata
from runtime.journal.vocabulary import STEP_NAME

if TYPE_CHECKING:
    from mypy_boto3_stepfunctions import SFNClient

_ARTIFACT = re.compile(rf"{ARTIFACTS_PREFIX}[^/]+/(?P<step>{STEP_NAME.pattern})(?P<item>/\d{{4}})?\.(md|json)")


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
    try:
        return check_session_id(request_text(metadata, "retryOf"))
    except InvalidRequest:
        return None


def retry_fields(session_id: str, artifacts: Iterable[tuple[str, Iterable[str]]]) -> dict[str, Any]:
    """Return what makes a request a retry: which run it retries, and where finished steps are.

    A step is taken from the newest run that has it whole; one that runs once per item from every newer run that has
    any, because the agent looks item by item, and only accepts those that were made from the same list. The oldest runs
    are left out where there is no room for all: what they have is then worked on again.

    :param artifacts: runs, the newest first, each with the keys of its artifacts
    """
    fields: dict[str, Any] = {"retryOf": session_id}
    for source in _sources(artifacts):
        longer = fields | {"takeFrom": [*fields.get("takeFrom", []), source]}
        if size_in_claim(longer) > MAX_RETRY_BYTES:
            break
        fields = longer
    return fields


def _sources(artifacts: Iterable[tuple[str, Iterable[str]]]) -> Iterator[dict[str, Any]]:
    whole: set[str] = set()
    for session_id, keys in artifacts:
        found = [match for match in map(_ARTIFACT.fullmatch, keys) if match and match["step"] not in whole]
        if found:
            yield {"session": session_id, "steps": list(dict.fromkeys(match["step"] for match in found))}
        whole.update(match["step"] for match in found if not match["item"])
