"""The state machine as data: a pure function from settings to Amazon States Language.

    CheckInput → ClaimSession → InvokeAgent → WaitForCompletion ⇄ CheckStatus → EvaluateStatus
                                    ↑                                              │
                                    └── StopLostAgent ← AttemptsLeft ← AgentLost ←─┤ lease over
                                                             │ none left           │ past the deadline
                                                             └──→ CloseSession ←───┘
    every end but the duplicate's: → ReleaseSession → PublishFinished → Ended → RunCompleted | RunFailed

Owns the order of states, what is retried and how long, and the poll budget. What the events mean is the
journal's business, and who may do it the role's (`components/workflow.py`).

The machine is JSONata throughout: nearly every state computes a key, a time or a choice, and variables keep the
run's facts without threading them through each state's input. Rules: https://states-language.net/spec.html and
https://docs.aws.amazon.com/step-functions/latest/dg/transforming-data.html
"""

import math
from dataclasses import dataclass
from typing import Any, TypeAlias

from pulumi import Input

from runtime.journal.keys import EVENT_PREFIX, METADATA, OUTCOME
from runtime.journal.request import SESSION_ID
from runtime.journal.vocabulary import TERMINAL, Status

State: TypeAlias = dict[str, Any]

HISTORY_LIMIT = 25_000
"""Events an execution may have: https://docs.aws.amazon.com/step-functions/latest/dg/service-quotas.html"""
EVENTS_PER_POLL = 9
"""Wait and Choice enter and exit, the query enters, is scheduled, started, succeeded, and exits."""
EVENTS_PER_TRY = 3
EVENTS_PER_ATTEMPT = 30
EVENTS_ONCE = 60
NEWEST_EVENTS = 20
RETRY_DELAY_SECONDS = 2
MAX_RETRY_DELAY_SECONDS = 60
INVOKE_TIMEOUT_SECONDS = 240
STOP_TIMEOUT_SECONDS = 60
LAST_RESORT_SECONDS = 900
CLAIM_RETRY_SECONDS = 600

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
TRANSACTION_CANCELLED = "DynamoDb.TransactionCanceledException"
NOT_THERE = "attribute_not_exists(PK)"
ENTERED_AT = "$fromMillis($toMillis($states.context.State.EnteredTime))"
EVENT_ID = "$hash($states.context.Execution.Id & $states.context.State.Name & $states.context.State.EnteredTime, 'MD5')"
FINISHED_DETAIL_TYPE = "AgentRunFinished"
ERROR_CHARACTERS = 2000
_IS_COMPLETED = f"$outcome.status = '{Status.AGENT_BACKGROUND_TASK_COMPLETED}'"


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkflowSettings:
    """What the state machine has to know. ARNs and names may be Pulumi outputs; numbers are plain.

    :ivar event_source: what the events that start runs come from
    :ivar poll_interval_seconds: time between two looks at the journal
    :ivar max_run_seconds: from the first acknowledgement to the run's deadline
    :ivar lease_seconds: how long an agent counts as alive after a sign of life
    :ivar max_attempts: how often a lost agent is started, the first time included
    :ivar invoke_retry_seconds: how long a throttled start is tried again, on average (the delays are random)
    :ivar completion: `poll`, or `callback` with polls in between
    """

    function_arn: Input[str]
    table_name: Input[str]
    event_bus_name: Input[str]
    event_source: str
    poll_interval_seconds: int = 10
    max_run_seconds: int = 3600
    lease_seconds: int = 120
    max_attempts: int = 3
    invoke_retry_seconds: int = 3600
    journal_ttl_days: int = 90
    completion: str = "poll"
    callback_poll_seconds: int = 120

    @property
    def seconds_between_polls(self) -> int:
        """How often the journal is looked at while nothing happens."""
        return self.callback_poll_seconds if self.completion == "callback" else self.poll_interval_seconds


def build_definition(settings: WorkflowSettings) -> dict[str, Any]:
    """Return the state machine.

    :raises ValueError: if the polls don't fit into an execution's history, see :func:`check_poll_budget`
    """
    check_poll_budget(settings)
    return {
        "Comment": "Claims a run, starts its agent, polls the journal, resumes lost agents, closes the run.",
        "QueryLanguage": "JSONata",
        "StartAt": "CheckInput",
        "TimeoutSeconds": machine_timeout_seconds(settings),
        "States": {
            "CheckInput": _check_input(),
            "InvalidSessionId": _invalid_session_id(),
            "ClaimSession": _claim_session(settings),
            "WhyNotClaimed": _choice(
                [_rule("$contains($refusal, 'ConditionalCheckFailed')", "DuplicateDelivery")], "ClaimFailed"
            ),
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
            "WhyNotClosed": _choice(
                [_rule("$contains($refusal, 'ConditionalCheckFailed')", "CheckStatus")], "WaitToClose"
            ),
            "WaitToClose": {"Type": "Wait", "Seconds": settings.poll_interval_seconds, "Next": "CloseSession"},
            "ReleaseSession": _stop_session(settings, "PublishFinished"),
            "PublishFinished": _publish_finished(settings),
            "Ended": _choice([_rule(_IS_COMPLETED, "RunCompleted")], "RunFailed"),
            "RunCompleted": {"Type": "Succeed"},
            "RunFailed": {
                "Type": "Fail",
                "Error": "{% $outcome.errorType %}",
                "Cause": "{% $outcome.errorMessage %}",
            },
        },
    }


def history_events(settings: WorkflowSettings) -> int:
    """Return how many history events the longest run takes: every poll, every attempt, every throttled start."""
    polls = math.ceil((settings.max_run_seconds + settings.lease_seconds) / settings.seconds_between_polls)
    tries = tries_for(settings.invoke_retry_seconds)
    return (
        EVENTS_ONCE
        + polls * EVENTS_PER_POLL
        + settings.max_attempts * EVENTS_PER_ATTEMPT
        + tries * EVENTS_PER_TRY * min(settings.max_attempts, 2)
    )


def check_poll_budget(settings: WorkflowSettings) -> None:
    """Refuse settings whose polls don't fit into one execution.

    :raises ValueError: if the longest run takes more than 25,000 history events
    """
    needed = history_events(settings)
    if needed <= HISTORY_LIMIT:
        return
    room = HISTORY_LIMIT - (needed - EVENTS_PER_POLL * settings.max_run_seconds / settings.seconds_between_polls)
    interval = math.ceil(EVENTS_PER_POLL * settings.max_run_seconds / room)
    longest = math.floor(room / EVENTS_PER_POLL) * settings.seconds_between_polls
    key = "callbackPollSeconds" if settings.completion == "callback" else "pollIntervalSeconds"
    raise ValueError(
        f"fire-and-forget:{key} is {settings.seconds_between_polls} with fire-and-forget:maxRunSeconds "
        f"{settings.max_run_seconds}: the longest run would take {needed} history events, and Step Functions allows "
        f"{HISTORY_LIMIT}. Set {key} to {interval} or more, or maxRunSeconds to {longest} or less."
    )


def tries_for(seconds: int) -> int:
    """Return how many retries with full jitter last that long on average."""
    tries, waited, delay = 0, 0.0, float(RETRY_DELAY_SECONDS)
    while waited < seconds:
        tries, waited = tries + 1, waited + delay / 2
        delay = min(2 * delay, MAX_RETRY_DELAY_SECONDS)
    return tries


def machine_timeout_seconds(settings: WorkflowSettings) -> int:
    """Return the last resort: later than the agent's own deadline and than the state machine's look at it."""
    waiting_for_a_place = 2 * settings.invoke_retry_seconds + LAST_RESORT_SECONDS
    return waiting_for_a_place + settings.max_run_seconds + settings.lease_seconds * (settings.max_attempts + 1)


def _check_input() -> State:
    """Only the session id: whatever else is wrong with a request is journalled by the invoker."""
    session_id, request = "$states.input.session_id", "$states.input.request"
    usable = f"$type({session_id}) = 'string' ? $contains({session_id}, /^{SESSION_ID.pattern}$/) : false"
    facts = {
        "sessionId": f"{{% {session_id} %}}",
        "request": f"{{% $exists({request}) ? {request} : null %}}",
        "attempt": 1,
        "deadline": None,
        "lease": None,
        "outcome": None,
    }
    return _choice([_rule(usable, "ClaimSession") | {"Assign": facts}], "InvalidSessionId")


def _invalid_session_id() -> State:
    return {
        "Type": "Fail",
        "Error": "InvalidRequest",
        "Cause": "The input needs a session_id of 33 to 100 characters of A-Z, a-z, 0-9, _ and -, beginning with a "
        "letter or digit, and a request. Nothing was started.",
    }


def _claim_session(settings: WorkflowSettings) -> State:
    initiated = _new_event(settings) | {"status": {"S": Status.SESSION_INITIATED.value}}
    shared = {name: initiated[name] for name in ("PK", "sessionId", "createdAt", "expiresAt")}
    metadata = shared | {
        "SK": {"S": METADATA},
        "day": _string(f"$substring({ENTERED_AT}, 0, 10)"),
        "executionArn": _string("$states.context.Execution.Id"),
        "request": _string("$string($request)"),
        "limits": {
            "M": {
                "maxRunSeconds": {"N": str(settings.max_run_seconds)},
                "leaseSeconds": {"N": str(settings.lease_seconds)},
                "maxAttempts": {"N": str(settings.max_attempts)},
            }
        },
    }
    return {
        "Type": "Task",
        "Resource": "arn:aws:states:::aws-sdk:dynamodb:transactWriteItems",
        "Arguments": {
            # A claim whose answer was lost is not taken for somebody else's when Step Functions sends it again.
            "ClientRequestToken": f"{{% {EVENT_ID} %}}",
            "TransactItems": [_put(settings, metadata), _put(settings, initiated)],
        },
        "Output": {},
        # Until it is claimed, a run is known to nobody but this execution.
        "Retry": _database_retry(CLAIM_RETRY_SECONDS),
        "Catch": [
            _catch([TRANSACTION_CANCELLED], "WhyNotClaimed", refusal="{% $states.errorOutput.Cause %}"),
            _catch(["States.ALL"], "ClaimFailed", refusal="{% $states.errorOutput.Cause %}"),
        ],
        "Next": "InvokeAgent",
    }


def _invoke_agent(settings: WorkflowSettings) -> State:
    return {
        "Type": "Task",
        "Resource": "arn:aws:states:::lambda:invoke",
        "Arguments": {
            "FunctionName": settings.function_arn,
            "Payload": {
                "operation": "start",
                "session_id": "{% $sessionId %}",
                "attempt": "{% $attempt %}",
                "deadline": "{% $deadline %}",
                "request": "{% $request %}",
            },
        },
        "TimeoutSeconds": INVOKE_TIMEOUT_SECONDS,
        "Assign": {
            "deadline": "{% $states.result.Payload.deadline %}",
            "lease": "{% $states.result.Payload.leaseExpiresAt %}",
        },
        "Output": {},
        "Retry": [
            _retry(THROTTLED, RETRY_DELAY_SECONDS, tries_for(settings.invoke_retry_seconds)),
            _retry(PASSING, 1, 6),
        ],
        "Catch": [
            # Cancelled while it waited for a free place, for instance: the outcome is in the journal.
            _catch(["RunClosed"], "CheckStatus"),
            _catch(["RunTimedOut"], "CloseSession", closing=_closing(Status.SESSION_TIMED_OUT)),
            _catch(["States.ALL"], "CloseSession", closing=_closing(Status.SESSION_FAILED)),
        ],
        "Next": "WaitForCompletion",
    }


def _wait_for_completion(settings: WorkflowSettings) -> State:
    return {"Type": "Wait", "Seconds": settings.poll_interval_seconds, "Next": "CheckStatus"}


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
            | {":pk": _partition_key(), ":event": {"S": EVENT_PREFIX}, ":attempt": _number("$attempt")},
            "ScanIndexForward": False,
            "Limit": NEWEST_EVENTS,
            "ConsistentRead": True,
        },
        "Assign": {
            "outcome": f"{{% ($ended := {items}[status.S in [{names}]][0]; $exists($ended) ? {_OUTCOME} : null) %}}",
            # Without a sign of life in the journal, the lease that the invoker returned is the newest.
            "lease": f"{{% ($alive := {items}[$exists(leaseExpiresAt)][0].leaseExpiresAt.S; "
            "$exists($alive) ? $alive : $lease) %}",
        },
        "Output": {},
        "Retry": _database_retry(),
        # Not being able to look is no reason to end a run that works: look again at the next poll.
        "Catch": [_catch(["States.ALL"], "WaitForCompletion")],
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
    return _choice(
        [
            _rule("$outcome != null", "ReleaseSession"),
            _rule(overdue, "CloseSession") | {"Assign": {"closing": timed_out}},
            _rule("$millis() > $toMillis($lease)", "AgentLost"),
        ],
        "WaitForCompletion",
    )


def _agent_lost(settings: WorkflowSettings) -> State:
    event = _new_event(settings) | {
        "status": {"S": Status.AGENT_BACKGROUND_TASK_LOST.value},
        "attempt": _number("$attempt"),
        "errorType": {"S": "AgentLost"},
        "errorMessage": _string("'no sign of life: the lease ran out at ' & $lease"),
    }
    no_outcome = {
        "ConditionCheck": {
            "TableName": settings.table_name,
            "Key": {"PK": _partition_key(), "SK": {"S": OUTCOME}},
            "ConditionExpression": NOT_THERE,
        }
    }
    return {
        "Type": "Task",
        "Resource": "arn:aws:states:::aws-sdk:dynamodb:transactWriteItems",
        "Arguments": {
            "ClientRequestToken": f"{{% {EVENT_ID} %}}",
            "TransactItems": [_put(settings, event), no_outcome],
        },
        "Output": {},
        "Retry": _database_retry(),
        # It came to its end after all, or the journal can't be written: look again either way.
        "Catch": [_catch(["States.ALL"], "WaitForCompletion")],
        "Next": "AttemptsLeft",
    }


def _attempts_left(settings: WorkflowSettings) -> State:
    given_up = {
        "status": Status.SESSION_FAILED.value,
        "errorType": "AgentLost",
        "errorMessage": "{% 'attempt ' & $string($attempt) & "
        f"' of {settings.max_attempts} was lost: its lease ran out at ' & $lease %}}",
    }
    next_attempt = _rule(f"$attempt < {settings.max_attempts}", "StopLostAgent")
    choice = _choice([next_attempt | {"Assign": {"attempt": "{% $attempt + 1 %}"}}], "CloseSession")
    return choice | {"Assign": {"closing": given_up}}


def _close_session(settings: WorkflowSettings) -> State:
    closing = _new_event(settings) | {
        "status": _string("$closing.status"),
        "attempt": _number("$attempt"),
        "errorType": _string("$closing.errorType"),
        "errorMessage": _string("$closing.errorMessage"),
    }
    outcome = closing | {"SK": {"S": OUTCOME}, "day": _string(f"$substring({ENTERED_AT}, 0, 10)")}
    return {
        "Type": "Task",
        "Resource": "arn:aws:states:::aws-sdk:dynamodb:transactWriteItems",
        "Arguments": {
            "ClientRequestToken": f"{{% {EVENT_ID} %}}",
            "TransactItems": [_put(settings, closing), _put(settings, outcome)],
        },
        "Assign": {
            "outcome": "{% $merge([$closing, {'reportKey': null, 'tokens': null}]) %}",
        },
        "Output": {},
        "Retry": _database_retry(),
        "Catch": [_catch(["States.ALL"], "WhyNotClosed", refusal="{% $states.errorOutput.Cause %}")],
        "Next": "ReleaseSession",
    }


def _stop_session(settings: WorkflowSettings, then: str) -> State:
    """An environment that idles on is billed and counted; one that could not be stopped must not hold up the run."""
    return {
        "Type": "Task",
        "Resource": "arn:aws:states:::lambda:invoke",
        "Arguments": {
            "FunctionName": settings.function_arn,
            "Payload": {"operation": "stop", "session_id": "{% $sessionId %}"},
        },
        "TimeoutSeconds": STOP_TIMEOUT_SECONDS,
        "Output": {},
        "Retry": [_retry([*THROTTLED, *PASSING], 1, 2)],
        "Catch": [_catch(["States.ALL"], then)],
        "Next": then,
    }


def _publish_finished(settings: WorkflowSettings) -> State:
    began = "$toMillis($states.context.Execution.StartTime)"
    detail = {
        "sessionId": "{% $sessionId %}",
        "outcome": "{% $outcome.status %}",
        "attempts": "{% $attempt %}",
        "seconds": f"{{% ($millis() - {began}) / 1000 %}}",
        "tokens": "{% $outcome.tokens %}",
        "reportKey": "{% $outcome.reportKey %}",
        "errorType": f"{{% {_IS_COMPLETED} ? null : $outcome.errorType %}}",
    }
    return {
        "Type": "Task",
        "Resource": "arn:aws:states:::events:putEvents",
        "Arguments": {
            "Entries": [
                {
                    # Another source than the one that starts runs, so that no run can start a run by ending.
                    "Source": f"{settings.event_source}.runs",
                    "DetailType": FINISHED_DETAIL_TYPE,
                    "EventBusName": settings.event_bus_name,
                    "Detail": detail,
                }
            ]
        },
        "Output": detail,
        "Retry": [_retry(["States.ALL"], 1, 5)],
        # The journal has the outcome; an announcement that fails does not change it.
        "Catch": [_catch(["States.ALL"], "Ended")],
        "Next": "Ended",
    }


def _closing(status: Status) -> dict[str, str]:
    """What a failed call of the invoker closes the run with: the class and the message of its error."""
    cause = "$states.errorOutput.Cause"
    # Not $parse: a cause that is no JSON, or was cut short, would fail the execution instead of closing the run.
    message = f'$match({cause}, /"errorMessage": ?"((?:[^\\\\"]|\\\\.)*)"/)[0].groups[0]'
    text = f"($told := {message}; $exists($told) ? $replace($told, '\\\\\"', '\"') : {cause})"
    return {
        "status": status.value,
        "errorType": "{% $states.errorOutput.Error %}",
        "errorMessage": f"{{% $substring({text}, 0, {ERROR_CHARACTERS}) %}}",
    }


def _new_event(settings: WorkflowSettings) -> dict[str, Any]:
    """The attributes that every event of the state machine has. Its id and time are those of the state's entry,
    so that a write which is sent again is the same write."""
    return {
        "PK": _partition_key(),
        "SK": _string(f"'{EVENT_PREFIX}' & {ENTERED_AT} & '#' & {EVENT_ID}"),
        "sessionId": _string("$sessionId"),
        "eventId": _string(EVENT_ID),
        "createdAt": _string(ENTERED_AT),
        "expiresAt": _number(_expires_at(ENTERED_AT, settings)),
    }


def _expires_at(moment: str, settings: WorkflowSettings) -> str:
    return f"$floor($toMillis({moment}) / 1000) + {settings.journal_ttl_days * 86_400}"


def _partition_key() -> dict[str, str]:
    return _string("'SESSION#' & $sessionId")


def _string(expression: str) -> dict[str, str]:
    return {"S": f"{{% {expression} %}}"}


def _number(expression: str) -> dict[str, str]:
    return {"N": f"{{% $string({expression}) %}}"}


def _put(settings: WorkflowSettings, item: dict[str, Any]) -> dict[str, Any]:
    return {"Put": {"TableName": settings.table_name, "Item": item, "ConditionExpression": NOT_THERE}}


def _choice(rules: list[dict[str, Any]], default: str) -> State:
    return {"Type": "Choice", "Choices": rules, "Default": default}


def _rule(condition: str, then: str) -> dict[str, Any]:
    return {"Condition": f"{{% {condition} %}}", "Next": then}


def _retry(errors: list[str], interval_seconds: int, tries: int) -> dict[str, Any]:
    return {
        "ErrorEquals": errors,
        "IntervalSeconds": interval_seconds,
        "BackoffRate": 2,
        "MaxDelaySeconds": MAX_RETRY_DELAY_SECONDS,
        "JitterStrategy": "FULL",
        "MaxAttempts": tries,
    }


def _database_retry(seconds: int = 15) -> list[dict[str, Any]]:
    # A cancelled transaction is mostly an answer, now and then a conflict with another writer of the same run.
    return [_retry([TRANSACTION_CANCELLED], 1, 1), _retry(["States.ALL"], RETRY_DELAY_SECONDS, tries_for(seconds))]


def _catch(errors: list[str], then: str, **assign: Any) -> dict[str, Any]:
    return {"ErrorEquals": errors, "Next": then, "Output": {}} | ({"Assign": assign} if assign else {})
