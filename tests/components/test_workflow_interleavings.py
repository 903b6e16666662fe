"""The machine's loop against everything around it at its worst: its definition played, with the real invoker and the
real journal, in virtual time (see `tests/support/state_machine.py` for the interpreter)."""

import json
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from io import BytesIO
from typing import Any
from unittest.mock import Mock, patch

import boto3
import pytest
from botocore.exceptions import ClientError
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from moto import mock_aws

from components.settings import Settings
from components.workflow_budget import (
    WorkflowSettings,
    answer_looks,
    answer_turn_seconds,
    history_events,
    wait_transitions,
)
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
SKEWS = st.sampled_from([0, 0, 0, 0.2, -0.2, 30, -30, 300, -300, 600, -600])
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


AGENTS = st.builds(
    Agent,
    does=st.sampled_from(
        [
            *HEALTHY,
            "ignores its deadline",
            "dies",
            "releases",
            "releases unclaimed",
            "refuses",
            "is throttled",
            "is silent",
        ]
    ),
    seconds=st.sampled_from([0.1, 3, 19, 45, 118]),
    skew=SKEWS,
    answers=st.sampled_from([True, True, True, False]),
    begins=st.sampled_from([0.02, 0.02, 8]),
)
STORIES = st.builds(
    Story,
    completion=st.sampled_from(["poll", "callback"]),
    agents=st.lists(AGENTS, min_size=1, max_size=6),
    invoker_skews=st.lists(SKEWS, min_size=1, max_size=6),
    cancel=st.none() | st.tuples(st.sampled_from([0.0, 0.05, 5, 21, 60, 121]), SKEWS),
    noise=st.lists(st.tuples(st.sampled_from([0, 1, 10, 60, 110]), SKEWS), max_size=12),
    conflicts=st.integers(0, 2**16),
)
WAITING_AGENTS = st.builds(
    Agent,
    does=st.sampled_from(["waits", "waits", "waits", "completes", "dies", "releases", "goes on"]),
    seconds=st.sampled_from([0.1, 3, 19, 45]),
    skew=SKEWS,
    answers=st.sampled_from([True, True, True, False]),
    begins=st.sampled_from([0.02, 8]),
    acknowledges=st.sampled_from([0, 0, 12]),
)
WAITING_STORIES = st.builds(
    Story,
    completion=st.sampled_from(["poll", "callback"]),
    agents=st.lists(WAITING_AGENTS, min_size=1, max_size=6),
    invoker_skews=st.lists(SKEWS, min_size=1, max_size=6),
    cancel=st.none() | st.tuples(st.sampled_from([0.05, 5, 60, 700, 1600]), SKEWS),
    noise=st.lists(st.tuples(st.sampled_from([0, 10, 60]), SKEWS), max_size=4),
    conflicts=st.integers(0, 2**16),
    replies=st.lists(
        st.builds(
            Reply,
            after=st.sampled_from([0, 0.5, 3, 650, 1499.9, 1500.1, None]),
            wakes=st.sampled_from([True, True, False]),
            skew=SKEWS,
        ),
        min_size=2,
        max_size=2,
    ).map(tuple),
)
Write = Callable[[list[dict[str, Any]]], None]


def settings_of(story: Story) -> WorkflowSettings:
    return WorkflowSettings(story.stack, "invoker", TABLE, "default")


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
                    "ResponseMetadata": {"HTTPStatusCode": 424},  # pyright: ignore[reportArgumentType]
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


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    with mock_aws():
        yield boto3.client("dynamodb", "us-east-1", aws_access_key_id="x", aws_secret_access_key="y")


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
    for status in (Status.RUN_WAITING, Status.RUN_ANSWERED):
        assert [event.status for event in events].count(status) == len(
            player.answers if "ANSWERED" in status else player.opened_at
        )
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


CONFLICT = "TransactionConflict"


def test_a_claim_that_came_upon_another_writer_is_made_again(client: Any) -> None:
    execution = played_with(client, Agent("completes", 0.1), [CONFLICT, CONFLICT])
    assert execution["status"] == "SUCCEEDED"
    assert entered(execution)[:4] == ["ClaimSession", "WhyNotClaimed", "WaitToClaim", "ClaimSession"]


def test_a_close_that_came_upon_another_writer_is_made_again(client: Any) -> None:
    execution = played_with(client, Agent("refuses", 0), [None, CONFLICT, CONFLICT])
    assert execution["error"] == "AgentRefused"
    assert entered(execution).count("CloseSession") == 2


def played_with(client: Any, agent: Agent, refusals: Sequence[str | None]) -> dict[str, Any]:
    """Play a run in which the machine's first transactions are refused like that; None lets one through."""
    player, left = Played(Story("poll", [agent], [0]), client), iter(refusals)

    def refuse() -> None:
        if code := next(left, None):
            raise client_error(code, 400)

    create_journal_table(client, TABLE)
    try:
        with patch.object(player, "_conflict", refuse):
            return player.play()
    finally:
        client.delete_table(TableName=TABLE)


NAMED = {
    "a loss by a clock that is ahead": Story("poll", [Agent("dies", 19), Agent("completes", 3)], [600]),
    "a deadline by a clock that is ahead": Story("poll", [Agent("ignores its deadline", 0)], [600]),
    "a later attempt by a clock that is behind": Story(
        "poll", [Agent("dies", 45), *[Agent("completes", 45)] * 3], [600, 0, 0, 0], noise=[(1, 600)] * 12
    ),
    "the same attempt again, which begins late": Story(
        "poll", [Agent("releases unclaimed", 1), Agent("completes", 19, begins=14)], [0]
    ),
}


@pytest.mark.parametrize("name", NAMED)
def test_a_story_that_once_went_wrong_ends_in_exactly_one_outcome(name: str, client: Any) -> None:
    check(NAMED[name], client)


@pytest.mark.slow
@pytest.mark.parametrize(
    "examples",
    [pytest.param(30, id="some"), pytest.param(400, id="many", marks=[pytest.mark.soak, pytest.mark.timeout(900)])],
)
@pytest.mark.parametrize(
    "stories", [pytest.param(STORIES, id="runs"), pytest.param(WAITING_STORIES, id="runs that wait")]
)
def test_every_interleaving_ends_in_exactly_one_outcome(
    stories: st.SearchStrategy[Story], examples: int, client: Any
) -> None:
    @settings(
        max_examples=examples,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.explicit, Phase.generate, Phase.shrink],
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
    )
    @given(story=stories)
    def play_one(story: Story) -> None:
        check(story, client)

    play_one()


def test_a_turn_is_shorter_than_the_time_for_an_answer_so_that_lost_wake_ups_show() -> None:
    assert answer_turn_seconds(Story("poll", [], [], replies=(Reply(),)).stack) == TURN_SECONDS < ANSWER_SECONDS


BOTH_WAYS = pytest.mark.parametrize("completion", ["poll", "callback"])


@BOTH_WAYS
@pytest.mark.parametrize(
    ("reply", "expires"),
    [
        (Reply(0), False),
        (Reply(3), False),
        (Reply(650), False),
        (Reply(3, wakes=False), False),
        # Late, but before the look that would have found that it is.
        (Reply(ANSWER_SECONDS + 0.1), False),
        (Reply(ANSWER_SECONDS + TURN_SECONDS), True),
        (Reply(), True),
    ],
    ids=["at once", "soon", "a turn later", "wake-up lost", "late", "too late", "never"],
)
def test_a_run_that_waits_goes_on_with_its_answer_or_without_one(
    completion: str, reply: Reply, expires: bool, client: Any
) -> None:
    player = check(Story(completion, [Agent("waits", 3), Agent("completes", 3)], [0], replies=(reply,)), client)
    assert (player.answers[1] == EXPIRED) == expires
    assert player.called_at[1:] == [player.resumed_at[1]]


def test_a_look_that_meets_the_answer_being_written_is_made_again_at_once(client: Any) -> None:
    story = Story("callback", [Agent("waits", 3), Agent("completes", 3)], [0], replies=(Reply(60),))
    player = Played(story, client)
    left = [CONFLICT] * 3

    def refuse(arguments: dict[str, Any]) -> Any:
        if player.answered_at and left:
            raise failure("DynamoDb.TransactionCanceledException", left.pop())
        return client.transact_get_items(**arguments)

    create_journal_table(client, TABLE)
    try:
        with patch.object(player, "transact_get", refuse):
            player.play()
    finally:
        client.delete_table(TableName=TABLE)
    assert not left
    assert player.resumed_at[1] < player.answered_at[1] + 30


def writes(actions: list[dict[str, Any]], value: str) -> bool:
    """Whether a transaction puts a record that has a value."""
    return any({"S": value} in action["Put"]["Item"].values() for action in actions if "Put" in action)


def once(value: str, do: Callable[[Played], None]) -> Callable[[Played], Write]:
    """Return what does something just before the machine first writes a value."""

    def watched(player: Played) -> Write:
        left = [do]

        def before(actions: list[dict[str, Any]]) -> None:
            if left and writes(actions, value):
                left.pop()(player)

        return before

    return watched


def reply_now(player: Played) -> None:
    wait = JournalReader(player.client, TABLE).wait(SESSION, 1)
    assert wait
    player.reply(wait, Reply(0))


@BOTH_WAYS
def test_an_answer_that_comes_at_the_very_moment_of_expiry_counts_if_it_is_first(completion: str, client: Any) -> None:
    story = Story(completion, [Agent("waits", 3), Agent("completes", 3)], [0], replies=(Reply(),))
    player = check(story, client, once(EXPIRED, reply_now))
    assert player.answers[1] == serialized_answers(REPLIED)
    assert player.resumed_at[1] < player.answered_at[1] + 3


def test_an_answer_that_comes_at_the_very_moment_of_expiry_is_refused_if_it_is_second(client: Any) -> None:
    refused = list[bool]()

    def before(player: Played) -> Write:
        def reply_after() -> None:
            reply_now(player)
            refused.append(not player.answered_at)

        def soon(actions: list[dict[str, Any]]) -> None:
            if writes(actions, EXPIRED):
                player.world.at(player.world.seconds + 0.001, reply_after)

        return soon

    story = Story("poll", [Agent("waits", 3), Agent("completes", 3)], [0], replies=(Reply(),))
    assert check(story, client, before).answers[1] == EXPIRED
    assert refused == [True]


def at_the_token(do: Callable[[Played], None]) -> Callable[[Played], Write]:
    """Return what does something just before the machine, which has looked, stores the token by which it is woken."""

    def watched(player: Played) -> Write:
        left = [do]

        def before(actions: list[dict[str, Any]]) -> None:
            if left and any("taskToken" in action["Put"]["Item"] for action in actions if "Put" in action):
                left.pop()(player)

        return before

    return watched


@pytest.mark.parametrize("comes", [reply_now, lambda player: player.cancel(0)], ids=["answer", "cancel"])
def test_what_comes_between_the_look_and_the_token_is_not_slept_through(
    comes: Callable[[Played], None], client: Any
) -> None:
    story = Story("poll", [Agent("waits", 3), Agent("completes", 3)], [0], replies=(Reply(),))
    player = check(story, client, at_the_token(comes))
    assert player.world.seconds < 60


def test_a_run_that_is_cancelled_at_the_moment_of_expiry_does_not_expire(client: Any) -> None:
    story = Story("poll", [Agent("waits", 3), Agent("completes", 3)], [0], replies=(Reply(),))
    player = check(story, client, once(EXPIRED, lambda player: player.cancel(0)))
    assert not player.answers
    assert len(player.called_at) == 1


def open_late(attempt: int) -> Callable[[Played], None]:
    """Return what lets an attempt write its wait, which it was about to."""

    def open_now(player: Played) -> None:
        writer = player.writer(0)
        event = writer.stamp(
            SESSION, Status.RUN_WAITING, lease_seconds=0, attempt=attempt, environment_id="an environment"
        )
        player.open_wait(writer, event, Standing(attempt, MAX_ATTEMPTS, 1), 40)

    return open_now


@BOTH_WAYS
@pytest.mark.parametrize(
    ("deaths", "decided"),
    [
        (1, Status.AGENT_BACKGROUND_TASK_LOST),
        (MAX_ATTEMPTS, Status.SESSION_FAILED),
    ],
    ids=["lost", "its last attempt lost"],
)
def test_a_wait_that_is_written_when_the_machine_has_already_decided_wins(
    deaths: int, decided: Status, completion: str, client: Any
) -> None:
    agents = [*[Agent("dies", 3)] * deaths, Agent("completes", 3)]
    story = Story(completion, agents, [0], replies=(Reply(3),))
    player = check(story, client, once(decided, open_late(deaths)))
    assert player.answers[1] == serialized_answers(REPLIED)
    assert len(player.called_at) == deaths + 1
    assert player.completed


@BOTH_WAYS
def test_a_run_that_is_cancelled_while_it_waits_is_not_started_again(completion: str, client: Any) -> None:
    story = Story(completion, [Agent("waits", 3)], [0], cancel=(60, 0), replies=(Reply(),))
    player = check(story, client)
    assert len(player.called_at) == 1
    assert player.world.seconds < 60 + NOTICED_SECONDS


@pytest.mark.parametrize(
    "agent",
    [Agent("waits", 3, acknowledges=30), Agent("waits", 0.1, answers=False), Agent("waits", 0.1, skew=600)],
    ids=["acknowledged late", "acknowledgement lost", "a clock that is ahead"],
)
@BOTH_WAYS
def test_a_wait_is_found_however_its_attempt_was_acknowledged(agent: Agent, completion: str, client: Any) -> None:
    player = check(Story(completion, [agent, Agent("completes", 3)], [0], replies=(Reply(2),)), client)
    assert player.answers[1] == serialized_answers(REPLIED)
    # A poll's interval at most, and no wait for a wake-up that has come already.
    assert player.resumed_at[1] < max(player.answered_at[1], agent.acknowledges) + 8
    assert "CloseSession" not in player.names


@pytest.mark.parametrize("skew", [600, -600])
def test_what_follows_an_answer_is_later_in_the_journal_whatever_the_person_s_clock_says(
    skew: int, client: Any
) -> None:
    story = Story("poll", [Agent("waits", 3), Agent("completes", 3)], [0], replies=(Reply(3, skew=skew),))
    _, _, events = played(story, client)
    answered = next(event for event in events if event.status == Status.RUN_ANSWERED)
    following = [event for event in events if (event.attempt or 0) > 1]
    assert following
    assert all(event.created_at > answered.created_at for event in following)


@BOTH_WAYS
def test_the_time_of_a_run_stands_still_while_it_waits(completion: str, client: Any) -> None:
    # Twice 80 s of work are more than the 120 s that a run may take, 1,300 s of waiting are not among them.
    story = Story(completion, [Agent("waits", 80), Agent("goes on", 1)], [0], replies=(Reply(1300),))
    player = check(story, client)
    worked = player.world.seconds - player.resumed_at[1]
    assert MAX_RUN_SECONDS - 80 - 10 < worked < MAX_RUN_SECONDS - 80 + 15


@BOTH_WAYS
def test_a_run_that_uses_all_its_waits_and_loses_agents_in_between_fits_the_history(
    completion: str, client: Any
) -> None:
    lost = Agent("dies", 3)
    agents = [Agent("waits", 1), lost, lost, Agent("waits", 1), lost, Agent("waits", 1), lost, lost, Agent("waits", 1)]
    story = Story(completion, agents, [0], replies=(Reply(), Reply(700, wakes=False), Reply(5)))
    player, execution, events = played(story, client)
    assert execution["status"] == "SUCCEEDED"
    assert [event.attempt for event in events if event.status == Status.AGENT_BACKGROUND_TASK_STARTED] == [
        *range(1, 10)
    ]
    assert set(player.resumed_at) == {1, 2, 3}
    assert history(execution, build_definition(settings_of(story))) < history_events(story.stack)


def test_a_day_s_wait_takes_as_many_transitions_and_looks_as_is_computed(client: Any) -> None:
    story = Story("poll", [Agent("waits", 3), Agent("completes", 3)], [0], replies=(Reply(),), answer_seconds=86_400)
    player, execution, _ = played(story, client)
    names = entered(execution)
    waiting = names[names.index("StopWaitingAgent") : names.index("NextSegment") + 1]
    assert len(waiting) == wait_transitions(story.stack)
    assert waiting.count("LookForAnswer") == answer_looks(story.stack)
    assert len(player.announced) - 1 == waiting.count("WaitForAnswer") == answer_looks(story.stack) - 1


def history(execution: dict[str, Any], definition: dict[str, Any]) -> int:
    """Count the history that Step Functions would keep of what the interpreter played."""
    took = {"Wait": 2, "Choice": 2, "Pass": 2, "Succeed": 2, "Fail": 2, "Task": 5}
    states = [definition["States"][name] for name in entered(execution)]
    tokens = sum("waitForTaskToken" in state.get("Resource", "") for state in states)
    return sum(took[state["Type"]] for state in states) + tokens
