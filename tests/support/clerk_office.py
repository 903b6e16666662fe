"""Agents with tools, one after another for the same runs, and what must hold of a step that was taken up again.

`tests/support/clerk_agent.py` is what they are. What must hold of every run is `run_story.py`'s.
"""

import tempfile
from collections.abc import Generator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from runtime.agent.turns import TurnStore, newest_of
from runtime.journal.records import Event
from tests.support.fault_proxy import Call, failed
from tests.support.faulty_cloud import FaultyCloud
from tests.support.http_server import Received, Reply
from tests.support.own_agent import OwnAgent, handled_by
from tests.support.run_story import RunStory
from tests.support.waiting import wait_until

STEP = "analyst"


class Office:
    """Serves runs with one agent at a time.

    :ivar agent: the one that gets what is invoked now
    """

    def __init__(self, faulty: FaultyCloud, desk: Path, agents: ExitStack, variables: Mapping[str, str]) -> None:
        self._faulty = faulty
        self._desk = desk
        self._agents = agents
        self._variables = variables
        self.agent = self.hired()

    def hired(self, **variables: str) -> OwnAgent:
        """Return another agent, which is not served yet."""
        chosen = {"DESK": str(self._desk), **self._variables, **variables}
        agent = OwnAgent(self._faulty, module="tests.support.clerk_agent", **chosen)
        return self._agents.enter_context(agent)

    def serve(self, session_id: str) -> None:
        """Have a run's invocations answered here."""
        self._agents.enter_context(
            self._faulty.agentcore.rule(handled_by(session_id, lambda _, payload: self._answer(session_id, payload)))
        )

    def replace(self, successor: OwnAgent) -> None:
        """Kill the agent; another gets what comes."""
        killed, self.agent = self.agent, successor
        killed.end()

    def mails(self, session_id: str) -> list[str]:
        """Return to whom a run has sent mails."""
        outbox = self._desk / session_id
        return [line.split()[1] for line in outbox.read_text().splitlines()] if outbox.exists() else []

    @contextmanager
    def held_after_a_mail(self, session_id: str) -> Generator[None]:
        """Let the tool wait after a run's mail is sent, for a `with` block."""
        held = (self._desk / session_id).with_suffix(".held")
        held.touch()
        try:
            yield
        finally:
            held.unlink()

    def wait_for_mail(self, session_id: str) -> None:
        """Wait until a run has sent one."""
        wait_until(lambda: self.mails(session_id), f"a mail of {session_id}", 40)

    def _answer(self, session_id: str, payload: bytes) -> Reply:
        try:
            return self.agent.invoke(session_id, payload)
        except OSError:
            # It was killed meanwhile.
            return failed(Call.of(Received("POST", "/", {}, payload)))


@contextmanager
def office(faulty: FaultyCloud, **variables: str) -> Generator[Office]:
    """Open an office, and end its agents.

    :param variables: of all its agents
    """
    with tempfile.TemporaryDirectory(prefix="desk-") as desk, ExitStack() as agents:
        yield Office(faulty, Path(desk), agents, variables)


def turns_of(story: RunStory, after: str = "model answer") -> list[Event]:
    """Return the events of the step's turns, those of the model's answers or those of the tools' results."""
    return [event for event in story.of("TASK_ANALYST_TURN") if str((event.detail or {})["after"]) in after]


def resumed(story: RunStory) -> list[tuple[int | None, int, bool]]:
    """Return the turn from which the step was taken up each time, whose it was, and whether the step had changed."""
    found = [(event, event.detail or {}) for event in story.of("TASK_ANALYST_RESUMED")]
    return [(event.turn, detail["fromAttempt"], detail["definitionChanged"]) for event, detail in found]


def claimed(story: RunStory) -> list[str]:
    """Return what became of each call that must not happen twice."""
    return [(event.detail or {})["claim"] for event in story.of("TASK_ANALYST_TOOL")]


def store_of(faulty: FaultyCloud) -> TurnStore:
    """Return the turns in the bucket, as root."""
    return TurnStore(faulty.cloud.client("s3"), faulty.cloud.output("artifactBucketName"))


def said(faulty: FaultyCloud, session_id: str) -> list[Any]:
    """Return the step's conversation as it is stored, from its first message."""
    store = store_of(faulty)
    key = newest_of(store.keys(session_id), session_id, STEP, None)
    assert key, session_id
    return [(message["role"], message["content"]) for message in store.restored(key).messages]


def check_taken_up(faulty: FaultyCloud, story: RunStory, answers: int) -> None:
    """Check that no stored answer was asked for again, that each loss cost one at most, and that all tokens count.

    :param answers: how many the step's conversation has in the end
    """
    numbers = [event.turn for event in turns_of(story)]
    assert len(numbers) == len(set(numbers)), story
    for taken_up in story.of("TASK_ANALYST_RESUMED"):
        before = [event.turn or 0 for event in turns_of(story) if event.created_at < taken_up.created_at]
        assert (taken_up.turn or 0) >= max(before, default=0), story
    asked = faulty.model.asked(story.session_id)
    assert set(asked) == set(range(1, answers + 1)), asked
    assert len(asked) - answers <= len(story.of("TASK_ANALYST_STARTED")) - 1, (asked, story)
    first = said(faulty, story.session_id)[0]
    assert first[0] == "user", first
    assert story.session_id in str(first[1]), first
    assert (story.ending.detail or {})["tokens"] == tokens(faulty, answers + 1), story


def tokens(faulty: FaultyCloud, answers: int) -> dict[str, int]:
    """Return the tokens of that many answers."""
    given, written = faulty.model.usage
    return {"inputTokens": given * answers, "outputTokens": written * answers}
