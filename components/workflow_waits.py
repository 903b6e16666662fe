"""The states of a run that waits for a person; only a machine whose runs may wait has them.

    EvaluateStatus → StopWaitingAgent → LookForAnswer → EvaluateAnswer → PublishWaiting → WaitForAnswer ⟲ LookForAnswer
                                                              │ answered
                                          ExpireQuestions ←───┼──→ NextSegment → InvokeAgent
                                                 └─────────────────────↑

No process of the run exists meanwhile. Whoever answers wakes the execution; should that be lost, it looks again a turn
later. The answer is in the journal before the execution is woken, so a look decides, not the wake-up.

Owns what happens between an open wait and the attempt that gets its answer. `workflow_budget.py` decides how often it
looks.
"""

from typing import Any

from components.asl import State, catch, choice, expression, retry, rule
from components.workflow_budget import (
    ESSENTIAL_RETRY_SECONDS,
    RETRY_DELAY_SECONDS,
    WorkflowSettings,
    answer_turn_seconds,
    tries_for,
)
from components.workflow_calls import (
    ALIASES,
    DATABASE_RETRY_SECONDS,
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
    ENTERED_AT,
    answer_key,
    expired_answer,
    new_event,
    no_answer,
    no_outcome,
    number,
    outcome_key,
    put,
    wait_is_there,
    wait_sort_key,
)
from runtime.contract.segment import answered_payload, segment_payload
from runtime.journal.keys import ANSWERS_PARTITION
from runtime.journal.vocabulary import Status
from runtime.journal.waits import EXPIRED

WAITING_DETAIL_TYPE = "AgentRunWaiting"
WAIT_ATTRIBUTES = ("#until", "secondsLeft", "#key", "#count")
"""What a look needs of a wait."""
ANSWER_ATTRIBUTES = ("PK", "answers", "createdAt")
SEGMENT = segment_payload("{% $lastAttempt %}", "{% $wait %}", "{% $answered %}")
"""The part of a run that an attempt is started for."""


def beginning(settings: WorkflowSettings) -> dict[str, Any]:
    """Return the variables of a run that may wait, as they are when it begins.

    `asked` is the open wait, `answer` its answers, `noticed` when it was announced, in milliseconds; `answered` is what
    the next attempt is told, `left` the seconds that it has until there is a deadline.
    """
    return {
        "wait": 1,
        "lastAttempt": settings.stack.max_attempts,
        "answered": None,
        "left": None,
        "asked": None,
        "noticed": None,
    }


def look(settings: WorkflowSettings) -> dict[str, Any]:
    """Return what a look at a run's newest records asks besides."""
    return {
        "ProjectionExpression": ", ".join((*LOOKED_AT, *WAIT_ATTRIBUTES)),
        "ExpressionAttributeNames": ALIASES | {f"#{name}": name for name in ("until", "key", "count")},
        # Waits sort after all events, too.
        "Limit": NEWEST_RECORDS + settings.stack.max_waits,
    }


def asked_among(items: str) -> str:
    """Return an expression for the wait that ends the present segment, or null while it isn't there.

    :param items: an expression for items that were read
    """
    asked = """{
        'until': $open.until.S,
        'secondsLeft': $number($open.secondsLeft.N),
        'key': $open.key.S,
        'count': $number($open.count.N)
    }"""
    return expression(f"($open := {items}[SK.S = {wait_sort_key()}][0]; $exists($open) ? {asked} : null)")


def wait_states(settings: WorkflowSettings) -> dict[str, State]:
    """Return the states, from `LookForAnswer` to the next `InvokeAgent`."""
    return {
        "LookForAnswer": _look_for_answer(settings),
        "CouldNotLookForAnswer": choice([rule(_EXPIRED, "ExpireQuestions")], "WaitToLookForAnswer"),
        "EvaluateAnswer": _evaluate_answer(),
        "PublishWaiting": _publish_waiting(settings),
        "WaitForAnswer": _wait_for_answer(settings),
        "WaitToLookForAnswer": {"Type": "Wait", "Seconds": "{% $pause %}", "Next": "LookForAnswer"},
        "ExpireQuestions": _expire_questions(settings),
        "NextSegment": _next_segment(settings),
    }


def _look_for_answer(settings: WorkflowSettings) -> State:
    items = "$states.result.Responses.Item"
    # By their keys: what a missing item looks like here, AWS documents nowhere.
    said = f"{items}[PK.S = '{ANSWERS_PARTITION}' & $sessionId][0]"
    return {
        "Type": "Task",
        "Resource": "arn:aws:states:::aws-sdk:dynamodb:transactGetItems",
        "Arguments": {
            "TransactItems": [
                {
                    "Get": {
                        "TableName": settings.table_name,
                        "Key": outcome_key(),
                        "ProjectionExpression": ", ".join(LOOKED_AT),
                        "ExpressionAttributeNames": ALIASES,
                    }
                },
                {
                    "Get": {
                        "TableName": settings.table_name,
                        "Key": answer_key(),
                        "ProjectionExpression": ", ".join(ANSWER_ATTRIBUTES),
                    }
                },
            ]
        },
        "Assign": {
            "outcome": outcome_among(items),
            "answer": expression(
                f"($said := {said};"
                " $exists($said) ? {'answers': $said.answers.S, 'createdAt': $said.createdAt.S} : null)"
            ),
        },
        "Output": {},
        # A read that was cancelled met a write, perhaps the answer's: that is never an answer itself.
        "Retry": [retry(["States.ALL"], RETRY_DELAY_SECONDS, tries_for(DATABASE_RETRY_SECONDS))],
        # A failed look must not end a wait before its time.
        "Catch": [catch(["States.ALL"], "CouldNotLookForAnswer", pause=answer_turn_seconds(settings.stack))],
        "Next": "EvaluateAnswer",
    }


# By this machine's clock, to which `offset` converts the agent's; but never before the time that people were told.
_EXPIRED = "($until := $toMillis($asked.until); $millis() > $max([$until, $until + $offset]))"


def _evaluate_answer() -> State:
    return choice(
        [
            rule("$outcome != null", "ReleaseSession"),
            rule("$answer != null", "NextSegment"),
            rule(_EXPIRED, "ExpireQuestions", pause=1),
        ],
        "PublishWaiting",
    )


def _publish_waiting(settings: WorkflowSettings) -> State:
    detail = {
        "sessionId": "{% $sessionId %}",
        "workflow": "{% $workflow %}",
        "wait": "{% $wait %}",
        "questions": "{% $asked.count %}",
        "until": "{% $asked.until %}",
        # 0 in the first event of a wait, and in none after that.
        "waitingSeconds": "{% $noticed = null ? 0 : $ceil(($millis() - $noticed) / 1000) %}",
        "requestedBy": REQUESTED_BY,
    }
    return {
        "Type": "Task",
        "Resource": "arn:aws:states:::events:putEvents",
        "Arguments": {"Entries": [announcement(settings, WAITING_DETAIL_TYPE, detail)]},
        "Assign": {"noticed": "{% $noticed = null ? $millis() : $noticed %}"},
        "Output": {},
        "Retry": [retry(["States.ALL"], 1, 5)],
        # Tried again after the next look.
        "Catch": [catch(["States.ALL"], "WaitForAnswer")],
        "Next": "WaitForAnswer",
    }


def _wait_for_answer(settings: WorkflowSettings) -> State:
    turn = answer_turn_seconds(settings.stack)
    checks = [no_outcome(settings), no_answer(settings)]
    return wait_to_be_woken(settings, checks, turn, ("LookForAnswer", "WaitToLookForAnswer"), turn)


def _expire_questions(settings: WorkflowSettings) -> State:
    """An answer of the machine's own, which stands in the way of any later one. An essential write: see the claim."""
    event = new_event(settings, Status.RUN_ANSWERED) | {
        "detail": {"M": {"wait": number("$wait"), "expired": {"BOOL": True}}}
    }
    return {
        "Type": "Task",
        "Resource": "arn:aws:states:::aws-sdk:dynamodb:transactWriteItems",
        "Arguments": {
            "ClientRequestToken": event["eventId"]["S"],
            "TransactItems": [
                put(settings, event),
                no_outcome(settings),
                wait_is_there(settings),
                put(settings, expired_answer(event)),
            ],
        },
        "Assign": {"answer": {"answers": EXPIRED, "createdAt": expression(ENTERED_AT)}},
        "Output": {},
        "Retry": database_retry(ESSENTIAL_RETRY_SECONDS),
        # It has been answered or cancelled after all, or another write conflicted. After a failed look it waits a turn.
        "Catch": [catch([TRANSACTION_CANCELLED], "WaitToLookForAnswer")],
        "Next": "NextSegment",
    }


def _next_segment(settings: WorkflowSettings) -> State:
    return {
        "Type": "Pass",
        "Assign": {
            "answered": answered_payload("{% $wait %}", "{% $asked.key %}", "{% $answer.answers %}"),
            "wait": "{% $wait + 1 %}",
            "attempt": "{% $attempt + 1 %}",
            "lastAttempt": f"{{% $attempt + {settings.stack.max_attempts} %}}",
            "spared": 0,
            # The run's time stood still: what was left then is what it has from its next acknowledgement on.
            "left": "{% $asked.secondsLeft %}",
            "deadline": None,
            # Whoever answered has another clock; what comes next has to be later in the journal.
            "newest": "{% $answer.createdAt > $newest ? $answer.createdAt : $newest %}",
            "asked": None,
            "noticed": None,
        },
        "Output": {},
        "Next": "InvokeAgent",
    }
