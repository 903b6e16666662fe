"""The journal's records as the state machine writes them: DynamoDB items whose values are JSONata expressions.

The keys and attributes are those of `runtime/journal/records.py`, for Python's writers. An event's id and time come
from the state's entry: `$uuid()` and `$millis()` would differ in each try, and a write that Step Functions sends twice
must be the same write.
"""

from typing import Any, TypeAlias

from components.asl import expression
from components.workflow_budget import DAY_SECONDS, WorkflowSettings
from runtime.agent.workflow import WORKFLOWS
from runtime.contract.request import MAX_REQUEST_BYTES, MAX_RETRY_BYTES, MAX_WORKFLOW_CHARACTERS
from runtime.journal.keys import (
    ANSWERS_PARTITION,
    EVENT_PREFIX,
    METADATA,
    OUTCOME,
    TASK_TOKEN_PREFIX,
    WAIT_PREFIX,
)
from runtime.journal.vocabulary import Status
from runtime.journal.waits import EXPIRED

Item: TypeAlias = dict[str, Any]

NOT_THERE = "attribute_not_exists(PK)"
THERE = "attribute_exists(PK)"
ENTERED_AT = "$fromMillis($toMillis($states.context.State.EnteredTime))"
EVENT_ID = "$hash($states.context.Execution.Id & $states.context.State.Name & $states.context.State.EnteredTime, 'MD5')"
SESSION_ID = "$sessionId"
_TWO_DIGITS = "(($wait < 10 ? '0' : '') & $string($wait))"
MAX_TEXT_CHARACTERS = MAX_REQUEST_BYTES + MAX_RETRY_BYTES + len('[""]')
"""Of a request's escaped text: with more characters it has more bytes than the invoker accepts."""


def partition_key(session_id: str = SESSION_ID) -> Item:
    """Return a run's partition key as a value."""
    return string(f"'SESSION#' & {session_id}")


def new_event(settings: WorkflowSettings, status: str, session_id: str = SESSION_ID) -> Item:
    """Return an event of the state being entered.

    :param status: a literal; see :func:`string` for a computed one
    """
    kept_seconds = settings.stack.journal_ttl_days * DAY_SECONDS
    return {
        "PK": partition_key(session_id),
        "SK": string(f"'{EVENT_PREFIX}' & {ENTERED_AT} & '#' & {EVENT_ID}"),
        "sessionId": string(session_id),
        "eventId": string(EVENT_ID),
        "createdAt": string(ENTERED_AT),
        "expiresAt": number(f"$floor($toMillis({ENTERED_AT}) / 1000) + {kept_seconds}"),
        "status": {"S": status},
    }


def metadata(settings: WorkflowSettings, session_id: str, request: str, workflow: str) -> Item:
    """Return the metadata record: what a run was asked to do, and within which bounds.

    :param request: an expression for the request's JSON text
    :param workflow: an expression for the workflow's name
    """
    event = new_event(settings, Status.SESSION_INITIATED, session_id)
    bounds = {
        "maxRunSeconds": settings.stack.max_run_seconds,
        "leaseSeconds": settings.stack.lease_seconds,
        "maxAttempts": settings.stack.max_attempts,
    }
    return {name: event[name] for name in ("PK", "sessionId", "createdAt", "expiresAt")} | {
        "SK": {"S": METADATA},
        "day": DAY,
        "executionArn": string("$states.context.Execution.Id"),
        "request": string(request),
        "workflow": string(workflow),
        # Not `limits`: that is what a request calls its own.
        "bounds": {"M": {name: {"N": str(value)} for name, value in bounds.items()}},
    }


def workflow_name(request: str) -> str:
    """Return an expression for the name of the workflow that a request gets; the agent may yet refuse it.

    :param request: an expression for the request, any JSON value
    """
    named = f"{request}.workflow"
    known = f"$type({named}) = 'string' ? $substring({named}, 0, {MAX_WORKFLOW_CHARACTERS})"
    return f"({known} : '{next(iter(WORKFLOWS))}')"


def outcome_of(event: Item) -> Item:
    """Return the outcome record of a terminal event."""
    return event | {"SK": {"S": OUTCOME}, "day": DAY}


def request_text(request: str) -> str:
    """Return an expression for a request's JSON text, or `null` if it is too large to be part of the claim.

    The claim escapes the text once more, and Step Functions takes 256 KiB of arguments. The invoker refuses such a
    request; claimed like this, the refusal is journalled.
    """
    # Wrapped in an object and unwrapped again: $string() alone doesn't turn a string into JSON.
    text = f"$substring($string({{'_': $exists({request}) ? {request} : null}}), 5)"
    kept = "$substring($text, 0, $length($text) - 1)"
    return f"($text := {text}; $length($string([$text])) > {MAX_TEXT_CHARACTERS} ? 'null' : {kept})"


def task_token(settings: WorkflowSettings) -> Item:
    """Return the record that holds the waiting task's token."""
    event = new_event(settings, "")
    return {name: event[name] for name in ("PK", "sessionId", "createdAt", "expiresAt")} | {
        # Each try has a token of its own.
        "SK": string(f"'{TASK_TOKEN_PREFIX}' & {ENTERED_AT} & '#' & $string($states.context.State.RetryCount)"),
        "taskToken": string("$states.context.Task.Token"),
    }


def put(settings: WorkflowSettings, item: Item) -> dict[str, Any]:
    """Return a transaction's action that adds a record but never replaces one."""
    return {"Put": {"TableName": settings.table_name, "Item": item, "ConditionExpression": NOT_THERE}}


def no_outcome(settings: WorkflowSettings) -> dict[str, Any]:
    """Return a transaction's action that fails it unless the run is open."""
    return _absent(settings, outcome_key())


def no_wait(settings: WorkflowSettings) -> list[dict[str, Any]]:
    """Return the actions, none or one, that fail a transaction if the run waits for a person."""
    return [_absent(settings, _wait_key())] if settings.stack.max_waits else []


def wait_is_there(settings: WorkflowSettings) -> dict[str, Any]:
    """Return a transaction's action that fails it unless the run waits, or has waited, for a person."""
    return {"ConditionCheck": {"TableName": settings.table_name, "Key": _wait_key(), "ConditionExpression": THERE}}


def no_answer(settings: WorkflowSettings) -> dict[str, Any]:
    """Return a transaction's action that fails it if the wait is answered."""
    return _absent(settings, answer_key())


def _absent(settings: WorkflowSettings, key: Item) -> dict[str, Any]:
    return {"ConditionCheck": {"TableName": settings.table_name, "Key": key, "ConditionExpression": NOT_THERE}}


def outcome_key() -> Item:
    """Return the key of a run's outcome."""
    return {"PK": partition_key(), "SK": {"S": OUTCOME}}


def wait_sort_key() -> str:
    """Return an expression for the sort key of the wait that ends the present segment."""
    return f"('{WAIT_PREFIX}' & {_TWO_DIGITS})"


def _wait_key() -> Item:
    return {"PK": partition_key(), "SK": string(wait_sort_key())}


def answer_key() -> Item:
    """Return the key of that wait's answers."""
    return {"PK": string(f"'{ANSWERS_PARTITION}' & {SESSION_ID}"), "SK": string(_TWO_DIGITS)}


def expired_answer(event: Item) -> Item:
    """Return what stands for a wait's answers where nobody gave any.

    :param event: that tells of it
    """
    kept = {name: value for name, value in event.items() if name not in ("PK", "SK", "detail")}
    return answer_key() | kept | {"wait": number("$wait"), "answers": {"S": EXPIRED}}


def string(text: str) -> Item:
    """Return a string value computed by an expression."""
    return {"S": expression(text)}


def number(text: str) -> Item:
    """Return a number value computed by an expression."""
    return {"N": expression(f"$string({text})")}


DAY = string(f"$substring({ENTERED_AT}, 0, 10)")
