"""Wakes the state machine that waits for a run, instead of letting it find out at its next poll.

Only with `completion: callback`: the machine then leaves a waiter record with a task token in the journal. A wake-up
that fails costs time and nothing else, because the machine polls all the same.
"""

from typing import TYPE_CHECKING

from runtime.journal.keys import WAITER_PREFIX, partition_key

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_stepfunctions import SFNClient


class Waker:
    """Wakes whoever waits for a run of one journal table."""

    def __init__(self, dynamodb: "DynamoDBClient", stepfunctions: "SFNClient", table_name: str) -> None:
        self._dynamodb = dynamodb
        self._stepfunctions = stepfunctions
        self._table_name = table_name

    def wake(self, session_id: str) -> bool:
        """Wake the newest waiter of a run, if there is one, and return whether one was woken.

        :raises botocore.exceptions.ClientError: if the table or Step Functions refuses
        :raises botocore.exceptions.BotoCoreError: if one of them doesn't answer
        """
        token = self._newest_token(session_id)
        if token is None:
            return False
        errors = self._stepfunctions.exceptions
        try:
            self._stepfunctions.send_task_success(taskToken=token, output="{}")
        except (errors.TaskTimedOut, errors.TaskDoesNotExist, errors.InvalidToken):
            # It has stopped waiting and looks at the journal right now.
            return False
        return True

    def _newest_token(self, session_id: str) -> str | None:
        waiters = self._dynamodb.query(
            TableName=self._table_name,
            KeyConditionExpression="PK = :pk AND begins_with(SK, :waiter)",
            ExpressionAttributeValues={":pk": {"S": partition_key(session_id)}, ":waiter": {"S": WAITER_PREFIX}},
            ScanIndexForward=False,
            Limit=1,
            ConsistentRead=True,
        )["Items"]
        return waiters[0]["taskToken"].get("S") if waiters else None
