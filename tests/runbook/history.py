"""Histories of runs, written into a journal with times of the test's choice."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from runbook.clients import Clients
from runbook.outputs import StackOutputs
from runtime.journal.keys import answer_key, questions_key
from runtime.journal.records import Event, Item, expiry, to_item
from runtime.journal.timestamps import to_timestamp, utc_now
from runtime.journal.vocabulary import Status
from runtime.journal.waits import (
    EXPIRED,
    Answer,
    AnsweredWait,
    Question,
    Wait,
    Wants,
    questions_digest,
    serialized_questions,
    shown_answers,
    shown_questions,
)
from runtime.journal.wire import serialize
from runtime.journal.writer import JournalWriter, Standing

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

NOON = utc_now().replace(hour=12, minute=0, second=0, microsecond=0) - timedelta(days=2)
BATCH = 25
ANN = "arn:aws:sts::123456789012:assumed-role/operator/ann"
MAIL = Question("clerk", None, 1, 0, "send_mail", Wants.APPROVAL, '{"to": "jo@example.com"}')
WHERE = Question("investigator", 3, 2, 1, "ask", Wants.TEXT, "Which region?")
YES, FRANKFURT = Answer(approved=True), Answer(approved=True, text="eu-central-1")
BOUNDS = {"maxRunSeconds": 600, "leaseSeconds": 20, "maxAttempts": 3}


def new_session_id() -> str:
    """An id as EventBridge gives them."""
    return str(uuid.uuid4())


def event(session_id: str, status: str, at: datetime, **fields: Any) -> Event:
    """An event of that moment."""
    return Event(
        session_id=session_id,
        event_id=uuid.uuid4().hex,
        status=status,
        created_at=at,
        expires_at=expiry(at, 90),
        **fields,
    )


def waiting_event(wait: Wait, questions: Sequence[Question], attempt: int) -> Event:
    """The event of a wait, as its agent writes it."""
    return event(
        wait.session_id,
        Status.RUN_WAITING,
        wait.created_at,
        attempt=attempt,
        environment_id=f"environment-{attempt}",
        lease_expires_at=wait.created_at,
        detail={"wait": wait.number, "until": to_timestamp(wait.until), "questions": shown_questions(questions)},
    )


def answered_event(answered: AnsweredWait) -> Event:
    """The event of a wait's answers, as whoever answers writes it."""
    return event(
        answered.session_id,
        Status.RUN_ANSWERED,
        answered.created_at,
        detail={"wait": answered.number, "by": answered.by, "answers": shown_answers(answered.answers)},
    )


def metadata_item(session_id: str, at: datetime, request: Any, workflow: str | None = None) -> Item:
    """The record that the state machine claims a run with."""
    return to_item(
        session_id,
        "METADATA",
        {
            "sessionId": session_id,
            "createdAt": to_timestamp(at),
            "expiresAt": expiry(at, 90),
            "day": to_timestamp(at)[:10],
            "executionArn": f"arn:aws:states:us-east-1:123456789012:execution:workflow:{session_id}",
            "request": json.dumps(request),
            "bounds": BOUNDS,
            **({"workflow": workflow} if workflow else {}),
        },
    )


def write_log(
    clients: Clients, outputs: StackOutputs, session_id: str, environment: str, at: datetime, *lines: str
) -> None:
    """Write lines, one a second, into the stream of an environment."""
    place = {
        "logGroupName": outputs.agent_log_group_name,
        "logStreamName": f"{at:%Y/%m/%d}/[runtime-logs-{session_id}]{environment}",
    }
    clients.logs.create_log_stream(**place)
    first = int(at.timestamp() * 1000)
    events = [{"timestamp": first + 1000 * number, "message": line} for number, line in enumerate(lines)]
    if events:
        clients.logs.put_log_events(**place, logEvents=events)


@dataclass(frozen=True)
class History:
    """Writes into one table."""

    client: DynamoDBClient
    table_name: str

    def claim(self, at: datetime = NOON, *, request: Any = None, session_id: str | None = None) -> str:
        """A run that was claimed and has got no further."""
        session_id = session_id or new_session_id()
        self.put(
            [
                metadata_item(session_id, at, request or {"prompt": "Count the clouds"}),
                event(session_id, Status.SESSION_INITIATED, at).to_item(),
            ]
        )
        return session_id

    def add(self, session_id: str, status: str, at: datetime, **fields: Any) -> Event:
        """One more event of a run."""
        added = event(session_id, status, at, **fields)
        self.put([added.to_item()])
        return added

    def close(self, session_id: str, status: str, at: datetime, **fields: Any) -> Event:
        """A terminal event, with the outcome record."""
        ended = event(session_id, status, at, **fields)
        self.put([ended.to_item(), ended.to_outcome_item()])
        return ended

    def ask(
        self,
        session_id: str,
        at: datetime,
        *questions: Question,
        hours: float = 24,
        number: int = 1,
        attempt: int = 1,
    ) -> Wait:
        """A run that waits for a person, as its agent writes it; a mail to approve if nothing is asked."""
        asked = questions or (MAIL,)
        content = serialized_questions(asked)
        wait = Wait(
            session_id=session_id,
            number=number,
            created_at=at,
            until=at + timedelta(hours=hours),
            seconds_left=300,
            digest=questions_digest(content),
            key=questions_key(session_id, number, attempt),
            count=len(asked),
        )
        self._writer.open_wait(waiting_event(wait, asked, attempt), wait, Standing(attempt, attempt + 2, number))
        return wait

    def answer(self, wait: Wait, at: datetime, *answers: Answer) -> None:
        """A wait that a person answers; yes if nothing is said."""
        said = answers or (YES,)
        answered = AnsweredWait(session_id=wait.session_id, number=wait.number, created_at=at, by=ANN, answers=said)
        self._writer.answer(answered_event(answered), wait, answered)

    def expire(self, wait: Wait) -> None:
        """A wait whose questions expire, as the state machine writes it."""
        detail = {"wait": wait.number, "expired": True}
        expired = event(wait.session_id, Status.RUN_ANSWERED, wait.until, detail=detail)
        attributes = expired.attributes() | {"wait": wait.number, "answers": EXPIRED}
        del attributes["detail"]
        record = {name: serialize(value) for name, value in attributes.items()}
        self.put([expired.to_item(), answer_key(wait.session_id, wait.number) | record])

    @property
    def _writer(self) -> JournalWriter:
        return JournalWriter(self.client, self.table_name, ttl_days=90)

    def completed(self, at: datetime = NOON, *, seconds: float = 3, request: Any = None) -> str:
        """A whole run that went well."""
        session_id = self.claim(at, request=request)
        for number, status in enumerate(_THE_WAY_OF_A_RUN):
            self.add(session_id, status, at + timedelta(milliseconds=10 * (number + 1)), attempt=1)
        detail = {"reportKey": f"sessions/{session_id}/reporter.md", "tokens": {"inputTokens": 20, "outputTokens": 9}}
        self.close(
            session_id,
            Status.AGENT_BACKGROUND_TASK_COMPLETED,
            at + timedelta(seconds=seconds),
            attempt=1,
            detail=detail,
        )
        return session_id

    def put(self, items: Iterable[Item]) -> None:
        """Any records, many at a time."""
        waiting: Sequence[Item] = list(items)
        for start in range(0, len(waiting), BATCH):
            puts: list[Any] = [{"PutRequest": {"Item": item}} for item in waiting[start : start + BATCH]]
            answer = self.client.batch_write_item(RequestItems={self.table_name: puts})
            assert not answer["UnprocessedItems"]


_THE_WAY_OF_A_RUN = (
    Status.AGENT_INVOCATION_STARTED,
    Status.AGENT_INVOCATION_SUCCEEDED,
    Status.AGENT_BACKGROUND_TASK_STARTED,
    "TASK_ANALYST_STARTED",
    "TASK_ANALYST_COMPLETED",
    "TASK_REPORTER_STARTED",
    "TASK_REPORTER_COMPLETED",
)
