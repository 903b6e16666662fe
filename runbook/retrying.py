"""What a run is retried with: the request as it was asked, where its finished steps are, and what may have happened.

Owns following retries back to the runs that they retried. What is then taken over is the agent's decision: it looks
whether the artifacts are still there.
"""

import json
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from runbook.errors import OtherWorkflow
from runbook.runs import request_text, workflow_of
from runtime.contract.errors import InvalidRequest
from runtime.contract.fields import described
from runtime.contract.request import (
    MAX_CLAIMS,
    MAX_RETRY_BYTES,
    MAX_SOURCES,
    RETRY_FIELDS,
    ClaimedCall,
    check_session_id,
    parse_request,
    size_in_claim,
)
from runtime.journal.keys import ARTIFACTS_PREFIX
from runtime.journal.records import RunMetadata, ToolClaim
from runtime.journal.vocabulary import STEP_NAME

if TYPE_CHECKING:
    from mypy_boto3_stepfunctions import SFNClient

    from runtime.agent.definition import Workflow

MAX_CLAIM_BYTES = MAX_RETRY_BYTES // 2
"""Of the calls that may have happened; finished steps have the other half where there are any such calls."""
SHOWN_CHARACTERS = (200, 60, 0)
"""Of each call's input: as many as there is room for."""
_ARTIFACT = re.compile(rf"{ARTIFACTS_PREFIX}[^/]+/(?P<step>{STEP_NAME.pattern})(?P<item>/\d{{4}})?\.(md|json)")


def read_request(client: "SFNClient", metadata: RunMetadata) -> Any:
    """Return what a run was asked to do, without what made it a retry.

    The execution's own input, because the journal's copy has numbers of 15 digits; that copy where Step Functions
    doesn't have the input any more (after 90 days).
    """
    request, _ = given_request(client, metadata)
    if not isinstance(request, dict):
        return request
    fields = cast("dict[str, Any]", request)
    return {name: value for name, value in fields.items() if name not in RETRY_FIELDS}


def given_request(client: "SFNClient", metadata: RunMetadata) -> tuple[Any, bool]:
    """Return a run's whole request, and whether it is the execution's own input and not the journal's copy."""
    try:
        given: object = json.loads(client.describe_execution(executionArn=metadata.execution_arn).get("input", ""))
    except (client.exceptions.ExecutionDoesNotExist, ValueError, RecursionError):
        return metadata.request, False
    fields = cast("dict[str, Any]", given) if isinstance(given, dict) else {}
    return fields.get("request", metadata.request), "request" in fields


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


def local_workflow(name: str | None) -> "Workflow":
    """Return a workflow as the code beside this one has it, its first for None.

    :raises InvalidRequest: if it has none of that name
    """
    # With its types and prompts: not for commands that need none of it.
    from runtime.agent.workflow import WORKFLOWS

    found = WORKFLOWS.get(name or next(iter(WORKFLOWS)))
    if found is None:
        known = f"one of {', '.join(WORKFLOWS)}, which this code has: only its definition tells what depends on a step"
        raise InvalidRequest("workflow", described(name), known)
    return found


def done_again(workflow: "Workflow", step: str) -> set[str]:
    """Return a step and those that come after it, directly or not.

    :raises InvalidRequest: if the workflow has no such step
    """
    names = [found.name for found in workflow.steps]
    if step not in names:
        raise InvalidRequest("from_step", described(step), f"a step of workflow {workflow.name}: {', '.join(names)}")
    return {found.name for found in workflow.steps if found.name == step or step in workflow.all_needs(found)}


def thrown_away(
    line: Sequence[tuple[str, RunMetadata | None]], step: str | None, workflow: "Callable[[], Workflow]"
) -> Iterator[tuple[str, set[str]]]:
    """Give the runs of a line, the newest first, each with the steps of which nothing is taken over from it.

    What a retry threw away, and what comes after it, is thrown away in all runs that are older than this retry.

    :param step: from which the new run does everything again; None if it does only what is not finished
    :param workflow: asked only if some step was, or is, done again
    :raises InvalidRequest: if the workflow has no such step
    """
    thrown = done_again(workflow(), step) if step else set[str]()
    for session_id, metadata in line:
        yield session_id, set(thrown)
        if earlier := request_text(metadata, "retryFrom"):
            try:
                thrown |= done_again(workflow(), earlier)
            except InvalidRequest:
                # A step of another version: nobody knows any more what came after it.
                return


def without_steps(keys: Iterable[str], steps: Collection[str]) -> list[str]:
    """Return the keys of artifacts but for those of some steps."""
    return [key for key in keys if not ((found := _ARTIFACT.fullmatch(key)) and found["step"] in steps)]


def check_one_workflow(line: Iterable[tuple[str, RunMetadata | None]], wanted: str | None) -> None:
    """Check that all runs of a line are of the workflow that the new one is of, as far as it is known.

    :raises OtherWorkflow: if one is of another
    """
    for session_id, metadata in line:
        theirs = workflow_of(metadata)
        if wanted and theirs and theirs != wanted:
            raise OtherWorkflow(session_id, theirs, wanted)


def retry_fields(
    session_id: str,
    artifacts: Iterable[tuple[str, Iterable[str]]],
    claimed: Sequence[ClaimedCall] = (),
    step: str | None = None,
) -> dict[str, Any]:
    """Return what makes a request a retry: which run it retries, where finished steps are, and what may have happened.

    A step is taken from the newest run that has it whole; one that runs once per item from every newer run that has
    any, because the agent looks item by item, and only accepts those that were made from the same list. The oldest runs
    are left out where there is no room for all: what they have is then worked on again.

    :param artifacts: runs, the newest first, each with the keys of its artifacts
    :param claimed: calls of tools that the retried run has begun, see :func:`claimed_calls`; those of steps and items
        whose artifacts are taken over are left out
    :param step: from which everything is done again
    """
    fields: dict[str, Any] = {"retryOf": session_id, **({"retryFrom": step} if step else {})}
    room, taken = MAX_RETRY_BYTES - (MAX_CLAIM_BYTES if claimed else 0), set[tuple[str, int | None]]()
    for source, units in _sources(artifacts):
        longer = fields | {"takeFrom": [*fields.get("takeFrom", []), source]}
        if size_in_claim(longer) > room:
            break
        fields, taken = longer, taken | units
    unfinished = [call for call in claimed if (call.step, call.item) not in taken and (call.step, None) not in taken]
    return fields | ({"claims": _fitting(unfinished)} if unfinished else {})


def claimed_calls(claims: Iterable[ToolClaim], request: object) -> list[ClaimedCall]:
    """Return the calls of tools that a run has begun and those that it was told of by its own request, each once.

    :param claims: of the run
    :param request: of the run, whatever it is
    """
    own = [ClaimedCall(claim.step, claim.item, claim.tool, claim.shown) for claim in claims]
    try:
        told = parse_request(request).claims
    except InvalidRequest:
        told = ()
    return added([*told], own)


def added(known: Sequence[ClaimedCall], more: Iterable[ClaimedCall]) -> list[ClaimedCall]:
    """Return calls with more of them, each once. What a request names of a call may be its beginning only."""
    calls = list(dict.fromkeys(known))
    for call in more:
        if not any(_is_same(call, other) for other in calls):
            calls.append(call)
    return calls


def _is_same(call: ClaimedCall, told: ClaimedCall) -> bool:
    is_cut = len(told.shown) in SHOWN_CHARACTERS and bool(told.shown)
    same_place = (call.step, call.item, call.tool) == (told.step, told.item, told.tool)
    return same_place and (call.shown == told.shown or (is_cut and call.shown.startswith(told.shown)))


def _fitting(calls: Sequence[ClaimedCall]) -> list[dict[str, Any]]:
    """As much of each call as there is room for; where there are too many, how many of each tool and step."""
    for characters in SHOWN_CHARACTERS:
        claims = [_claim(call.step, call.item, call.tool, call.shown[:characters]) for call in calls]
        if len(claims) <= MAX_CLAIMS and size_in_claim(claims) <= MAX_CLAIM_BYTES:
            return claims
    counts = Counter((call.step, call.tool) for call in calls)
    return [_claim(step, None, tool, f"{count} calls") for (step, tool), count in counts.items()]


def _claim(step: str, item: int | None, tool: str, shown: str) -> dict[str, Any]:
    return {"step": step, **({} if item is None else {"item": item}), "tool": tool, "input": shown}


def _sources(
    artifacts: Iterable[tuple[str, Iterable[str]]],
) -> Iterator[tuple[Mapping[str, Any], set[tuple[str, int | None]]]]:
    """Give runs with the steps that are taken over from them, and which steps and items of steps these are."""
    whole: set[str] = set()
    for session_id, keys in artifacts:
        found = [match for match in map(_ARTIFACT.fullmatch, keys) if match and match["step"] not in whole]
        if found:
            units = {(match["step"], int(match["item"][1:]) if match["item"] else None) for match in found}
            yield {"session": session_id, "steps": list(dict.fromkeys(match["step"] for match in found))}, units
        whole.update(match["step"] for match in found if not match["item"])
