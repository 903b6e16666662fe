"""The state machine as data: a pure function from settings to Amazon States Language.

    ClaimSession → InvokeAgent → WaitForCompletion ⇄ CheckStatus → EvaluateStatus
                       ↑                                                │
                       └── StopLostAgent ← AttemptsLeft ← AgentLost ←───┤ lease over
                                                │ none left             │ past the deadline
                                                └──→ CloseSession ←─────┘
    every end but the duplicate's: → ReleaseSession → PublishFinished → Ended → RunCompleted | RunFailed

Owns the order of states and what is retried. How often and how long is `workflow_budget.py`'s, what is written
`workflow_records.py`'s, who may do it the role's (`components/workflow.py`).

JSONata throughout: nearly every state computes a key, a time or a choice, and variables keep the run's facts without
threading them through each state's input.
https://docs.aws.amazon.com/step-functions/latest/dg/transforming-data.html
"""

from typing import Any

from components.asl import State, catch, choice, expression, never_retry, retry, rule
from components.workflow_budget import (
    RETRY_DELAY_SECONDS,
    WorkflowSettings,
    check_poll_budget,
    machine_timeout_seconds,
    tries_for,
)
from components.workflow_records import (
    EVENT_ID,
    metadata,
    new_event,
    no_outcome,
    number,
    outcome_of,
    partition_key,
    put,
    string,
    waiter,
)
from runtime.journal.keys import EVENT_PREFIX
from runtime.journal.request import SESSION_ID
from runtime.journal.vocabulary import TERMINAL, Status

__all__ = ["WorkflowSettings", "build_definition"]

NEWEST_EVENTS = 20
INVOKE_TIMEOUT_SECONDS = 240
STOP_TIMEOUT_SECONDS = 60
CLAIM_RETRY_SECONDS = 600
DATABASE_RETRY_SECONDS = 15
ERROR_CHARACTERS = 2000
FINISHED_DETAIL_TYPE = "AgentRunFinished"

THROTTLED = ["AgentThrottled", "Lambda.TooManyRequestsException"]
PASSING = [
    "AgentUnavailable",
    "JournalUnavailable",
    "Lambda.ClientExecutionTimeoutException",
    "Lambda.ServiceException",
    "Lambda.AWSLambdaException",
    "Lambda.SdkClientException",
    "Lambda.Unknown",
    "Sandbox.Timedout",
    "Runtime.ExitError",
    "States.Timeout",
]
"""A function that was killed may have started the agent. Trying again is safe, because attempts are claimed."""
COUNT_POLL = {"polls": "{% $polls + 1 %}"}
QUERY_ERROR = "States.QueryEvaluationError"
TRANSACTION_CANCELLED = "DynamoDb.TransactionCanceledException"
CAUSE = "$states.errorOutput.Cause"
REFUSED = "$contains($refusal, 'ConditionalCheckFailed')"
COMPLETED = f"$outcome.status = '{Status.AGENT_BACKGROUND_TASK_COMPLETED}'"
SESSION_ID_RULE = (
    "the input needs a session_id of 33 to 100 characters of A-Z, a-z, 0-9, _ and -, beginning with a letter or digit, "
    "and a request; nothing was started"
)


def build_definition(settings: WorkflowSettings) -> dict[str, Any]:
    """Return the state machine.

    :raises ValueError: if the polls don't fit into an execution's history
    """
    check_poll_budget(settings)
    return {
        "Comment": "Claims a run, starts its agent, polls the journal, resumes lost agents, closes the run.",
        "QueryLanguage": "JSONata",
        "StartAt": "ClaimSession",
        "TimeoutSeconds": machine_timeout_seconds(settings),
        "States": {
            "ClaimSession": _claim_session(settings),
            "InvalidSessionId": {"Type": "Fail", "Error": "InvalidRequest", "Cause": "{% $refusal %}"},
            "WhyNotClaimed": choice([rule(REFUSED, "DuplicateDelivery")], "ClaimFailed"),
            "DuplicateDelivery": {"Type": "Succeed"},
            "ClaimFailed": {"Type": "Fail", "Error": "ClaimFailed", "Cause": "{% $refusal %}"},
            "InvokeAgent": _invoke_agent(settings),
            "WaitForCompletion": _wait_for_completion(settings),
            "CheckStatus": _check_status(settings),
            "EvaluateStatus": _evaluate_status(settings),
            "AgentLost": _agent_lost(settings),
            "AttemptsLeft": _attempts_left(settings),
            "StopLostAgent": _stop_session(settings, "InvokeAgent"),
            "CloseSession": _close_session(settings),
            "WhyNotClosed": choice([rule(REFUSED, "CheckStatus")], "WaitToClose"),
            "WaitToClose": {"Type": "Wait", "Seconds": settings.poll_interval_seconds, "Next": "CloseSession"},
            "ReleaseSession": _stop_session(settings, "PublishFinished"),
            "PublishFinished": _publish_finished(settings),
            "Ended": choice([rule(COMPLETED, "RunCompleted")], "RunFailed"),
            "RunCompleted": {"Type": "Succeed"},
            "RunFailed": {
                "Type": "Fail",
                "Error": "{% $outcome.errorType %}",
                "Cause": "{% $outcome.errorMessage %}",
            },
        },
    }


def _claim_session(settings: WorkflowSettings) -> State:
    given, request = "$states.input.session_id", "$states.input.request"
    # Only the session id is looked at here: whatever else is wrong with a request, the invoker journals.
    # All of it has to match. `$` would not do: in most dialects it lets a line break at the end through.
    usable = f"$type({given}) = 'string' ? $match({given}, /^{SESSION_ID.pattern}/)[0].match = {given} : false"
    session_id = f"(({usable}) ? {given} : $error('{SESSION_ID_RULE}'))"
    request_or_null = f"($exists({request}) ? {request} : null)"
    return {
        "Type": "Task",
        "Resource": "arn:aws:states:::aws-sdk:dynamodb:transactWriteItems",
        "Arguments": {
            # A claim whose answer was lost is not taken for somebody else's when Step Functions sends it again.
            "ClientRequestToken": expression(EVENT_ID),
            "TransactItems": [
                put(settings, metadata(settings, session_id, request_or_null)),
                put(settings, new_event(settings, Status.SESSION_INITIATED, session_id)),
            ],
        },
        "Assign": {
            "sessionId": expression(given),
            "request": expression(request_or_null),
            "attempt": 1,
            "polls": 0,
            "deadline": None,
            "lease": None,
            "outcome": None,
        },
        "Output": {},
        # Until it is claimed, a run is known to nobody but this execution. An expression that did not get its turn
        # within a second fails like one that says no: asked again, only the second says the same.
        "Retry": [retry([QUERY_ERROR], 1, 1), *_database_retry(CLAIM_RETRY_SECONDS)],
        "Catch": [
            catch([QUERY_ERROR], "InvalidSessionId", refusal=expression(CAUSE)),
            catch([TRANSACTION_CANCELLED], "WhyNotClaimed", refusal=expression(CAUSE)),
            catch(["States.ALL"], "ClaimFailed", refusal=expression(CAUSE)),
        ],
        "Next": "InvokeAgent",
    }


def _invoke_agent(settings: WorkflowSettings) -> State:
    payload = {
        "operation": "start",
        "session_id": "{% $sessionId %}",
        "attempt": "{% $attempt %}",
        "deadline": "{% $deadline %}",
        "request": "{% $request %}",
    }
    return {
        "Type": "Task",
        "Resource": "arn:aws:states:::lambda:invoke",
        "Arguments": {"FunctionName": settings.function_arn, "Payload": payload},
        "TimeoutSeconds": INVOKE_TIMEOUT_SECONDS,
        "Assign": {
            "deadline": "{% $states.result.Payload.deadline %}",
            "lease": "{% $states.result.Payload.leaseExpiresAt %}",
        },
        "Output": {},
        "Retry": [
            retry(THROTTLED, RETRY_DELAY_SECONDS, tries_for(settings.invoke_retry_seconds)),
            retry(PASSING, 1, 6),
        ],
        "Catch": [
            # Cancelled while it waited for a free place, for instance: the outcome is in the journal.
            catch(["RunClosed"], "CheckStatus"),
            catch(["RunTimedOut"], "CloseSession", closing=_failed_call(Status.SESSION_TIMED_OUT)),
            catch(["States.ALL"], "CloseSession", closing=_failed_call(Status.SESSION_FAILED)),
        ],
        "Next": "WaitForCompletion",
    }


def _wait_for_completion(settings: WorkflowSettings) -> State:
    first, longest = settings.first_interval_seconds, settings.longest_interval_seconds
    growing = expression(f"$floor($min([{longest}, {first} * $power({settings.growth}, $polls)]))")
    interval = growing if longest > first else first
    if settings.completion == "callback":
        return _wait_for_callback(settings, interval)
    return {"Type": "Wait", "Seconds": interval, "Assign": COUNT_POLL, "Next": "CheckStatus"}


def _wait_for_callback(settings: WorkflowSettings, interval: int | str) -> State:
    """Registering the token and "no outcome yet" are one transaction, so that no wake-up can be missed: whoever
    closes the run afterwards finds the token."""
    return {
        "Type": "Task",
        "Resource": "arn:aws:states:::aws-sdk:dynamodb:transactWriteItems.waitForTaskToken",
        "Arguments": {"TransactItems": [put(settings, waiter(settings)), no_outcome(settings)]},
        "TimeoutSeconds": interval,
        "Output": {},
        "Retry": [
            never_retry(TRANSACTION_CANCELLED),
            retry(["States.TaskFailed"], RETRY_DELAY_SECONDS, tries_for(DATABASE_RETRY_SECONDS)),
        ],
        # Timed out, or there is an outcome already: look.
        "Catch": [catch(["States.ALL"], "CheckStatus", **COUNT_POLL)],
        "Next": "CheckStatus",
    }


def _check_status(settings: WorkflowSettings) -> State:
    """The newest events only, so that a poll's cost doesn't grow with the history.

    The terminal event is always among them: once there is an outcome, agents can write nothing more, and only the
    invoker's event of a call that was under way can follow.
    """
    terminal = {f":terminal{n}": {"S": status.value} for n, status in enumerate(TERMINAL)}
    items = "$states.result.Items"
    names = ", ".join(f"'{status}'" for status in TERMINAL)
    return {
        "Type": "Task",
        "Resource": "arn:aws:states:::aws-sdk:dynamodb:query",
        "Arguments": {
            "TableName": settings.table_name,
            "KeyConditionExpression": "PK = :pk AND begins_with(SK, :event)",
            "FilterExpression": f"#status IN ({', '.join(terminal)}) "
            "OR (attempt = :attempt AND attribute_exists(leaseExpiresAt))",
            "ExpressionAttributeNames": {"#status": "status"},
            "ExpressionAttributeValues": terminal
            | {":pk": partition_key(), ":event": {"S": EVENT_PREFIX}, ":attempt": number("$attempt")},
            "ScanIndexForward": False,
            "Limit": NEWEST_EVENTS,
            "ConsistentRead": True,
        },
        "Assign": {
            "outcome": expression(
                f"($ended := {items}[status.S in [{names}]][0]; $exists($ended) ? {_OUTCOME} : null)"
            ),
            # Without a sign of life in the journal, the lease that the invoker returned is the newest.
            "lease": expression(
                f"($alive := {items}[$exists(leaseExpiresAt)][0].leaseExpiresAt.S; $exists($alive) ? $alive : $lease)"
            ),
        },
        "Output": {},
        "Retry": _database_retry(),
        # Not being able to look is no reason to end a run that works: look again at the next poll.
        "Catch": [catch(["States.ALL"], "WaitForCompletion")],
        "Next": "EvaluateStatus",
    }


_OUTCOME = """{
    'status': $ended.status.S,
    'errorType': $exists($ended.errorType) ? $ended.errorType.S : $ended.status.S,
    'errorMessage': $exists($ended.errorMessage) ? $ended.errorMessage.S : 'no message',
    'reportKey': $exists($ended.detail.M.reportKey) ? $ended.detail.M.reportKey.S : null,
    'tokens': $exists($ended.detail.M.tokens) ? {
        'input': $number($ended.detail.M.tokens.M.inputTokens.N),
        'output': $number($ended.detail.M.tokens.M.outputTokens.N)
    } : null
}"""


def _evaluate_status(settings: WorkflowSettings) -> State:
    # The agent enforces the deadline itself and has its lease to write the end down; this comes after it.
    overdue = f"$millis() > $toMillis($deadline) + {settings.lease_seconds * 1000}"
    timed_out = {
        "status": Status.SESSION_TIMED_OUT.value,
        "errorType": "RunTimedOut",
        "errorMessage": "{% 'the deadline, ' & $deadline & ', passed and the agent did not end the run itself' %}",
    }
    return choice(
        [
            rule("$outcome != null", "ReleaseSession"),
            rule(overdue, "CloseSession", closing=timed_out),
            rule("$millis() > $toMillis($lease)", "AgentLost"),
        ],
        "WaitForCompletion",
    )


def _agent_lost(settings: WorkflowSettings) -> State:
    event = new_event(settings, Status.AGENT_BACKGROUND_TASK_LOST) | {
        "attempt": number("$attempt"),
        "errorType": {"S": "AgentLost"},
        "errorMessage": string("'no sign of life: the lease ran out at ' & $lease"),
    }
    return {
        "Type": "Task",
        "Resource": "arn:aws:states:::aws-sdk:dynamodb:transactWriteItems",
        "Arguments": {
            "ClientRequestToken": expression(EVENT_ID),
            "TransactItems": [put(settings, event), no_outcome(settings)],
        },
        "Output": {},
        "Retry": _database_retry(),
        # It came to its end after all, or the journal can't be written: look again either way.
        "Catch": [catch(["States.ALL"], "WaitForCompletion")],
        "Next": "AttemptsLeft",
    }


def _attempts_left(settings: WorkflowSettings) -> State:
    given_up = {
        "status": Status.SESSION_FAILED.value,
        "errorType": "AgentLost",
        "errorMessage": expression(
            f"'attempt ' & $string($attempt) & ' of {settings.max_attempts} was lost: its lease ran out at ' & $lease"
        ),
    }
    next_attempt = rule(f"$attempt < {settings.max_attempts}", "StopLostAgent", attempt="{% $attempt + 1 %}")
    return choice([next_attempt], "CloseSession") | {"Assign": {"closing": given_up}}


def _close_session(settings: WorkflowSettings) -> State:
    event = new_event(settings, "{% $closing.status %}") | {
        "attempt": number("$attempt"),
        "errorType": string("$closing.errorType"),
        "errorMessage": string("$closing.errorMessage"),
    }
    return {
        "Type": "Task",
        "Resource": "arn:aws:states:::aws-sdk:dynamodb:transactWriteItems",
        "Arguments": {
            "ClientRequestToken": expression(EVENT_ID),
            "TransactItems": [put(settings, event), put(settings, outcome_of(event))],
        },
        "Assign": {"outcome": "{% $merge([$closing, {'reportKey': null, 'tokens': null}]) %}"},
        "Output": {},
        "Retry": _database_retry(),
        "Catch": [catch(["States.ALL"], "WhyNotClosed", refusal=expression(CAUSE))],
        "Next": "ReleaseSession",
    }


def _stop_session(settings: WorkflowSettings, then: str) -> State:
    """An environment that idles on is billed and counted; one that could not be stopped must not hold up the run."""
    payload = {"operation": "stop", "session_id": "{% $sessionId %}"}
    return {
        "Type": "Task",
        "Resource": "arn:aws:states:::lambda:invoke",
        "Arguments": {"FunctionName": settings.function_arn, "Payload": payload},
        "TimeoutSeconds": STOP_TIMEOUT_SECONDS,
        "Output": {},
        "Retry": [retry([*THROTTLED, *PASSING], 1, 2)],
        "Catch": [catch(["States.ALL"], then)],
        "Next": then,
    }


def _publish_finished(settings: WorkflowSettings) -> State:
    detail = {
        "sessionId": "{% $sessionId %}",
        "outcome": "{% $outcome.status %}",
        "attempts": "{% $attempt %}",
        "seconds": "{% ($millis() - $toMillis($states.context.Execution.StartTime)) / 1000 %}",
        "tokens": "{% $outcome.tokens %}",
        "reportKey": "{% $outcome.reportKey %}",
        "errorType": f"{{% {COMPLETED} ? null : $outcome.errorType %}}",
    }
    entry = {
        # Another source than the one that starts runs, so that no run can start a run by ending.
        "Source": f"{settings.event_source}.runs",
        "DetailType": FINISHED_DETAIL_TYPE,
        "EventBusName": settings.event_bus_name,
        "Detail": detail,
    }
    return {
        "Type": "Task",
        "Resource": "arn:aws:states:::events:putEvents",
        "Arguments": {"Entries": [entry]},
        "Output": detail,
        "Retry": [retry(["States.ALL"], 1, 5)],
        # The journal has the outcome; an announcement that fails does not change it.
        "Catch": [catch(["States.ALL"], "Ended")],
        "Next": "Ended",
    }


def _failed_call(status: Status) -> dict[str, str]:
    """What a failed call of the invoker closes the run with: the class and the message of its error."""
    # Not $parse: a cause that is no JSON, or was cut short, would fail the execution instead of closing the run.
    message = f'$match({CAUSE}, /"errorMessage": ?"((?:[^\\\\"]|\\\\.)*)"/)[0].groups[0]'
    text = f"($told := {message}; $exists($told) ? $replace($told, '\\\\\"', '\"') : {CAUSE})"
    return {
        "status": status.value,
        "errorType": "{% $states.errorOutput.Error %}",
        "errorMessage": expression(f"$substring({text}, 0, {ERROR_CHARACTERS})"),
    }


def _database_retry(seconds: int = DATABASE_RETRY_SECONDS) -> list[dict[str, Any]]:
    # A cancelled transaction is mostly an answer, now and then a conflict with another writer of the same run.
    return [
        retry([TRANSACTION_CANCELLED], 1, 1),
        retry(["States.ALL"], RETRY_DELAY_SECONDS, tries_for(seconds)),
    ]
