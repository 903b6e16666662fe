"""What runs ask people, and answering it: open waits with their questions, as they were asked, and one answer to each.

Owns finding them, however old their runs are, and refusing an answer that doesn't fit. That nothing is answered which
was not read, nor twice, nor after the end, the journal's conditions see to.
"""

import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from datetime import date, datetime, timedelta
from textwrap import indent
from typing import TYPE_CHECKING, Any, cast

from botocore.exceptions import BotoCoreError, ClientError

from runbook import labels
from runbook.errors import (
    AnsweredBefore,
    NotWaiting,
    QuestionsChanged,
    QuestionsUnreadable,
    RunNotFound,
    sentence,
)
from runbook.patience import days_to_live, until_taken
from runbook.runs import CLOCK_SKEW, days, workflow_of
from runbook.tables import UTC_TIME, Column, Table, Terminal, shortened
from runtime.agent.bucket import content_of
from runtime.contract.errors import InvalidRequest
from runtime.contract.fields import described
from runtime.journal.errors import AlreadyAnswered, NotAsked, RunClosed
from runtime.journal.keys import ANSWERS_PARTITION, EVENT_PREFIX, METADATA, OUTCOME, answer_key, record_key
from runtime.journal.reader import JournalReader
from runtime.journal.records import RunMetadata, from_item
from runtime.journal.timestamps import to_timestamp, utc_now
from runtime.journal.vocabulary import Status
from runtime.journal.waits import (
    MAX_ANSWERS_BYTES,
    Answer,
    AnsweredWait,
    Question,
    Wait,
    Wants,
    parsed_questions,
    questions_digest,
    serialized_answers,
    shown_answers,
)
from runtime.journal.writer import JournalWriter

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_s3 import S3Client

LOOK_BACK = timedelta(days=31)
"""`answerSeconds` is 30 days at most, and a question may expire late."""
AT_ONCE = 8
NOT_READ = "its questions can't be read: {}"
LIST_OF_ANSWERS = 'a JSON list such as [{"approved": true}, {"approved": false, "text": "why"}, {"text": "an answer"}]'


@dataclass(frozen=True, slots=True)
class OpenWait:
    """A run that waits for a person, with its questions as they were asked.

    :ivar workflow: the name of the run's workflow, None if it is not known
    :ivar problem: why the questions can't be read: then there are none here; None if they can
    """

    wait: Wait
    workflow: str | None
    questions: tuple[Question, ...]
    problem: str | None = None

    @property
    def session_id(self) -> str:
        """The run's id."""
        return self.wait.session_id

    @property
    def number(self) -> int:
        """Which of the run's waits it is: 1, 2, …"""
        return self.wait.number

    @property
    def age_seconds(self) -> float:
        """How long it has waited by now."""
        return max(0.0, (utc_now() - self.wait.created_at).total_seconds())

    @property
    def text(self) -> str:
        """All questions in full. Only what numbers them begins at the beginning of a line."""
        return "\n".join(f"{number}. {_question(each)}" for number, each in enumerate(self.questions, 1))

    def answers(self, approved: bool | None = None, text: str = "") -> tuple[Answer, ...]:
        """Return the same answer to each of the questions.

        :param approved: may be left out where nothing but text is wanted
        :param text: what was asked for, or a reason
        :raises InvalidRequest: if a question wants a yes or no, and there is none
        """
        for number, question in enumerate(self.questions, 1):
            if approved is None and question.wants is Wants.APPROVAL:
                raise InvalidRequest("the answer", described(text or None), f"yes or no, which question {number} wants")
        return (Answer(approved is not False, text),) * len(self.questions)

    def parsed_answers(self, content: str) -> tuple[Answer, ...]:
        """Return the answers of a JSON list, one for each question in its order: `approved`, `text`, or both.

        :raises InvalidRequest: if it is none, or doesn't fit the questions
        """
        try:
            found = json.loads(content, object_pairs_hook=_without_twice)
        except (ValueError, RecursionError):
            raise InvalidRequest("answers", described(content), LIST_OF_ANSWERS) from None
        if not isinstance(found, list):
            raise InvalidRequest("answers", described(found), LIST_OF_ANSWERS)
        entries = cast("list[Any]", found)
        self._check_number(entries)
        return tuple(
            _answer(number, entry, question)
            for number, (entry, question) in enumerate(zip(entries, self.questions, strict=True), 1)
        )

    def check(self, answers: Sequence[Answer]) -> None:
        """Check that answers fit the questions.

        :raises QuestionsUnreadable: if the questions are not known
        :raises InvalidRequest: if there are more or fewer, one lacks the text that is wanted, or they are too long
        """
        if self.problem:
            raise QuestionsUnreadable(self.session_id, self.number, self.problem)
        self._check_number(answers)
        for number, (answer, question) in enumerate(zip(answers, self.questions, strict=True), 1):
            if question.wants is Wants.TEXT and answer.approved and not answer.text.strip():
                raise InvalidRequest(f"answer {number}", "without text", "a text, or a denial: its question wants one")
        try:
            size = len(serialized_answers(answers).encode())
        except UnicodeEncodeError:
            raise InvalidRequest("answers", "no text that UTF-8 has", "one that it has") from None
        if size > MAX_ANSWERS_BYTES:
            raise InvalidRequest("answers", f"{size:,} bytes long as JSON", f"{MAX_ANSWERS_BYTES:,} at most")

    def _check_number(self, answers: Sequence[object]) -> None:
        if len(answers) != len(self.questions):
            raise InvalidRequest("answers", f"{len(answers)}", f"{len(self.questions)}, one for each question")


def _answer(number: int, entry: Any, question: Question) -> Answer:
    fields: Mapping[str, Any] = entry if isinstance(entry, dict) else {"": entry}
    approved, text = fields.get("approved", question.wants is Wants.TEXT or None), fields.get("text", "")
    if fields.keys() - {"approved", "text"} or not isinstance(approved, bool) or not isinstance(text, str):
        allowed = '{"approved": true or false, "text": "…"}'
        optional = "approved" if question.wants is Wants.TEXT else "text"
        raise InvalidRequest(
            f"answer {number}", json.dumps(entry)[:100], f"{allowed}, of which {optional} may be missing"
        )
    return Answer(approved, text)


def _question(question: Question) -> str:
    wants = "wants a text" if question.wants is Wants.TEXT else "wants a yes or no"
    asked = indent(question.text, "   ", lambda _: True)
    tool = shortened(f"{question.step}{labels.item_label(question.item)}: {question.tool}")
    return f"{tool} {wants}\n{asked}"


class OpenWaits(Table[OpenWait]):
    """Open waits, the oldest first.

    :ivar woken: runs that are answered, still seemed to wait, and were woken again
    """

    nothing = "No run waits for an answer."

    columns: Sequence[Column[OpenWait]] = (
        Column("session_id", "str", "session", Terminal.LINE),
        Column("wait", "int", "wait", Terminal.LINE, read=lambda found: found.number),
        Column("age_seconds", "float", "age", Terminal.LINE, text=labels.duration),
        Column("until", UTC_TIME, "until (UTC)", Terminal.LINE, read=lambda found: found.wait.until),
        Column("workflow", "object", "workflow", Terminal.WIDE),
        Column("questions", read=lambda found: [asdict(question) for question in found.questions]),
        Column("text", None, "questions", Terminal.BELOW, folded=True),
        Column("problem", "object", "problem", Terminal.BELOW, text=NOT_READ.format, style=lambda _: "red"),
    )

    def __init__(self, found: Iterable[OpenWait], woken: Sequence[str] = ()) -> None:
        super().__init__(sorted(found, key=lambda each: each.wait.created_at))
        self.woken = tuple(woken)


@dataclass(frozen=True, slots=True)
class WaitFinder:
    """Finds what the runs of one journal wait for."""

    reader: JournalReader
    s3: "S3Client"
    bucket: str

    def find(self, now: datetime) -> tuple[list[OpenWait], list[str]]:
        """Return all open waits, and the runs that were answered and don't seem to have gone on.

        An open wait is younger than :data:`LOOK_BACK`, whenever its run began.
        """
        with ThreadPoolExecutor(AT_ONCE) as threads:
            by_day = threads.map(self._of_day, days(now - LOOK_BACK, now + CLOCK_SKEW))
            # A run's earlier waits were answered before it began another.
            newest: dict[str, Wait] = {}
            for wait in (wait for waits in by_day for wait in waits):
                if wait.session_id not in newest or newest[wait.session_id].number < wait.number:
                    newest[wait.session_id] = wait
            closed, answered = self._over(newest.values())
            waiting = [wait for wait in newest.values() if wait.session_id not in closed | answered]
            runs = self._runs(waiting)
            found = list(threads.map(self._read, waiting, (runs.get(wait.session_id) for wait in waiting)))
            resting = [wait for wait in newest.values() if wait.session_id in answered - closed]
            gone_on = threads.map(self._has_gone_on, resting)
            return found, [wait.session_id for wait, gone in zip(resting, gone_on, strict=True) if not gone]

    def find_one(self, session_id: str, number: int | None) -> OpenWait:
        """Return what a run waits for.

        :param number: the wait that it has to be; any if None
        :raises RunNotFound: if the run was never claimed
        :raises RunClosed: if it has its outcome
        :raises NotWaiting: if it has not asked anything, or not that
        :raises AnsweredBefore: if that is answered
        """
        run = self.reader.metadata(session_id)
        if run is None:
            raise RunNotFound(session_id)
        newest = self.reader.newest_wait(session_id)
        wait = newest if number is None or newest is None else self.reader.wait(session_id, number)
        # Who is late wants to know what was said, of a run that has ended meanwhile as well.
        if number and wait and (answered := self.reader.answered(wait)):
            raise AnsweredBefore(session_id, wait.number, answered)
        if self.reader.outcome(session_id):
            raise RunClosed(session_id)
        if wait is None:
            raise NotWaiting(session_id, number, newest.number if newest else None)
        if answered := self.reader.answered(wait):
            raise AnsweredBefore(session_id, wait.number, answered)
        return self._read(wait, run)

    def _of_day(self, day: date) -> list[Wait]:
        return list(self.reader.waits(day))

    def _over(self, waits: Iterable[Wait]) -> tuple[set[str], set[str]]:
        """The runs that have their outcome, and those that have an answer."""
        outcomes = [record_key(wait.session_id, OUTCOME) for wait in waits]
        answers = [answer_key(wait.session_id, wait.number) for wait in waits]
        found = [from_item(item) for item in self.reader.records([*outcomes, *answers])]
        answered = {record["sessionId"] for record in found if record["PK"].startswith(ANSWERS_PARTITION)}
        return {record["sessionId"] for record in found if record["SK"] == OUTCOME}, answered

    def _runs(self, waits: Iterable[Wait]) -> dict[str, RunMetadata]:
        found = map(RunMetadata.from_item, self.reader.records(record_key(wait.session_id, METADATA) for wait in waits))
        return {run.session_id: run for run in found}

    def _read(self, wait: Wait, run: RunMetadata | None) -> OpenWait:
        try:
            return OpenWait(wait, workflow_of(run), self._questions(wait))
        except (ClientError, BotoCoreError, ValueError) as error:
            return OpenWait(wait, workflow_of(run), (), sentence(error))

    def _questions(self, wait: Wait) -> tuple[Question, ...]:
        content, _ = content_of(self.s3, self.bucket, wait.key)
        if questions_digest(content) != wait.digest:
            raise ValueError(f"{wait.key} is not what was asked: its content has changed")
        return tuple(parsed_questions(content))

    def _has_gone_on(self, wait: Wait) -> bool:
        """Whether a later attempt than the one that asked was begun. By their numbers: clocks differ."""
        since = f"{EVENT_PREFIX}{to_timestamp(wait.created_at - CLOCK_SKEW)}"
        asked = started = 0
        for event in self.reader.events(wait.session_id, after=since):
            if event.status == Status.RUN_WAITING:
                asked = event.attempt or 0
            elif event.status == Status.AGENT_INVOCATION_STARTED:
                started = max(started, event.attempt or 0)
        return started > asked


def _without_twice(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object; of two values for one name, such as yes and no, neither is meant.

    :raises ValueError: if a name is there twice
    """
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a name is there twice")
    return found


def answer(
    client: "DynamoDBClient",
    table_name: str,
    run: RunMetadata,
    asked: OpenWait,
    answers: Sequence[Answer],
    by: str,
    *,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> AnsweredWait:
    """Write the answers to the questions that were read, and return them as they were written.

    :param answers: that fit, see :meth:`OpenWait.check`
    :raises AnsweredBefore: if somebody else was faster, or the questions have expired
    :raises QuestionsChanged: if they are not what the run waits for
    :raises RunClosed: if the run has its outcome
    :raises JournalDenied: if the operator's rights don't suffice
    :raises JournalUnavailable: as for :func:`runbook.patience.until_taken`
    """
    wait = asked.wait
    writer = JournalWriter(client, table_name, ttl_days=days_to_live(run))
    event = writer.stamp(
        wait.session_id,
        Status.RUN_ANSWERED,
        # Nobody reads an answer before its question, though this machine's clock is slow.
        at=max(wait.created_at, utc_now()),
        detail={"wait": wait.number, "by": by, "answers": shown_answers(answers, asked.questions)},
    )
    answered = AnsweredWait(
        session_id=wait.session_id, number=wait.number, created_at=event.created_at, by=by, answers=tuple(answers)
    )
    try:
        until_taken(lambda: writer.answer(event, wait, answered), clock, sleep)
    except (AlreadyAnswered, RunClosed) as refusal:
        first = JournalReader(client, table_name).answered(wait)
        if first is None and isinstance(refusal, RunClosed):
            raise
        raise AnsweredBefore(wait.session_id, wait.number, first) from None
    except NotAsked:
        raise QuestionsChanged(wait.session_id, wait.number) from None
    return answered
