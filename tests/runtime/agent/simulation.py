"""One run of the agent in virtual time: real journal, artifacts, attempt and steps; scripted models; an exact clock."""

import asyncio
import gc
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from runtime.agent.artifacts import Artifact, ArtifactStore, Usage
from runtime.agent.asking import Asked
from runtime.agent.attempt import Attempt
from runtime.agent.background import BackgroundTask
from runtime.agent.definition import Step, Workflow
from runtime.agent.run_clock import RunClock
from runtime.agent.step_journal import StepJournal, Stores
from runtime.agent.steps import WorkflowRun
from runtime.agent.turns import TurnStore
from runtime.contract.job import Job
from runtime.contract.request import ClaimedCall, RunRequest, StepSource
from runtime.contract.segment import Segment
from runtime.journal.claims import tool_claims
from runtime.journal.reader import JournalReader
from runtime.journal.records import Event
from runtime.journal.writer import JournalWriter
from tests.support import virtual_time
from tests.support.faulty_dynamodb import FaultyDynamoDB

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_s3 import S3Client

T = TypeVar("T")
START = datetime(2026, 11, 22, 20, 0, tzinfo=UTC)
LEASE_SECONDS = 120.0
ANSWER_SECONDS = 7200.0
WORKFLOW = Workflow("default", (Step("analyst", "analyst.md"), Step("reporter", "reporter.md")))
Work: TypeAlias = Callable[[], Awaitable[str]]
"""What a step's model does: returns a text, raises, or takes its time."""


def says(text: str, *, after: float = 1.0) -> Work:
    """Return the work of a model that answers after some seconds."""

    async def work() -> str:
        await asyncio.sleep(after)
        return text

    return work


def raises(error: BaseException, *, after: float = 1.0) -> Work:
    """Return the work of a model that fails after some seconds."""

    async def work() -> str:
        await asyncio.sleep(after)
        raise error

    return work


async def hangs() -> str:
    """Never end, unless cancelled."""
    await asyncio.Event().wait()
    return ""


@dataclass
class Simulation:
    """The world around one run.

    :ivar work: what each step's model does
    :ivar messages: what each step's model was told
    :ivar tokens: what each step costs
    :ivar wake: called where the agent wakes the state machine
    :ivar blocking_seconds: how long each call of the table and the bucket takes
    :ivar seconds: how long the last `run` took
    :ivar table: the journal's table, which fails when a test says so
    """

    dynamodb: "DynamoDBClient"
    s3: "S3Client"
    session_id: str
    workflow: Workflow = WORKFLOW
    parallel_steps: int = 4
    max_tokens: int = 0
    take_from: tuple[StepSource, ...] = ()
    claims: tuple[ClaimedCall, ...] = ()
    deadline_seconds: float = 3600.0
    segment: Segment = field(default_factory=lambda: Segment(3))
    max_waits: int = 0
    work: dict[str, Work] = field(
        default_factory=lambda: {"analyst": says("the analysis"), "reporter": says("the report")}
    )
    messages: dict[str, str] = field(default_factory=dict[str, str])
    tokens: Usage = field(default_factory=lambda: Usage(10, 5))
    wake: Callable[[str], Awaitable[None]] | None = None
    blocking_seconds: float = 0.0
    seconds: float = 0.0

    def __post_init__(self) -> None:
        self.table = FaultyDynamoDB(self.dynamodb)
        self.journal = JournalWriter(self.table.as_client(), "journal", ttl_days=30, now=self.now)
        self.artifacts = ArtifactStore(self.s3, "artifacts")
        self.turns = TurnStore(self.s3, "artifacts")
        self._elapsed = 0.0

    def now(self) -> datetime:
        """Return the simulated time: it goes on from one `run` to the next."""
        return START + timedelta(seconds=self._elapsed + asyncio.get_running_loop().time())

    def run(self, main: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Run a coroutine function in virtual time; nothing that went wrong beside it may go unnoticed."""
        unnoticed: list[Mapping[str, Any]] = []

        async def timed() -> T:
            loop = virtual_time.running_loop()
            loop.blocking_seconds = self.blocking_seconds
            loop.set_exception_handler(lambda _, context: unnoticed.append(context))
            try:
                return await main()
            finally:
                self.seconds = loop.time()

        try:
            return virtual_time.run(timed)
        finally:
            self._elapsed += self.seconds
            gc.collect(1)
            assert not unnoticed

    def run_task(self, number: int = 1) -> None:
        """Run one background task from its claim to its end; `seconds` says how long it took."""

        async def main() -> None:
            await self.task(number).run()

        self.run(main)

    def attempt(self, number: int = 1) -> Attempt:
        """Return an attempt of the run; its lease begins now."""
        job = Job(
            session_id=self.session_id,
            request=RunRequest("Why is it slow?", take_from=self.take_from, claims=self.claims),
            attempt=number,
            segment=self.segment,
            now=self.now(),
            seconds_left=self.deadline_seconds - (self.now() - START).total_seconds(),
        )
        return Attempt(
            job,
            self.journal,
            clock=RunClock(self.now(), asyncio.get_running_loop().time),
            environment_id=f"environment-{number}",
            lease_seconds=LEASE_SECONDS,
        )

    def task(self, number: int = 1) -> BackgroundTask:
        """Return an attempt's background task."""
        attempt = self.attempt(number)
        stores = Stores(self.artifacts, self.turns, partial(tool_claims, self.dynamodb, "journal"))
        workflow = WorkflowRun(
            attempt,
            stores,
            self.workflow,
            self.run_step,
            self.parallel_steps,
            self.max_tokens,
            max_waits=self.max_waits,
            answer_seconds=ANSWER_SECONDS,
        )
        return BackgroundTask(attempt, workflow, wake=self.wake)

    async def run_step(self, step: Step, message: str, journal: StepJournal) -> Artifact | Asked:
        """Do what the step's model is scripted to do."""
        del journal
        self.messages[step.name] = message
        return Artifact(step.name, await self.work[step.name](), self.tokens)

    @property
    def events(self) -> list[Event]:
        """The journal's events, in order."""
        return list(JournalReader(self.dynamodb, "journal").events(self.session_id))

    @property
    def statuses(self) -> list[str]:
        """The statuses of the journal's events, in order, without the words that all of a background task share."""
        return [event.status.removeprefix("AGENT_BACKGROUND_TASK_").removeprefix("TASK_") for event in self.events]

    @property
    def outcome(self) -> Event | None:
        """The run's outcome."""
        return JournalReader(self.dynamodb, "journal").outcome(self.session_id)

    def detail(self, status: str) -> Mapping[str, Any]:
        """Return the detail of the only event with a status that ends like that."""
        [event] = [event for event in self.events if event.status.endswith(status)]
        return event.detail or {}
