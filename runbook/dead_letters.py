"""Events that never became a run: EventBridge put them into the stack's dead-letter queue.

Owns looking at them without taking them, and sending one on its way again. It goes to the state machine itself,
under its first id: should its event have started a run after all, the claim makes the second one a duplicate.

What is in a message: https://docs.aws.amazon.com/eventbridge/latest/userguide/rule-dlq.html
"""

import json
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from runbook.tables import Column, Table, Terminal
from runtime.contract.errors import InvalidRequest
from runtime.contract.request import check_session_id

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_sqs.type_defs import MessageTypeDef
    from mypy_boto3_stepfunctions import SFNClient

MAX_AT_ONCE = 10
HIDDEN_SECONDS = 30
WAIT_SECONDS = 1
"""Without waiting, SQS asks only some of its servers, and an answer without messages means little."""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """An event that could not be delivered to the state machine.

    :ivar session_id: the id that its run would have had; empty if the message is none of this stack's
    :ivar error: EventBridge's reason
    """

    session_id: str
    request: Any
    error: str


class DeadLetters(Table[DeadLetter]):
    """What lies in the dead-letter queue."""

    nothing = "The dead-letter queue is empty."

    columns = (
        Column("session_id", "str", "session", Terminal.LINE, text=lambda found: found or "not of this stack"),
        Column("request", heading="request"),
        Column("error", "str", "error", Terminal.BELOW),
    )


@dataclass(frozen=True, slots=True)
class DeadLetterQueue:
    """The dead-letter queue of one stack."""

    client: "SQSClient"
    url: str

    def look(self) -> DeadLetters:
        """Return what lies in the queue, and leave it there."""
        messages = self._receive()
        for message in messages:
            self._put_back(message)
        return DeadLetters(map(_dead_letter, messages))

    def redrive(self, letter: DeadLetter, stepfunctions: "SFNClient", state_machine_arn: str) -> str:
        """Start the run that an event should have started, take the event out of the queue, return the session id.

        :raises InvalidRequest: if the message holds no event of this stack
        """
        session_id = check_session_id(letter.session_id)
        # It exists if it was redriven before, and the message could not be deleted then.
        with suppress(stepfunctions.exceptions.ExecutionAlreadyExists):
            stepfunctions.start_execution(
                stateMachineArn=state_machine_arn,
                name=f"redrive-{session_id}"[:80],
                input=json.dumps({"session_id": session_id, "request": letter.request}),
            )
        for message in self._receive():
            if _dead_letter(message).session_id == session_id:
                self.client.delete_message(QueueUrl=self.url, ReceiptHandle=message.get("ReceiptHandle", ""))
            else:
                self._put_back(message)
        return session_id

    def _receive(self) -> list["MessageTypeDef"]:
        """All messages, hidden from others meanwhile."""
        found: dict[str, MessageTypeDef] = {}
        while messages := self.client.receive_message(
            QueueUrl=self.url,
            MaxNumberOfMessages=MAX_AT_ONCE,
            VisibilityTimeout=HIDDEN_SECONDS,
            WaitTimeSeconds=WAIT_SECONDS,
            MessageAttributeNames=["All"],
        ).get("Messages"):
            found |= {message.get("MessageId", ""): message for message in messages}
        return list(found.values())

    def _put_back(self, message: "MessageTypeDef") -> None:
        self.client.change_message_visibility(
            QueueUrl=self.url, ReceiptHandle=message.get("ReceiptHandle", ""), VisibilityTimeout=0
        )


def _dead_letter(message: "MessageTypeDef") -> DeadLetter:
    attributes = message.get("MessageAttributes", {})
    told = [attributes.get(name, {}).get("StringValue", "") for name in ("ERROR_CODE", "ERROR_MESSAGE")]
    session_id, request = _event(message.get("Body", ""))
    return DeadLetter(session_id, request, ": ".join(filter(None, told)))


def _event(body: str) -> tuple[str, Any]:
    """The id and the detail of an event, or of what the rule made of it for its target."""
    try:
        content: object = json.loads(body)
    except ValueError:
        content = None
    fields = cast("dict[str, Any]", content) if isinstance(content, dict) else {}
    try:
        return check_session_id(fields.get("id", fields.get("session_id"))), fields.get("detail", fields.get("request"))
    except InvalidRequest:
        return "", body
