"""A person whom runs ask: reads what they wait for, and answers it or doesn't."""

from collections.abc import Sequence
from datetime import datetime

from runtime.journal.timestamps import utc_now
from runtime.journal.vocabulary import Status
from runtime.journal.waits import Answer, AnsweredWait, Question, Wait, parsed_questions, shown_answers
from runtime.journal.waker import Waker
from runtime.journal.writer import JournalWriter
from tests.support.faulty_cloud import LOOK_SECONDS, FaultyCloud
from tests.support.waiting import wait_until

APPROVED = Answer(approved=True)
DENIED = Answer(approved=False, text="Not today.")


class Person:
    """Answers runs of one cloud as root, without the runbook's checks: what the journal refuses is refused there."""

    def __init__(self, faulty: FaultyCloud) -> None:
        self._faulty = faulty
        self._table = faulty.cloud.output("journalTableName")

    def asked(self, session_id: str, number: int = 1, seconds: float = 60) -> Wait:
        """Return a run's wait once it has begun."""
        wait_until(lambda: self._faulty.reader.wait(session_id, number), f"wait {number}", seconds, LOOK_SECONDS)
        wait = self._faulty.reader.wait(session_id, number)
        assert wait
        return wait

    def questions(self, wait: Wait) -> list[Question]:
        """Return what is asked, as it is stored."""
        bucket = self._faulty.cloud.output("artifactBucketName")
        return parsed_questions(self._faulty.cloud.client("s3").get_object(Bucket=bucket, Key=wait.key)["Body"].read())

    def answer(self, wait: Wait, *answers: Answer, at: datetime | None = None, wake: bool = True) -> None:
        """Answer a wait, each question or all alike, and wake its machine.

        :raises JournalError: as the journal refuses
        """
        each: Sequence[Answer] = answers if len(answers) == wait.count else answers * wait.count
        writer = JournalWriter(self._faulty.cloud.client("dynamodb"), self._table, ttl_days=1)
        event = writer.stamp(
            wait.session_id,
            Status.RUN_ANSWERED,
            at=at,
            detail={"wait": wait.number, "by": "ann", "answers": shown_answers(each)},
        )
        answered = AnsweredWait(
            session_id=wait.session_id, number=wait.number, created_at=utc_now(), by="ann", answers=tuple(each)
        )
        writer.answer(event, wait, answered)
        if wake:
            self.wake(wait.session_id)

    def wake(self, session_id: str) -> None:
        """Wake the machine that waits for a run, if it does."""
        client = self._faulty.cloud.client
        Waker(client("dynamodb"), client("stepfunctions"), self._table).wake(session_id)
