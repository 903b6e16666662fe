"""Wakes the state machine that waits for a run, or for an answer to it, instead of leaving it to its next look.

The machine stores its task token in the journal where it waits for an answer, and with `completion: callback` where it
waits for the end. A failed wake-up costs only time, because the machine still looks by itself.
"""

from typing import TYPE_CHECKING

from runtime.journal.keys import TASK_TOKEN_PREFIX, partition_key

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_stepfunctions import SFNClient


class Waker:
    """Wakes the executions that wait for runs of one journal table."""

    def __init__(self, dynamodb: "DynamoDBClient", stepfunctions: "SFNClient", table_name: str) -> None:
        self._dynamodb = dynamodb
        self._stepfunctions = stepfunctions
        self._table_name = table_name

    def wake(self, session_id: str) -> bool:
        """Wake the execution that waits for a run, and return whether there was one.

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
            # It has stopped waiting and is reading the journal now.
            return False
        return True

    def _newest_token(self, session_id: str) -> str | None:
        tokens = self._dynamodb.query(
            TableName=self._table_name,
            KeyConditionExpression="PK = :pk AND begins_with(SK, :token)",
            ExpressionAttributeValues={":pk": {"S": partition_key(session_id)}, ":token": {"S": TASK_TOKEN_PREFIX}},
            ScanIndexForward=False,
            Limit=1,
            ConsistentRead=True,
        )["Items"]
        return tokens[0]["taskToken"].get("S") if tokens else None
