"""What several states of the machine share: asking the journal again, waiting to be woken, outcomes, events."""

from typing import Any

from components.asl import State, catch, expression, never_retry, retry
from components.workflow_budget import RETRY_DELAY_SECONDS, WorkflowSettings, tries_for
from components.workflow_records import put, task_token
from runtime.journal.keys import OUTCOME

TRANSACTION_CANCELLED = "DynamoDb.TransactionCanceledException"
DATABASE_RETRY_SECONDS = 15
REQUESTED_BY = expression(
    "$type($request.requestedBy) = 'string' ? $substring($request.requestedBy, 0, 200) : null",
)
NEWEST_RECORDS = 20
LOOKED_AT = (
    *("SK", "createdAt", "#status", "attempt", "environmentId", "leaseExpiresAt", "errorType", "errorMessage"),
    *("#detail.reportKey", "#detail.tokens", "#detail.unclaimed"),
)
"""The attributes that a poll needs: whatever else events hold, its result stays far below 256 KiB."""
ALIASES = {"#status": "status", "#detail": "detail"}
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


def outcome_among(items: str) -> str:
    """Return an expression for a run's outcome, or null.

    :param items: an expression for items that were read
    """
    return expression(f"($ended := {items}[SK.S = '{OUTCOME}'][0]; $exists($ended) ? {_OUTCOME} : null)")


def database_retry(seconds: int = DATABASE_RETRY_SECONDS) -> list[dict[str, Any]]:
    """Return how a call of the journal is tried again."""
    # A cancelled transaction is usually an answer, but sometimes a conflict with another write of the same run.
    return [
        retry([TRANSACTION_CANCELLED], 1, 1),
        retry(["States.ALL"], RETRY_DELAY_SECONDS, tries_for(seconds)),
    ]


def wait_to_be_woken(
    settings: WorkflowSettings,
    checks: list[dict[str, Any]],
    seconds: int | str,
    then: tuple[str, str],
    longest: int,
    **count: str,
) -> State:
    """Return a state that waits until somebody uses its task token, or for a while.

    Storing the token and checking that there is nothing to wait for any more are one transaction, so that no wake-up is
    missed: whoever changes that afterwards finds the token.

    :param checks: actions of that transaction
    :param seconds: how long, a number or an expression
    :param then: the state that looks, and the one that waits for `$pause` before it
    :param longest: the seconds until the next look where no token could be stored
    :param count: variables to set where nobody woke it
    """
    look, later = then
    return {
        "Type": "Task",
        "Resource": "arn:aws:states:::aws-sdk:dynamodb:transactWriteItems.waitForTaskToken",
        "Arguments": {"TransactItems": [put(settings, task_token(settings)), *checks]},
        "TimeoutSeconds": seconds,
        "Output": {},
        "Retry": [
            never_retry(TRANSACTION_CANCELLED),
            retry(["States.TaskFailed"], RETRY_DELAY_SECONDS, tries_for(DATABASE_RETRY_SECONDS)),
        ],
        "Catch": [
            catch(["States.Timeout"], look, **count),
            # There is nothing to wait for any more, or another write conflicted.
            catch([TRANSACTION_CANCELLED], later, pause=1),
            # Without a token nobody can wake it.
            catch(["States.ALL"], later, pause=longest, **count),
        ],
        "Next": look,
    }


def announcement(settings: WorkflowSettings, detail_type: str, detail: dict[str, Any]) -> dict[str, Any]:
    """Return an event about a run, for whoever wants to know."""
    return {
        # Not the source that starts runs, so that what becomes of a run can't start another.
        "Source": f"{settings.stack.event_source}.runs",
        "DetailType": detail_type,
        "EventBusName": settings.event_bus_name,
        "Detail": detail,
    }
