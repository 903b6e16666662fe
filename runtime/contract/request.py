"""What a run may be asked: the rules that the invoker and the agent both hold a request to.

Which agents then work on the request, the agent's version decides (`runtime/agent/workflow.py`).
"""

import json
import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from typing import Any, cast

from runtime.contract.errors import InvalidRequest
from runtime.contract.fields import described, object_of
from runtime.journal.errors import InvalidStepName
from runtime.journal.vocabulary import check_step_name

SESSION_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{32,99}")
"""What AgentCore accepts in a request (33 characters and more) and returns in a response (100 at most).

Source: botocore's model of bedrock-agentcore, shapes SessionType and the response header's pattern;
https://docs.aws.amazon.com/bedrock-agentcore/latest/APIReference/API_InvokeAgentRuntime.html
"""

MAX_REQUEST_BYTES = 240 * 1024
"""Of a request as the claim sends it: JSON text within JSON, see :func:`size_in_claim`. Step Functions takes 256 KiB
for all of a task's arguments (https://docs.aws.amazon.com/step-functions/latest/dg/service-quotas.html)."""

MAX_RETRY_BYTES = 8 * 1024
"""What a retry may add, so that a request of just the size that is allowed can be retried: some 500 steps' names."""

RETRY_FIELDS = ("retryOf", "retryFrom", "takeFrom", "claims")
MAX_SOURCES = 20
"""Runs that a retry may take finished steps from; each costs the agent a list of its artifacts."""

MAX_CLAIMS = 100
"""Calls of tools that a retry may name."""
MAX_LIMIT = 10**12

MAX_REQUEST_LEVELS = 100
"""Objects and lists within one another. Python's own JSON gives up at about a thousand, at a place that depends on
the caller; what is refused here is refused everywhere alike."""

MAX_WORKFLOW_CHARACTERS = 40
MAX_REQUESTED_BY_CHARACTERS = 200

_SURROGATE = re.compile(r"[\ud800-\udfff]")
_SOURCE = '{"session": "…", "steps": ["…"]}'
_CLAIM = '{"step": "…", "item": 0, "tool": "…", "input": "…"}'
_SESSION_ID_RULE = "33 to 100 characters of A-Z, a-z, 0-9, _ and -, beginning with a letter or digit"


@dataclass(frozen=True, slots=True)
class StepSource:
    """Another run, and the steps whose results are taken over from it instead of running them."""

    session_id: str
    steps: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ClaimedCall:
    """A call of a tool that must not happen twice, begun by an earlier run in a step that it did not finish.

    :ivar item: the step's item, from 0; None for a step that runs once, or where calls of all items are counted
    :ivar shown: what the tool was given, cut, or how many calls it were
    """

    step: str
    item: int | None
    tool: str
    shown: str


@dataclass(frozen=True, slots=True)
class Limits:
    """What the whole run may use, whatever its stack allows; None: as much as the stack allows.

    :ivar tokens: that models may read and write, over all steps, items and attempts
    :ivar turns: of one step, or of one item of a step
    """

    tokens: int | None = None
    turns: int | None = None


@dataclass(frozen=True, slots=True)
class RunRequest:
    """A valid request. Its `retryOf` and `retryFrom` are for people and the runbook: what is taken over from where is
    in `take_from`.

    :ivar prompt: what the agents are to work on
    :ivar take_from: where finished steps are, the newest run first
    :ivar workflow: the name of the workflow, None for the agent's first; only the agent knows which there are
    :ivar requested_by: who or what asked, as the caller says
    :ivar limits: None if the request has none
    :ivar claims: calls that the new run's steps are told of, because they may have happened
    """

    prompt: str
    take_from: tuple[StepSource, ...] = ()
    workflow: str | None = None
    requested_by: str | None = None
    limits: Limits | None = None
    claims: tuple[ClaimedCall, ...] = ()


def check_session_id(value: object, field: str = "session_id") -> str:
    """Return `value` if it can be a session id.

    :raises InvalidRequest: if it is no string, or doesn't match :data:`SESSION_ID`
    """
    if not isinstance(value, str) or not SESSION_ID.fullmatch(value):
        raise InvalidRequest(field, described(value), _SESSION_ID_RULE)
    return value


def parse_request(value: object) -> RunRequest:
    """Return the request that `value`, the detail of a run's event, holds.

    :raises InvalidRequest: if it is no object, has no prompt, is nested too deeply, holds what JSON in UTF-8 can't, is
        too large for the state machine's claim, or has limits, sources of finished steps or claims that can't be used
    """
    request = object_of(value, "request", 'an object such as {"prompt": "…"}')
    if not _nests_within(request, MAX_REQUEST_LEVELS):
        limit = f"{MAX_REQUEST_LEVELS} levels"
        raise InvalidRequest("request", f"nested more than {limit} deep", f"nested {limit} deep or less")
    _check_size({name: value for name, value in request.items() if name not in RETRY_FIELDS}, MAX_REQUEST_BYTES)
    _check_size(request, MAX_REQUEST_BYTES + MAX_RETRY_BYTES)
    prompt = request.get("prompt")
    if not isinstance(prompt, str) or not prompt.strip():
        raise InvalidRequest("request.prompt", described(prompt), "a text that is not empty")
    retry_of = request.get("retryOf")
    if retry_of is not None:
        check_session_id(retry_of, "request.retryOf")
    if (retry_from := request.get("retryFrom")) is not None:
        _step_name(retry_from, "request.retryFrom")
    return RunRequest(
        prompt,
        take_from=_take_from(request.get("takeFrom")),
        workflow=_optional_text(request, "workflow", MAX_WORKFLOW_CHARACTERS),
        requested_by=_optional_text(request, "requestedBy", MAX_REQUESTED_BY_CHARACTERS),
        limits=_limits(request.get("limits")),
        claims=_claims(request.get("claims")),
    )


def _optional_text(request: dict[str, Any], name: str, max_characters: int) -> str | None:
    value = request.get(name)
    if value is None or (isinstance(value, str) and 0 < len(value) <= max_characters):
        return value
    raise InvalidRequest(f"request.{name}", described(value), f"a text of 1 to {max_characters} characters")


def _check_size(request: dict[str, Any], max_bytes: int) -> None:
    try:
        size = size_in_claim(request)
    except ValueError as error:
        raise _not_encodable(request, error) from None
    if size > max_bytes:
        allowed = f"{max_bytes} bytes or less: put what is larger into S3, and where it is into the request"
        raise InvalidRequest("request", f"{size} bytes as JSON within JSON, where each quote takes four", allowed)


def size_in_claim(request: object) -> int:
    """Return how many bytes of UTF-8 a request takes up in the state machine's claim: as JSON text within JSON.

    :raises ValueError: if it holds what JSON in UTF-8 can't
    """
    text = json.dumps(request, ensure_ascii=False, allow_nan=False)
    return len(json.dumps(text, ensure_ascii=False).encode())


def _not_encodable(request: object, error: ValueError) -> InvalidRequest:
    """Return the refusal that names what JSON in UTF-8 can't hold."""
    for field, value in _leaves(request, "request"):
        if isinstance(value, str) and (half := _SURROGATE.search(value)):
            was = f"a text with half a character, {half[0]!r}, at position {half.start()}"
            return InvalidRequest(field, was, "text that UTF-8 can hold")
        if isinstance(value, float) and not math.isfinite(value):
            return InvalidRequest(field, described(value), "a number that JSON can hold")
    return InvalidRequest("request", f"nothing that can be sent ({error})", "JSON in UTF-8")


def _leaves(value: object, field: str) -> Iterator[tuple[str, object]]:
    """Give what a request holds, keys included, each under the name of its field."""
    if isinstance(value, dict):
        for key, inner in cast("dict[str, object]", value).items():
            yield f"a name in {field}", key
            yield from _leaves(inner, f"{field}.{key[:40]}")
    elif isinstance(value, list):
        for number, inner in enumerate(cast("list[object]", value)):
            yield from _leaves(inner, f"{field}[{number}]")
    else:
        yield field[:200], value


def _take_from(value: object) -> tuple[StepSource, ...]:
    sources = _listed(value, "request.takeFrom", f"[{_SOURCE}]", MAX_SOURCES)
    return tuple(_source(source, f"request.takeFrom[{number}]") for number, source in enumerate(sources))


def _listed(value: object, field: str, example: str, most: int) -> list[object]:
    if value is None:
        return []
    if not isinstance(value, list):
        raise InvalidRequest(field, described(value), f"a list such as {example}")
    listed = cast("list[object]", value)
    if len(listed) > most:
        raise InvalidRequest(field, f"a list of {len(listed)}", f"a list of {most} at most")
    return listed


def _source(value: object, field: str) -> StepSource:
    source = object_of(value, field, f"an object such as {_SOURCE}")
    steps = source.get("steps")
    if not isinstance(steps, list):
        raise InvalidRequest(f"{field}.steps", described(steps), "a list of steps' names")
    names = (_step_name(step, f"{field}.steps") for step in cast("list[object]", steps))
    return StepSource(check_session_id(source.get("session"), f"{field}.session"), tuple(names))


def _limits(value: object) -> Limits | None:
    if value is None:
        return None
    limits = object_of(value, "request.limits", 'an object such as {"tokens": 200000, "turns": 50}')
    known = [field.name for field in fields(Limits)]
    if unknown := next((name for name in limits if name not in known), None):
        raise InvalidRequest("a name in request.limits", described(unknown), f"one of {', '.join(known)}")
    return Limits(**{name: _limit(limit, f"request.limits.{name}") for name, limit in limits.items()})


def _limit(value: object, field: str) -> int | None:
    # The state machine's language has one kind of number: what was 2000000 there may come as 2e6.
    if value is None or (isinstance(value, int | float) and not isinstance(value, bool) and 1 <= value <= MAX_LIMIT):
        whole = None if value is None else int(value)
        if whole == value:
            return whole
    raise InvalidRequest(field, described(value), f"a whole number from 1 to {MAX_LIMIT}")


def _claims(value: object) -> tuple[ClaimedCall, ...]:
    claims = _listed(value, "request.claims", f"[{_CLAIM}]", MAX_CLAIMS)
    return tuple(_claim(claim, f"request.claims[{number}]") for number, claim in enumerate(claims))


def _claim(value: object, field: str) -> ClaimedCall:
    claim = object_of(value, field, f"an object such as {_CLAIM}")
    item, tool, shown = claim.get("item"), claim.get("tool"), claim.get("input")
    if item is not None and (isinstance(item, bool) or not isinstance(item, int) or item < 0):
        raise InvalidRequest(f"{field}.item", described(item), "null or a whole number from 0")
    if not isinstance(tool, str) or not tool:
        raise InvalidRequest(f"{field}.tool", described(tool), "a tool's name")
    if not isinstance(shown, str):
        raise InvalidRequest(f"{field}.input", described(shown), "a text")
    return ClaimedCall(_step_name(claim.get("step"), f"{field}.step"), item, tool, shown)


def _step_name(value: object, field: str) -> str:
    try:
        return check_step_name(value if isinstance(value, str) else "")
    except InvalidStepName:
        raise InvalidRequest(field, described(value), "names of 1 to 40 of a-z, 0-9 and _, a letter first") from None


def _nests_within(value: object, levels: int) -> bool:
    if not isinstance(value, (dict, list)):
        return True
    inner = cast("Iterable[object]", value.values() if isinstance(value, dict) else value)
    return levels > 0 and all(_nests_within(each, levels - 1) for each in inner)
