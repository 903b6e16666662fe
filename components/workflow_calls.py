"""What several states of the machine have in common: how the journal is asked again, what an outcome is, an event."""

from typing import Any

from components.asl import expression, retry
from components.workflow_budget import RETRY_DELAY_SECONDS, WorkflowSettings, tries_for
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


def announcement(settings: WorkflowSettings, detail_type: str, detail: dict[str, Any]) -> dict[str, Any]:
    """Return an event about a run, for whoever wants to know."""
    return {
        # Not the source that starts runs, so that what becomes of a run can't start another.
        "Source": f"{settings.stack.event_source}.runs",
        "DetailType": detail_type,
        "EventBusName": settings.event_bus_name,
        "Detail": detail,
    }
