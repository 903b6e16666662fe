"""The state machine as data: a pure function from settings to Amazon States Language.

    ClaimSession → InvokeAgent → WaitForCompletion ⇄ CheckStatus → EvaluateStatus
                       ↑                                                │
                       └── StopLostAgent ← AttemptsLeft ← AgentLost ←───┤ lease over
                                                │ none left             │ past the deadline
                                                └──→ CloseSession ←─────┘
    every end but the duplicate's: → ReleaseSession → PublishFinished → Ended → RunCompleted | RunFailed

Every loop contains a wait. If an essential write fails, the claim or the close, the execution fails: it can then be
redriven, which resumes at that state. After a Fail state it could not.
https://docs.aws.amazon.com/step-functions/latest/dg/redrive-executions.html

Owns the order of states and what is retried. `workflow_budget.py` decides how often and how long, `workflow_records.py`
what is written, the role (`components/workflow.py`) what is permitted.

JSONata throughout: nearly every state computes a key, a time or a choice, and variables hold the run's facts without
threading them through each state's input.
https://docs.aws.amazon.com/step-functions/latest/dg/transforming-data.html
"""

from typing import Any

from components import workflow_waits as waits
from components.asl import State, catch, choice, expression, never_retry, retry, rule
from components.error_output import CAUSE, SAID, failed_call
from components.workflow_budget import (
    ESSENTIAL_RETRY_SECONDS,
    RETRY_DELAY_SECONDS,
    SPARED_ATTEMPTS,
    TRANSITION_RETRY_SECONDS,
    WorkflowSettings,
    check_budget,
    first_interval_seconds,
    growth,
    longest_interval_seconds,
    machine_timeout_seconds,
    polls_until_longest,
    tries_for,
)
from components.workflow_calls import (
    ALIASES,
    LOOKED_AT,
    NEWEST_RECORDS,
    REQUESTED_BY,
    TRANSACTION_CANCELLED,
    announcement,
    database_retry,
    outcome_among,
    wait_to_be_woken,
)
from components.workflow_records import (
    EVENT_ID,
    metadata,
    new_event,
    no_outcome,
    no_wait,
    number,
    outcome_of,
    partition_key,
    put,
    request_text,
    string,
    workflow_name,
)
from runtime.contract.request import SESSION_ID
from runtime.contract.start import start_payload
from runtime.journal.keys import EVENT_PREFIX, LOOK_PREFIX
from runtime.journal.vocabulary import Status

__all__ = ["WorkflowSettings", "build_definition"]

INVOKE_TIMEOUT_SECONDS = 240
STOP_TIMEOUT_SECONDS = 60
CONFLICT_WAIT_SECONDS = 60
FINISHED_DETAIL_TYPE = "AgentRunFinished"

THROTTLED = ["AgentThrottled", "Lambda.TooManyRequestsException"]
TRANSIENT = [
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
"""A function that was killed may have started the agent. A retry is safe, because attempts are claimed."""
COUNT_POLL = {"polls": "{% $polls + 1 %}"}
QUERY_ERROR = "States.QueryEvaluationError"
TOO_LARGE = "States.DataLimitExceeded"
"""Not matched by States.ALL: https://docs.aws.amazon.com/step-functions/latest/dg/concepts-error-handling.html"""
REFUSED = "$contains($refusal, 'ConditionalCheckFailed')"
COMPLETED = f"$outcome.status = '{Status.AGENT_BACKGROUND_TASK_COMPLETED}'"
REQUEST_RULE = (
    "the request is larger as JSON text than the 256 KiB that Step Functions takes; put large inputs into S3 and send "
    "their keys; nothing was started"
)
ANSWERS_TOO_LARGE = {
    "status": Status.SESSION_FAILED.value,
    "errorType": "AnswersTooLarge",
    "errorMessage": "the request and a person's answers are together larger than the 256 KiB that Step Functions takes",
}
SESSION_ID_RULE = (
    "the input needs a session_id of 33 to 100 characters of A-Z, a-z, 0-9, _ and -, beginning with a letter or digit, "
    "and a request; nothing was started"
)


def build_definition(settings: WorkflowSettings) -> dict[str, Any]:
    """Return the state machine.

    :raises ValueError: if the longest run doesn't fit into an execution's history, or outlives its own records
    """
    check_budget(settings.stack)
    return {
        "Comment": "Claims a run, starts its agent, polls the journal, resumes lost agents, closes the run.",
        "QueryLanguage": "JSONata",
        "StartAt": "ClaimSession",
        "TimeoutSeconds": machine_timeout_seconds(settings.stack),
        "States": {
            "ClaimSession": _claim_session(settings),
            "InvalidRequest": {"Type": "Fail", "Error": "InvalidRequest", "Cause": "{% $refusal %}"},
            "WhyNotClaimed": choice([rule(REFUSED, "DuplicateDelivery")], "WaitToClaim"),
            "WaitToClaim": {"Type": "Wait", "Seconds": CONFLICT_WAIT_SECONDS, "Next": "ClaimSession"},
            "DuplicateDelivery": {"Type": "Succeed"},
            "InvokeAgent": _invoke_agent(settings),
            "WaitForCompletion": _wait_for_completion(settings),
            "WaitToLook": {"Type": "Wait", "Seconds": "{% $pause %}", "Next": "CheckStatus"},
            "CheckStatus": _check_status(settings),
            "CouldNotLook": choice([_past_the_deadline(settings)], "WaitForCompletion"),
            "EvaluateStatus": _evaluate_status(settings),
            "AgentLost": _agent_lost(settings),
            "AttemptsLeft": _attempts_left(settings),
            "StopLostAgent": _stop_session(settings, "InvokeAgent"),
            **(_wait_states(settings) if settings.stack.max_waits else {}),
            "CloseSession": _close_session(settings),
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


def _wait_states(settings: WorkflowSettings) -> dict[str, State]:
    return {"StopWaitingAgent": _stop_session(settings, "LookForAnswer")} | waits.wait_states(settings)


def _claim_session(settings: WorkflowSettings) -> State:
    given, request = "$states.input.session_id", "$states.input.request"
    # Only the session id is checked here: the invoker journals whatever else is wrong with a request.
    # The whole text must match. `$` is not enough: most dialects accept a trailing line break with it.
    usable = f"$type({given}) = 'string' ? $match({given}, /^{SESSION_ID.pattern}/)[0].match = {given} : false"
    session_id = f"(({usable}) ? {given} : $error('{SESSION_ID_RULE}'))"
    return {
        "Type": "Task",
        "Resource": "arn:aws:states:::aws-sdk:dynamodb:transactWriteItems",
        "Arguments": {
            # A claim whose answer was lost must not look like another's when Step Functions sends it again.
            "ClientRequestToken": expression(EVENT_ID),
            "TransactItems": [
                put(settings, metadata(settings, session_id, request_text(request), workflow_name(request))),
                put(settings, new_event(settings, Status.SESSION_INITIATED, session_id)),
            ],
        },
        "Assign": {
            "sessionId": expression(given),
            "request": expression(f"($exists({request}) ? {request} : null)"),
            "workflow": expression(workflow_name(request)),
            "attempt": 1,
            "spared": 0,
            "polls": 0,
            "deadline": None,
            "lease": None,
            "since": "",
            "offset": 0,
            "unclaimed": False,
            "newest": "",
            "outcome": None,
            "closing": None,
        }
        | (waits.beginning(settings) if settings.stack.max_waits else {}),
        "Output": {},
        # Until it is claimed, only this execution knows of the run. An expression that isn't evaluated within a second
        # fails like one that calls $error(): after a retry, only the latter fails again.
        "Retry": [retry([QUERY_ERROR], 1, 1), never_retry(TOO_LARGE), *database_retry(ESSENTIAL_RETRY_SECONDS)],
        "Catch": [
            catch([QUERY_ERROR], "InvalidRequest", refusal=expression(SAID)),
            catch([TOO_LARGE], "InvalidRequest", refusal=REQUEST_RULE),
            # Keeps its input, because the state may be entered again.
            catch([TRANSACTION_CANCELLED], "WhyNotClaimed", refusal=expression(CAUSE))
            | {"Output": "{% $states.input %}"},
        ],
        "Next": "InvokeAgent",
    }


def _invoke_agent(settings: WorkflowSettings) -> State:
    may_wait = settings.stack.max_waits > 0
    payload = start_payload(
        session_id="{% $sessionId %}",
        attempt="{% $attempt %}",
        request="{% $request %}",
        seconds_left=f"{{% $deadline = null ? {'$left' if may_wait else 'null'} : ($deadline - $millis()) / 1000 %}}",
        # Whatever the clocks say, what this attempt writes must be later than what is there.
        after="{% ($now := $fromMillis($millis()); $newest > $now ? $newest : $now) %}",
        segment=waits.SEGMENT if may_wait else None,
    )
    answer = "$states.result.Payload"
    return {
        "Type": "Task",
        "Resource": "arn:aws:states:::lambda:invoke",
        "Arguments": {"FunctionName": settings.function_arn, "Payload": payload},
        "TimeoutSeconds": INVOKE_TIMEOUT_SECONDS,
        # In milliseconds of the state machine's clock, which is compared with no other: adding `offset` converts the
        # agent's times to it.
        "Assign": {
            "since": expression(f"{answer}.now"),
            "offset": expression(f"$millis() - $toMillis({answer}.now)"),
            "deadline": expression(f"$deadline = null ? $millis() + 1000 * {answer}.secondsLeft : $deadline"),
            "lease": expression(f"$millis() + {settings.stack.lease_seconds * 1000}"),
            "unclaimed": False,
        },
        "Output": {},
        "Retry": [
            retry(THROTTLED, RETRY_DELAY_SECONDS, tries_for(settings.stack.invoke_retry_seconds)),
            # The session's last environment takes up to a minute to shut down.
            retry(["SessionInTransition"], RETRY_DELAY_SECONDS, tries_for(TRANSITION_RETRY_SECONDS)),
            retry(TRANSIENT, 1, 6),
        ],
        "Catch": [
            # For instance, cancelled while waiting for capacity: the outcome is in the journal.
            catch(["RunClosed", "RunWaiting"] if may_wait else ["RunClosed"], "WaitToLook", pause=1),
            catch(["RunTimedOut"], "CloseSession", closing=failed_call(Status.SESSION_TIMED_OUT)),
            *([catch([TOO_LARGE], "CloseSession", closing=ANSWERS_TOO_LARGE)] if may_wait else []),
            catch(["States.ALL"], "CloseSession", closing=failed_call(Status.SESSION_FAILED)),
        ],
        "Next": "WaitForCompletion",
    }


def _wait_for_completion(settings: WorkflowSettings) -> State:
    first, longest = first_interval_seconds(settings.stack), longest_interval_seconds(settings.stack)
    # Capped at the poll that reaches the longest interval: otherwise the power would eventually overflow.
    exponent = f"$min([$polls, {polls_until_longest(settings.stack)}])"
    growing = expression(f"$floor($min([{longest}, {first} * $power({growth(settings.stack)}, {exponent})]))")
    interval = growing if longest > first else first
    if settings.stack.completion == "callback":
        return _wait_for_callback(settings, interval)
    return {"Type": "Wait", "Seconds": interval, "Assign": COUNT_POLL, "Next": "CheckStatus"}


def _wait_for_callback(settings: WorkflowSettings, interval: int | str) -> State:
    checks = [no_outcome(settings), *no_wait(settings)]
    look, polls = ("CheckStatus", "WaitToLook"), settings.stack.callback_poll_seconds
    return wait_to_be_woken(settings, checks, interval, look, polls, **COUNT_POLL)


def _check_status(settings: WorkflowSettings) -> State:
    """One poll, whose cost doesn't grow with the history: the outcome, which sorts after everything, and the newest
    events, of which the agent's own since its acknowledgement are signs of life."""
    items = "$states.result.Items"
    signs_of_life = (
        "$exists(environmentId) and $exists(leaseExpiresAt) and attempt.N = $string($attempt) and createdAt.S >= $since"
    )
    alive = f"$alive := {items}[{signs_of_life}][0]"
    may_wait = settings.stack.max_waits > 0
    return {
        "Type": "Task",
        "Resource": "arn:aws:states:::aws-sdk:dynamodb:query",
        "Arguments": {
            "TableName": settings.table_name,
            "KeyConditionExpression": "PK = :pk AND begins_with(SK, :look)",
            "ProjectionExpression": ", ".join(LOOKED_AT),
            "ExpressionAttributeNames": ALIASES,
            "ExpressionAttributeValues": {":pk": partition_key(), ":look": {"S": LOOK_PREFIX}},
            "ScanIndexForward": False,
            "Limit": NEWEST_RECORDS,
            "ConsistentRead": True,
        }
        | (waits.look(settings) if may_wait else {}),
        "Assign": {
            "outcome": outcome_among(items),
            "newest": expression(
                f"($event := {items}[$contains(SK.S, '{EVENT_PREFIX}')][0];"
                " $exists($event) ? $event.createdAt.S : $newest)"
            ),
            # Without a sign of life in the journal, the lease from the acknowledgement still counts.
            # One that was given back is over, though `offset`, which has the acknowledgement's way in it, may say that
            # it is not yet: whoever gave it back has woken this execution and won't do so again.
            "lease": expression(
                f"({alive}; $until := $toMillis($alive.leaseExpiresAt.S) + $offset; $exists($alive) ?"
                " ($alive.leaseExpiresAt.S = $alive.createdAt.S ? $min([$until, $millis() - 1]) : $until) : $lease)"
            ),
            "unclaimed": expression(f"({alive}; $exists($alive.detail.M.unclaimed))"),
        }
        | ({"asked": waits.asked_among(items)} if may_wait else {}),
        "Output": {},
        "Retry": database_retry(),
        # A failed poll must not end a working run before its deadline.
        "Catch": [catch(["States.ALL"], "CouldNotLook")],
        "Next": "EvaluateStatus",
    }


def _past_the_deadline(settings: WorkflowSettings) -> dict[str, Any]:
    # The agent enforces the deadline itself and has the length of its lease to journal the end; this comes later.
    overdue = f"$deadline = null ? false : $millis() > $deadline + {settings.stack.lease_seconds * 1000}"
    timed_out = {
        "status": Status.SESSION_TIMED_OUT.value,
        "errorType": "RunTimedOut",
        "errorMessage": expression(
            "'the deadline, ' & $fromMillis($deadline) & ', passed and the agent did not end the run itself'"
        ),
    }
    return rule(overdue, "CloseSession", closing=timed_out)


def _evaluate_status(settings: WorkflowSettings) -> State:
    return choice(
        [
            rule("$outcome != null", "ReleaseSession"),
            # Whatever this execution had decided: who waits is not lost, and its time stands still.
            *([rule("$asked != null", "StopWaitingAgent", closing=None)] if settings.stack.max_waits else []),
            # The close conflicted with another write.
            rule("$closing != null", "CloseSession"),
            _past_the_deadline(settings),
            rule("$lease = null ? false : $millis() > $lease", "AgentLost"),
        ],
        "WaitForCompletion",
    )


def _agent_lost(settings: WorkflowSettings) -> State:
    event = new_event(settings, Status.AGENT_BACKGROUND_TASK_LOST) | {
        "attempt": number("$attempt"),
        "errorType": {"S": "AgentLost"},
        "errorMessage": string("'no sign of life: the lease ran out at ' & $fromMillis($lease)"),
    }
    return {
        "Type": "Task",
        "Resource": "arn:aws:states:::aws-sdk:dynamodb:transactWriteItems",
        "Arguments": {
            "ClientRequestToken": expression(EVENT_ID),
            "TransactItems": [put(settings, event), no_outcome(settings), *no_wait(settings)],
        },
        "Output": {},
        "Retry": database_retry(),
        # The run has ended or waits after all, or the journal can't be written: poll again either way.
        "Catch": [catch(["States.ALL"], "WaitForCompletion")],
        "Next": "AttemptsLeft",
    }


def _attempts_left(settings: WorkflowSettings) -> State:
    last, of_last = settings.stack.max_attempts, f" of {settings.stack.max_attempts}"
    if settings.stack.max_waits:
        last, of_last = "$lastAttempt", " of ' & $string($lastAttempt) & '"
    given_up = {
        "status": Status.SESSION_FAILED.value,
        "errorType": "AgentLost",
        "errorMessage": expression(
            f"'attempt ' & $string($attempt) & '{of_last} was lost: its lease ran out at ' & $fromMillis($lease)"
        ),
    }
    again = [
        # It shut down before it began: the attempt's number is still free.
        rule(f"$unclaimed and $spared < {SPARED_ATTEMPTS}", "StopLostAgent", spared="{% $spared + 1 %}"),
        rule(f"$attempt < {last}", "StopLostAgent", attempt="{% $attempt + 1 %}"),
    ]
    return choice(again, "CloseSession") | {"Assign": {"closing": given_up}}


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
            "TransactItems": [put(settings, event), put(settings, outcome_of(event)), *no_wait(settings)],
        },
        "Assign": {"outcome": "{% $merge([$closing, {'reportKey': null, 'tokens': null}]) %}"},
        "Output": {},
        "Retry": database_retry(ESSENTIAL_RETRY_SECONDS),
        # The run has been closed by another, or waits after all, or another write conflicted.
        "Catch": [catch([TRANSACTION_CANCELLED], "WaitToLook", pause=1)],
        "Next": "ReleaseSession",
    }


def _stop_session(settings: WorkflowSettings, then: str) -> State:
    """An idle environment is billed and uses the quota; one that can't be stopped must not hold up the run."""
    payload = {"operation": "stop", "session_id": "{% $sessionId %}"}
    return {
        "Type": "Task",
        "Resource": "arn:aws:states:::lambda:invoke",
        "Arguments": {"FunctionName": settings.function_arn, "Payload": payload},
        "TimeoutSeconds": STOP_TIMEOUT_SECONDS,
        "Output": {},
        "Retry": [retry([*THROTTLED, "SessionInTransition", *TRANSIENT], 1, 2)],
        "Catch": [catch(["States.ALL"], then)],
        "Next": then,
    }


def _publish_finished(settings: WorkflowSettings) -> State:
    detail = {
        "sessionId": "{% $sessionId %}",
        "workflow": "{% $workflow %}",
        "outcome": "{% $outcome.status %}",
        "attempts": "{% $attempt %}",
        "seconds": "{% ($millis() - $toMillis($states.context.Execution.StartTime)) / 1000 %}",
        "tokens": "{% $outcome.tokens %}",
        "reportKey": "{% $outcome.reportKey %}",
        "requestedBy": REQUESTED_BY,
        "errorType": f"{{% {COMPLETED} ? null : $outcome.errorType %}}",
    }
    return {
        "Type": "Task",
        "Resource": "arn:aws:states:::events:putEvents",
        "Arguments": {"Entries": [announcement(settings, FINISHED_DETAIL_TYPE, detail)]},
        "Output": detail,
        "Retry": [retry(["States.ALL"], 1, 5)],
        # The journal has the outcome; a failed announcement does not change it.
        "Catch": [catch(["States.ALL"], "Ended")],
        "Next": "Ended",
    }
