"""Wakes the state machine that waits for a run, instead of letting it find out at its next poll.

Only with `completion: callback`: the machine then leaves a record with its task token in the journal. A wake-up
that fails costs time and nothing else, because the machine polls all the same.
"""

from typing import TYPE_CHECKING

from runtime.journal.keys import TOKEN_PREFIX, partition_key

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
        """Wake the execution that waits for a run, if one does, and return whether it was woken.

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
        tokens = self._dynamodb.query(
            TableName=self._table_name,
            KeyConditionExpression="PK = :pk AND begins_with(SK, :token)",
            ExpressionAttributeValues={":pk": {"S": partition_key(session_id)}, ":token": {"S": TOKEN_PREFIX}},
            ScanIndexForward=False,
            Limit=1,
            ConsistentRead=True,
        )["Items"]
        return tokens[0]["taskToken"].get("S") if tokens else None
