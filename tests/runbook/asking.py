"""Runs that wait for a person, written as an agent would."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from runbook.runbook import Runbook
from runtime.journal.keys import questions_key
from runtime.journal.timestamps import utc_now
from runtime.journal.vocabulary import Status
from runtime.journal.waits import Question, Wait, Wants, questions_digest, serialized_questions, shown_questions
from tests.runbook.history import History, event

MAIL = Question("mailer", 2, 3, 0, "send_mail", Wants.APPROVAL, '{"to": "anna"}')
QUARTER = Question("planner", None, 1, 0, "ask", Wants.TEXT, "Which quarter?")


def asks(
    rb: Runbook,
    history: History,
    *questions: Question,
    session_id: str = "",
    number: int = 1,
    attempt: int = 1,
    at: datetime | None = None,
    content: bytes | None = None,
) -> Wait:
    """Let a run wait for the answer to questions.

    :param at: when it asked; the run began a second earlier
    :param content: of the questions' object, if not they
    """
    at = at or utc_now() - timedelta(minutes=1)
    session_id = session_id or history.claim(at - timedelta(seconds=1))
    asked: Sequence[Question] = questions or (MAIL,)
    whole = serialized_questions(asked)
    wait = Wait(
        session_id=session_id,
        number=number,
        created_at=at.replace(microsecond=at.microsecond // 1000 * 1000),
        until=(at + timedelta(days=1)).replace(microsecond=0),
        seconds_left=100.0,
        digest=questions_digest(whole),
        key=questions_key(session_id, number, attempt),
        count=len(asked),
    )
    detail = {"wait": number, "until": f"{wait.until:%Y-%m-%dT%H:%M:%S}.000Z", "questions": shown_questions(asked)}
    waiting = event(session_id, Status.RUN_WAITING, wait.created_at, attempt=attempt, detail=detail)
    started = event(session_id, Status.AGENT_INVOCATION_STARTED, at - timedelta(milliseconds=500), attempt=attempt)
    history.put([started.to_item(), waiting.to_item(), wait.to_item(waiting)])
    body = whole if content is None else content
    rb.clients.s3.put_object(Bucket=rb.outputs.artifact_bucket_name, Key=wait.key, Body=body)
    return wait
