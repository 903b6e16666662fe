"""A model whose pace a test sets: each answer takes a while, and chosen ones wait until the test lets them go.

Tells apart runs by their prompts, steps by their system prompts and items by their places, so that all of them can be
at work at the same time. Which calls are meant, a test says with regular expressions.
"""

import json
import re
import threading
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeAlias

from runtime.agent.workflow import WORKFLOWS
from tests.support.fake_model import COMPLETIONS_PATH, Conversation, FakeModel
from tests.support.http_server import Received, Reply
from tests.support.waiting import wait_until

MAX_HELD_SECONDS = 60.0
LEADS = 7
"""What the planner of the workflow `investigate` lists."""
Answer: TypeAlias = "str | Sequence[tuple[str, Mapping[str, Any]]]"
"""Words, or the tools to call and what each is given."""
_PLACE = re.compile(r"# Your part, (\d+ of \d+)")


class Hold:
    """Calls of the model that wait.

    :ivar patterns: those whose last message matches all of these
    """

    def __init__(self, *patterns: str) -> None:
        self.patterns = patterns
        self.calls = 0
        self.released = threading.Event()

    def wait_for_call(self, number: int = 1, seconds: float = 40) -> None:
        """Return once the model has been called that often."""
        wait_until(lambda: self.calls >= number, f"call {number} of the model about {self.patterns}", seconds)

    def release(self) -> None:
        """Let all of them have their answer, and those that are yet to come."""
        self.released.set()


class PacedModel(FakeModel):
    """A model that answers every call with a few words, and a planner with a list.

    :param seconds: how long that takes
    :param leads: how many things the planner lists
    """

    def __init__(self, seconds: float, leads: int = LEADS) -> None:
        super().__init__()
        self._seconds = seconds
        self._default = self._completion({"content": "A few words."}, "stop", seconds)
        self._scripts: dict[str, Sequence[Answer]] = {}
        self._holds: list[Hold] = []
        self._replies: dict[str, Reply] = {}
        self._once: dict[str, Reply] = {}
        planned = [{"question": f"What about lead {number}?", "why": "It decides."} for number in range(1, leads + 1)]
        self._plan = self._tool_call("planner", {"items": planned}, seconds)

    def reply_with(self, answer: str, *, to: str) -> None:
        """Answer every call that matches `to` like this."""
        self._replies[to] = self._completion({"content": answer}, "stop")

    def fail(self, *, to: str) -> None:
        """Answer the first call that matches `to` with an error."""
        self._once[to] = Reply(500, b"scripted failure")

    def call_tool(self, name: str, *, to: str) -> None:
        """Ask for a tool, without arguments, at the first call that matches `to`."""
        self._once[to] = self._tool_call(name, {})

    def play(self, *answers: Answer, to: str) -> None:
        """Answer a conversation that has tools, and whose first message has `to`, by how many answers it has so far."""
        self._scripts[to] = answers

    def asked(self, to: str) -> list[int]:
        """Return the number of each answer, from 1, that such a conversation was asked for, in order."""
        bodies = [json.loads(request.body) for request in list(self.requests) if request.path == COMPLETIONS_PATH]
        talks = [Conversation(body["messages"]) for body in bodies if body.get("tools")]
        return [talk.answers + 1 for talk in talks if to in talk.first_message]

    @contextmanager
    def held(self, *patterns: str) -> Generator[Hold]:
        """Let every call that matches all of these wait until the hold is released, or the block left."""
        hold = Hold(*patterns)
        self._holds.append(hold)
        try:
            yield hold
        finally:
            hold.release()
            self._holds.remove(hold)

    def steps_of(self, prompt: str) -> list[str]:
        """Return the steps for which the model was called about a prompt, in order; items with their places."""
        talks = [talk for talk in self.conversations if prompt in talk.last_message]
        return [_step_of(talk) for talk in talks]

    def answer(self, request: Received) -> Reply:
        """Return the answer, once nothing holds it back."""
        if request.path == COMPLETIONS_PATH:
            body = json.loads(request.body)
            talk = Conversation(body["messages"])
            said = talk.last_message
            for hold in [hold for hold in self._holds if all(re.search(each, said) for each in hold.patterns)]:
                hold.calls += 1
                hold.released.wait(MAX_HELD_SECONDS)
            for pattern in [pattern for pattern in self._once if re.search(pattern, said)]:
                return self._once.pop(pattern)
            for pattern, reply in self._replies.items():
                if re.search(pattern, said):
                    return reply
            if body.get("tools") and (script := self._script_of(talk)):
                return self._played(script[talk.answers], talk.answers + 1)
            if "planner" in [tool["function"]["name"] for tool in body.get("tools", [])]:
                return self._plan
        return super().answer(request)

    def _script_of(self, talk: Conversation) -> Sequence[Answer] | None:
        return next((script for to, script in self._scripts.items() if to in talk.first_message), None)

    def _played(self, answer: Answer, number: int) -> Reply:
        if isinstance(answer, str):
            return self._completion({"content": answer}, "stop", self._seconds)
        # The same each time: what is said can be compared with what was said elsewhere.
        return self._tool_calls({f"call-{number}-{place}": each for place, each in enumerate(answer)}, self._seconds)


def _step_of(talk: Conversation) -> str:
    names = {
        step.system_prompt: step.name for workflow in WORKFLOWS.values() for step in workflow.steps if step.prompt_file
    }
    place = _PLACE.search(talk.last_message)
    return names[talk.system_prompt] + (f" ({place[1]})" if place else "")
