"""One execution in virtual time, and the world around it: the definition played, with the real invoker and journal.

The agents write what real ones write, at the seconds that a story says; `tests/support/state_machine.py` has the
interpreter. Owns what must hold of every story.
"""

import json
import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from io import BytesIO
from typing import Any
from unittest.mock import Mock

from botocore.exceptions import ClientError

from components.settings import Settings
from components.workflow_budget import WorkflowSettings
from components.workflow_definition import build_definition
from runtime.agent.run_clock import RunClock, beginning
from runtime.contract.job import parse_job
from runtime.invoker.invocation import Invoker, Limits
from runtime.journal.errors import JournalError
from runtime.journal.keys import answer_key
from runtime.journal.reader import JournalReader
from runtime.journal.timestamps import from_timestamp, to_timestamp
from runtime.journal.vocabulary import TERMINAL, Status
from runtime.journal.waits import EXPIRED, Answer, AnsweredWait, Wait, serialized_answers
from runtime.journal.writer import JournalWriter, Standing
from tests.support.faulty_dynamodb import client_error
from tests.support.journal_table import create_journal_table
from tests.support.state_machine import START, World, entered, failure, play

SESSION = "6a7e8feb-b491-4cf7-a9f1-bf3703467718"
TABLE = "journal"
LEASE_SECONDS, MAX_RUN_SECONDS, MAX_ATTEMPTS = 20, 120, 3
LIMIT_SECONDS = 3600
# Three turns: what nobody answers expires at the third look after the first.
ANSWER_SECONDS, TURN_SECONDS = 1500, 600
REPLIED = (Answer(approved=True),)
HEALTHY = ("completes", "fails", "goes on")
# Its lease, the longest poll, and conflicts that are tried again.
NOTICED_SECONDS = LEASE_SECONDS + 10 + 30
# How much later than `until` the machine's clock may be, where the invoker's, which agents go by, is ahead.
SKEWED_SECONDS = 660


@dataclass(frozen=True)
class Agent:
    """What becomes of one invocation.

    :ivar does: what the agent does after `seconds`; until then it writes heartbeats
    :ivar skew: of its machine's clock
    :ivar answers: whether the invoker gets its acknowledgement
    :ivar begins: seconds until it claims the attempt
    :ivar acknowledges: seconds until it acknowledges, while it works
    """

    does: str
    seconds: float
    skew: float = 0
    answers: bool = True
    begins: float = 0.02
    acknowledges: float = 0


@dataclass(frozen=True)
class Reply:
    """How a person answers a wait.

    :ivar after: seconds since it was opened; None for never
    :ivar wakes: whether the execution is woken then
    :ivar skew: of the person's clock
    """

    after: float | None = None
    wakes: bool = True
    skew: float = 0


@dataclass(frozen=True)
class Story:
    """What happens around one execution.

    :ivar replies: to the run's waits in order; as many as it may have
    """

    completion: str
    agents: list[Agent]
    invoker_skews: list[float]
    cancel: tuple[float, float] | None = None
    noise: list[tuple[float, float]] = field(default_factory=list[tuple[float, float]])
    conflicts: int = 0
    replies: tuple[Reply, ...] = ()
    answer_seconds: int = ANSWER_SECONDS

    @property
    def stack(self) -> Settings:
        """The stack that it is played in."""
        return Settings.defaults(
            poll_interval_seconds=5,
            callback_poll_seconds=10,
            max_run_seconds=MAX_RUN_SECONDS,
            lease_seconds=LEASE_SECONDS,
            max_attempts=MAX_ATTEMPTS,
            invoke_retry_seconds=30,
            completion=self.completion,
            max_waits=len(self.replies),
            answer_seconds=self.answer_seconds,
        )


def settings_of(story: Story) -> WorkflowSettings:
    return WorkflowSettings(story.stack, "invoker", TABLE, "default")


Write = Callable[[list[dict[str, Any]]], None]
"""What sees a transaction's actions."""


@dataclass
class Played:
    """One execution, and the world around it."""

    story: Story
    client: Any
    world: World = field(init=False)
    invocations: int = 0
    died_at: list[float] = field(default_factory=list[float])
    called_at: list[float] = field(default_factory=list[float])
    acknowledged_at: float = float("inf")
    woken: bool = False
    clocks: dict[int, RunClock] = field(default_factory=dict[int, RunClock])
    before: Write | None = None
    opened_at: dict[int, float] = field(default_factory=dict[int, float])
    answered_at: dict[int, float] = field(default_factory=dict[int, float])
    resumed_at: dict[int, float] = field(default_factory=dict[int, float])
    stopped_at: list[float] = field(default_factory=list[float])
    names: list[str] = field(default_factory=list[str])
    completed: bool = False
    answers: dict[int, str] = field(default_factory=dict[int, str])

    def __post_init__(self) -> None:
        self.world = World(LIMIT_SECONDS + len(self.story.replies) * 2 * self.story.answer_seconds)
        self._random = random.Random(self.story.conflicts)
        self.announced: list[Any] = []

    def clock(self, skew: float) -> Callable[[], datetime]:
        return lambda: self.world.now() + timedelta(seconds=skew)

    def writer(self, skew: float) -> JournalWriter:
        return JournalWriter(self.client, TABLE, ttl_days=30, now=self.clock(skew))

    # what the machine calls

    def transact(self, arguments: dict[str, Any]) -> Any:
        if self.before:
            self.before(arguments["TransactItems"])
        try:
            self._conflict()
            return self.client.transact_write_items(**arguments)
        except ClientError as error:
            raise failure("DynamoDb.TransactionCanceledException", str(error)) from error

    def _conflict(self) -> None:
        """Cancel a transaction as AWS does with two that touch one item at the same time."""
        if self.story.conflicts and self._random.random() < 0.1:
            raise client_error("TransactionConflict", 400)

    def transact_get(self, arguments: dict[str, Any]) -> Any:
        try:
            self._conflict()
        except ClientError as error:
            raise failure("DynamoDb.TransactionCanceledException", str(error)) from error
        return self.client.transact_get_items(**arguments)

    def query(self, arguments: dict[str, Any]) -> Any:
        return self.client.query(**arguments)

    def announce(self, arguments: dict[str, Any]) -> Any:
        self.announced.append(arguments)
        return {}

    def function(self, arguments: dict[str, Any]) -> Any:
        payload = arguments["Payload"]
        if payload["operation"] == "stop":
            self.stopped_at.append(self.world.seconds)
            return {"Payload": {"stopped": True}}
        number, self.invocations = self.invocations, self.invocations + 1
        self.called_at.append(self.world.seconds)
        if answered := (payload.get("segment") or {}).get("answered"):
            self.resumed_at.setdefault(answered["wait"], self.world.seconds)
        agent = self.story.agents[number % len(self.story.agents)]
        skew = self.story.invoker_skews[number % len(self.story.invoker_skews)]
        core = Mock()
        core.invoke_agent_runtime = partial(self._invoke, agent)
        limits = Limits(lease_seconds=LEASE_SECONDS, max_run_seconds=MAX_RUN_SECONDS, max_attempts=MAX_ATTEMPTS)
        now = self.clock(skew)
        invoker = Invoker(core, self.writer(skew), "runtime", "live", limits, Mock(), now=now, pause=self.world.sleep)
        try:
            return {"Payload": invoker.start(json.loads(json.dumps(payload)))}
        except Exception as error:
            cause = json.dumps({"errorMessage": str(error), "errorType": type(error).__name__})
            raise failure(type(error).__name__, cause) from error

    # the agent

    def _invoke(self, agent: Agent, *, payload: bytes, **_: Any) -> Any:
        job: dict[str, Any] = json.loads(payload)
        if agent.does == "is throttled":
            raise client_error("ThrottlingException", 429, "InvokeAgentRuntime")
        if agent.does == "refuses":
            raise ClientError(
                {
                    "Error": {"Code": "RuntimeClientError", "Message": "Received error (400) from runtime"},
                    "ResponseMetadata": {"HTTPStatusCode": 424},  # pyrefly: ignore[bad-typed-dict-key]
                },
                "InvokeAgentRuntime",
            )
        attempt = job["attempt"]
        if attempt not in self.clocks:
            began_at = beginning(self.clock(agent.skew)(), from_timestamp(job["now"]))
            self.clocks[attempt] = RunClock(began_at, lambda: self.world.seconds)
        if agent.does != "is silent":
            Task(self, agent, job, self.clocks[attempt]).begin()
        else:
            self.died_at.append(self.world.seconds)
        if not agent.answers:
            raise client_error("InternalServerException", 500, "InvokeAgentRuntime")
        self.acknowledged_at = min(self.acknowledged_at, self.world.seconds)
        self.world.sleep(agent.acknowledges)
        body = json.dumps({"accepted": {"now": to_timestamp(self.clocks[attempt].now())}}).encode()
        return {"response": BytesIO(body)}

    # the others

    def open_wait(self, writer: JournalWriter, event: Any, standing: Standing, seconds_left: float) -> None:
        assert standing.wait
        wait = Wait(
            session_id=SESSION,
            number=standing.wait,
            created_at=event.created_at,
            until=event.created_at + timedelta(seconds=self.story.answer_seconds),
            seconds_left=seconds_left,
            digest="digest",
            key=f"questions-{standing.wait}",
            count=1,
        )
        writer.open_wait(event, wait, standing)
        self.opened_at[standing.wait] = self.world.seconds
        reply = self.story.replies[standing.wait - 1]
        if reply.after is not None:
            self.world.at(self.world.seconds + reply.after, lambda: self.reply(wait, reply))

    def reply(self, wait: Wait, reply: Reply) -> None:
        writer = self.writer(reply.skew)
        event = writer.stamp(SESSION, Status.RUN_ANSWERED)
        answered = AnsweredWait(
            session_id=SESSION, number=wait.number, created_at=event.created_at, by="someone", answers=REPLIED
        )
        try:
            writer.answer(event, wait, answered)
        except JournalError:
            return
        self.answered_at[wait.number] = self.world.seconds
        self.woken = self.woken or reply.wakes

    def cancel(self, skew: float) -> None:
        writer = self.writer(skew)
        try:
            writer.close(writer.stamp(SESSION, Status.SESSION_CANCELLED))
        except JournalError:
            return
        self.woken = True

    def write_noise(self, skew: float) -> None:
        writer = self.writer(skew)
        writer.append(writer.stamp(SESSION, Status.AGENT_INVOCATION_FAILED, attempt=1))

    def is_woken(self) -> bool:
        """Whether somebody has sent the token since it was last asked."""
        woken, self.woken = self.woken, False
        return woken

    def play(self) -> dict[str, Any]:
        settings = settings_of(self.story)
        if self.story.cancel:
            at, skew = self.story.cancel
            self.world.at(at, lambda: self.cancel(skew))
        for at, skew in self.story.noise:
            self.world.at(at, lambda skew=skew: self.write_noise(skew))
        sdk = "arn:aws:states:::aws-sdk:dynamodb:"
        calls = {
            f"{sdk}transactWriteItems": self.transact,
            f"{sdk}transactGetItems": self.transact_get,
            f"{sdk}query": self.query,
            "arn:aws:states:::lambda:invoke": self.function,
            "arn:aws:states:::events:putEvents": self.announce,
        }
        given = {"session_id": SESSION, "request": {"prompt": "Why?"}}
        return play(build_definition(settings), given, self.world, calls, self.is_woken)


@dataclass
class Task:
    """The agent's background task, as far as the journal sees it: what it writes is what the real one writes."""

    played: Played
    agent: Agent
    job: dict[str, Any]
    clock: RunClock
    over: bool = False

    def begin(self) -> None:
        self.journal = self.played.writer(0)
        at = self.played.world.at
        now = self.began_at = self.played.world.seconds
        end = self.agent.seconds
        if self.agent.does == "releases unclaimed":
            at(now + min(end, 2), self.release)
            return
        at(now + self.agent.begins, self.claim)
        if self.agent.does == "goes on" or end > self.job["secondsLeft"]:
            end = self.job["secondsLeft"]
        if self.agent.does == "waits" and self.standing.wait and self.standing.wait > len(self.played.story.replies):
            self.agent = replace(self.agent, does="completes")
        if self.agent.does == "ignores its deadline":
            end = 3 * MAX_RUN_SECONDS
        for beat in range(1, int(end / (LEASE_SECONDS / 4)) + 1):
            if beat * LEASE_SECONDS / 4 > self.agent.begins:
                at(now + beat * LEASE_SECONDS / 4, self.beat)
        ends = {"dies": self.die, "releases": self.release, "waits": self.wait}
        at(now + max(end, self.agent.begins + 0.01), ends.get(self.agent.does, self.close))

    @property
    def standing(self) -> Standing:
        return parse_job(self.job, SESSION).standing

    def wait(self) -> None:
        event = self.stamp(Status.RUN_WAITING, lease_seconds=0)
        left = self.job["secondsLeft"] - (self.played.world.seconds - self.began_at)
        self._write(lambda: self.played.open_wait(self.journal, event, self.standing, left))
        self.played.woken = True
        self.over = True

    def stamp(self, status: Status, **fields: Any) -> Any:
        attempt = {"attempt": self.job["attempt"], "environment_id": f"environment-{self.played.invocations}"}
        fields = {"lease_seconds": LEASE_SECONDS} | fields
        return self.journal.stamp(SESSION, status, at=self.clock.now(), **attempt, **fields)

    def claim(self) -> None:
        event = self.stamp(Status.AGENT_BACKGROUND_TASK_STARTED)
        self._write(lambda: self.journal.claim_attempt(event, self.standing))

    def beat(self) -> None:
        event = self.stamp(Status.AGENT_BACKGROUND_TASK_HEARTBEAT)
        self._write(lambda: self.journal.append_as_attempt([event], self.standing))

    def close(self) -> None:
        status = Status.AGENT_BACKGROUND_TASK_COMPLETED
        if self.agent.does != "completes":
            status = Status.AGENT_BACKGROUND_TASK_FAILED
        event = self.stamp(status)
        self._write(lambda: self.journal.close(event, self.standing))
        self.played.woken = True
        self.over = True

    def release(self) -> None:
        unclaimed = {"unclaimed": True} if "unclaimed" in self.agent.does else {}
        event = self.stamp(
            Status.AGENT_BACKGROUND_TASK_HEARTBEAT, lease_seconds=0, detail={"released": "it has to go"} | unclaimed
        )
        self._write(lambda: self.journal.append_as_attempt([event], self.standing))
        self.played.woken = True
        self.die()

    def die(self) -> None:
        if not self.over:
            self.played.died_at.append(self.played.world.seconds)
        self.over = True

    def _write(self, write: Callable[[], None]) -> None:
        if not self.over:
            try:
                write()
            except JournalError:
                self.over = True


def played(
    story: Story, client: Any, before: Callable[[Played], Write] | None = None
) -> tuple[Played, dict[str, Any], list[Any]]:
    """Play a story.

    :param before: what sees the actions of each transaction of the machine's before it is made
    """
    create_journal_table(client, TABLE)
    try:
        player = Played(story, client)
        player.before = before(player) if before else None
        execution = player.play()
        reader = JournalReader(client, TABLE)
        for wait in player.opened_at:
            found = client.get_item(TableName=TABLE, Key=answer_key(SESSION, wait)).get("Item")
            if found:
                player.answers[wait] = found["answers"]["S"]
        return player, execution, list(reader.events(SESSION))
    finally:
        client.delete_table(TableName=TABLE)


def check(story: Story, client: Any, before: Callable[[Played], Write] | None = None) -> Played:
    player, execution, events = played(story, client, before)
    ends = [event.status for event in events if event.status in TERMINAL]
    assert len(ends) == 1, execution
    player.completed = completed = ends == [Status.AGENT_BACKGROUND_TASK_COMPLETED]
    player.names = entered(execution)
    assert execution["status"] == ("SUCCEEDED" if completed else "FAILED")
    assert entered(execution)[-4:-1] == ["ReleaseSession", "PublishFinished", "Ended"]
    *waiting, announced = [entry for call in player.announced for entry in call["Entries"]]
    assert {entry["DetailType"] for entry in waiting} <= {"AgentRunWaiting"}
    assert announced["Detail"]["outcome"] == ends[0]
    # Whatever the clocks say: an agent that lives is never taken for lost, one that is lost is soon noticed,
    # and what ignores its deadline is ended.
    lost_at = [
        (event.created_at - START).total_seconds()
        for event in events
        if event.status == Status.AGENT_BACKGROUND_TASK_LOST
    ]
    assert len(lost_at) <= len(player.died_at)
    reactions = [*lost_at, *player.called_at, *player.opened_at.values(), player.world.seconds]
    for died_at in player.died_at:
        assert any(died_at <= at <= died_at + NOTICED_SECONDS for at in reactions)
    waited = check_waits(player, events)
    slow = sum(agent.acknowledges for agent in story.agents) * len(player.called_at)
    assert (
        player.world.seconds
        < player.acknowledged_at + MAX_RUN_SECONDS + LEASE_SECONDS + NOTICED_SECONDS + waited + slow
    )
    # No loop without a wait in it: a look takes nine or thirteen events and seconds go by.
    assert len(entered(execution)) < 60 + 3 * player.world.seconds
    return player


def check_waits(player: Played, events: list[Any]) -> float:
    """Check that each wait has one answer at most, of which the next attempt is told, and return the seconds of all."""
    statuses = [event.status for event in events]
    assert statuses.count(Status.RUN_WAITING) == len(player.opened_at)
    assert statuses.count(Status.RUN_ANSWERED) == len(player.answers)
    waited = 0.0
    for wait, opened_at in player.opened_at.items():
        resumed_at = player.resumed_at.get(wait, player.world.seconds)
        assert any(opened_at <= at <= resumed_at for at in player.stopped_at), "its environment goes on"
        if wait in player.resumed_at:
            expired = player.answers[wait] == EXPIRED
            assert expired == (wait not in player.answered_at)
            assert not expired or resumed_at >= opened_at + ANSWER_SECONDS
            assert player.answers[wait] in (EXPIRED, serialized_answers(REPLIED))
            # A wake-up that is lost costs a turn.
            known_at = player.answered_at.get(wait, opened_at + ANSWER_SECONDS + SKEWED_SECONDS)
            assert resumed_at < known_at + TURN_SECONDS + NOTICED_SECONDS
            reply = player.story.replies[wait - 1]
            if wait in player.answered_at and reply.wakes:
                assert resumed_at < max(known_at, opened_at + NOTICED_SECONDS) + NOTICED_SECONDS
        waited += resumed_at - opened_at + NOTICED_SECONDS
    return waited
