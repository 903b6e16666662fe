"""The machine's loop against everything around it at its worst: its definition played, with the real invoker and the
real journal, in virtual time (see `tests/support/state_machine.py` for the interpreter)."""

import json
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
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
from components.workflow_budget import WorkflowSettings
from components.workflow_definition import build_definition
from runtime.agent.run_clock import RunClock, beginning
from runtime.invoker.invocation import Invoker, Limits
from runtime.journal.errors import JournalError
from runtime.journal.reader import JournalReader
from runtime.journal.timestamps import from_timestamp, to_timestamp
from runtime.journal.vocabulary import TERMINAL, Status
from runtime.journal.writer import JournalWriter, Standing
from tests.support.faulty_dynamodb import client_error
from tests.support.journal_table import create_journal_table
from tests.support.state_machine import START, World, entered, failure, play

SESSION = "6a7e8feb-b491-4cf7-a9f1-bf3703467718"
TABLE = "journal"
LEASE_SECONDS, MAX_RUN_SECONDS, MAX_ATTEMPTS = 20, 120, 3
LIMIT_SECONDS = 3600
SKEWS = st.sampled_from([0, 0, 0, 0.2, -0.2, 30, -30, 300, -300, 600, -600])
HEALTHY = ("completes", "fails", "goes on")
# Its lease, the longest poll, and conflicts that are tried again.
NOTICED_SECONDS = LEASE_SECONDS + 10 + 30


@dataclass(frozen=True)
class Agent:
    """What becomes of one invocation.

    :ivar does: what the agent does after `seconds`; until then it writes heartbeats
    :ivar skew: of its machine's clock
    :ivar answers: whether the invoker gets its acknowledgement
    :ivar begins: seconds until it claims the attempt
    """

    does: str
    seconds: float
    skew: float = 0
    answers: bool = True
    begins: float = 0.02


@dataclass(frozen=True)
class Story:
    """What happens around one execution."""

    completion: str
    agents: list[Agent]
    invoker_skews: list[float]
    cancel: tuple[float, float] | None = None
    noise: list[tuple[float, float]] = field(default_factory=list[tuple[float, float]])
    conflicts: int = 0


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


@dataclass
class Played:
    """One execution, and the world around it."""

    story: Story
    client: Any
    world: World = field(default_factory=lambda: World(LIMIT_SECONDS))
    invocations: int = 0
    died_at: list[float] = field(default_factory=list[float])
    called_at: list[float] = field(default_factory=list[float])
    acknowledged_at: float = float("inf")
    woken: bool = False
    clocks: dict[int, RunClock] = field(default_factory=dict[int, RunClock])

    def __post_init__(self) -> None:
        self._random = random.Random(self.story.conflicts)
        self.announced: list[Any] = []

    def clock(self, skew: float) -> Callable[[], datetime]:
        return lambda: self.world.now() + timedelta(seconds=skew)

    def writer(self, skew: float) -> JournalWriter:
        return JournalWriter(self.client, TABLE, ttl_days=30, now=self.clock(skew))

    # what the machine calls

    def transact(self, arguments: dict[str, Any]) -> Any:
        try:
            self._conflict()
            return self.client.transact_write_items(**arguments)
        except ClientError as error:
            raise failure("DynamoDb.TransactionCanceledException", str(error)) from error

    def _conflict(self) -> None:
        """Cancel a transaction as AWS does with two that touch one item at the same time."""
        if self.story.conflicts and self._random.random() < 0.1:
            raise client_error("TransactionConflict", 400)

    def query(self, arguments: dict[str, Any]) -> Any:
        return self.client.query(**arguments)

    def announce(self, arguments: dict[str, Any]) -> Any:
        self.announced.append(arguments)
        return {}

    def function(self, arguments: dict[str, Any]) -> Any:
        payload = arguments["Payload"]
        if payload["operation"] == "stop":
            return {"Payload": {"stopped": True}}
        number, self.invocations = self.invocations, self.invocations + 1
        self.called_at.append(self.world.seconds)
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
        body = json.dumps({"accepted": {"now": to_timestamp(self.clocks[attempt].now())}}).encode()
        return {"response": BytesIO(body)}

    # the others

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
        stack = Settings.defaults(
            poll_interval_seconds=5,
            callback_poll_seconds=10,
            max_run_seconds=MAX_RUN_SECONDS,
            lease_seconds=LEASE_SECONDS,
            max_attempts=MAX_ATTEMPTS,
            invoke_retry_seconds=30,
            completion=self.story.completion,
        )
        settings = WorkflowSettings(stack, "invoker", TABLE, "default")
        if self.story.cancel:
            at, skew = self.story.cancel
            self.world.at(at, lambda: self.cancel(skew))
        for at, skew in self.story.noise:
            self.world.at(at, lambda skew=skew: self.write_noise(skew))
        sdk = "arn:aws:states:::aws-sdk:dynamodb:"
        calls = {
            f"{sdk}transactWriteItems": self.transact,
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
        now = self.played.world.seconds
        end = self.agent.seconds
        if self.agent.does == "releases unclaimed":
            at(now + min(end, 2), self.release)
            return
        at(now + self.agent.begins, self.claim)
        if self.agent.does == "goes on" or end > self.job["secondsLeft"]:
            end = self.job["secondsLeft"]
        if self.agent.does == "ignores its deadline":
            end = 3 * MAX_RUN_SECONDS
        for beat in range(1, int(end / (LEASE_SECONDS / 4)) + 1):
            if beat * LEASE_SECONDS / 4 > self.agent.begins:
                at(now + beat * LEASE_SECONDS / 4, self.beat)
        ends = {"dies": self.die, "releases": self.release}
        at(now + max(end, self.agent.begins + 0.01), ends.get(self.agent.does, self.close))

    def stamp(self, status: Status, **fields: Any) -> Any:
        attempt = {"attempt": self.job["attempt"], "environment_id": f"environment-{self.played.invocations}"}
        fields = {"lease_seconds": LEASE_SECONDS} | fields
        return self.journal.stamp(SESSION, status, at=self.clock.now(), **attempt, **fields)

    def claim(self) -> None:
        event = self.stamp(Status.AGENT_BACKGROUND_TASK_STARTED)
        self._write(lambda: self.journal.claim_attempt(event, Standing(self.job["attempt"], MAX_ATTEMPTS)))

    def beat(self) -> None:
        event = self.stamp(Status.AGENT_BACKGROUND_TASK_HEARTBEAT)
        self._write(lambda: self.journal.append_as_attempt([event], Standing(self.job["attempt"], MAX_ATTEMPTS)))

    def close(self) -> None:
        status = Status.AGENT_BACKGROUND_TASK_COMPLETED
        if self.agent.does != "completes":
            status = Status.AGENT_BACKGROUND_TASK_FAILED
        event = self.stamp(status)
        self._write(lambda: self.journal.close(event, Standing(self.job["attempt"], MAX_ATTEMPTS)))
        self.played.woken = True
        self.over = True

    def release(self) -> None:
        unclaimed = {"unclaimed": True} if "unclaimed" in self.agent.does else {}
        event = self.stamp(
            Status.AGENT_BACKGROUND_TASK_HEARTBEAT, lease_seconds=0, detail={"released": "it has to go"} | unclaimed
        )
        self._write(lambda: self.journal.append_as_attempt([event], Standing(self.job["attempt"], MAX_ATTEMPTS)))
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


def played(story: Story, client: Any) -> tuple[Played, dict[str, Any], list[Any]]:
    create_journal_table(client, TABLE)
    try:
        player = Played(story, client)
        execution = player.play()
        return player, execution, list(JournalReader(client, TABLE).events(SESSION))
    finally:
        client.delete_table(TableName=TABLE)


def check(story: Story, client: Any) -> None:
    player, execution, events = played(story, client)
    ends = [event.status for event in events if event.status in TERMINAL]
    assert len(ends) == 1, execution
    completed = ends == [Status.AGENT_BACKGROUND_TASK_COMPLETED]
    assert execution["status"] == ("SUCCEEDED" if completed else "FAILED")
    assert entered(execution)[-4:-1] == ["ReleaseSession", "PublishFinished", "Ended"]
    [announced] = player.announced
    assert announced["Entries"][0]["Detail"]["outcome"] == ends[0]
    # Whatever the clocks say: an agent that lives is never taken for lost, one that is lost is soon noticed,
    # and what ignores its deadline is ended.
    lost_at = [
        (event.created_at - START).total_seconds()
        for event in events
        if event.status == Status.AGENT_BACKGROUND_TASK_LOST
    ]
    assert len(lost_at) <= len(player.died_at)
    reactions = [*lost_at, *player.called_at, player.world.seconds]
    for died_at in player.died_at:
        assert any(died_at <= at <= died_at + NOTICED_SECONDS for at in reactions)
    assert player.world.seconds < player.acknowledged_at + MAX_RUN_SECONDS + LEASE_SECONDS + NOTICED_SECONDS
    # No loop without a wait in it: a look takes nine or thirteen events and seconds go by.
    assert len(entered(execution)) < 60 + 3 * player.world.seconds


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
    "examples", [pytest.param(30, id="some"), pytest.param(400, id="many", marks=[pytest.mark.soak])]
)
def test_every_interleaving_ends_in_exactly_one_outcome(examples: int, client: Any) -> None:
    @settings(
        max_examples=examples,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.explicit, Phase.generate, Phase.shrink],
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
    )
    @given(story=STORIES)
    def play_one(story: Story) -> None:
        check(story, client)

    play_one()
