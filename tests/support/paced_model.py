"""A model whose pace a test sets: each answer takes a while, and chosen ones wait until the test lets them go.

Tells apart runs by their prompts and steps by their system prompts, so that runs can be at work at the same time.
"""

import json
import threading
from collections.abc import Generator
from contextlib import contextmanager

from runtime.agent.workflow import WORKFLOWS
from tests.support.fake_model import COMPLETIONS_PATH, Conversation, FakeModel
from tests.support.http_server import Received, Reply
from tests.support.waiting import wait_until

MAX_HELD_SECONDS = 60.0


class Hold:
    """Calls of the model that wait.

    :ivar texts: those whose last message has all of these in it
    """

    def __init__(self, *texts: str) -> None:
        self.texts = texts
        self.calls = 0
        self.released = threading.Event()

    def wait_for_call(self, number: int = 1, seconds: float = 40) -> None:
        """Return once the model has been called that often."""
        wait_until(lambda: self.calls >= number, f"call {number} of the model about {self.texts}", seconds)

    def release(self) -> None:
        """Let all of them have their answer, and those that are yet to come."""
        self.released.set()


class PacedModel(FakeModel):
    """A model that answers every call with a few words.

    :param seconds: how long that takes
    """

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self._default = self._completion({"content": "A few words."}, "stop", seconds)
        self._holds: list[Hold] = []
        self._replies: dict[str, Reply] = {}
        self._tool_calls: dict[str, Reply] = {}

    def reply_with(self, answer: str, *, to: str) -> None:
        """Answer every call with the text `to` like this."""
        self._replies[to] = self._completion({"content": answer}, "stop")

    def call_tool(self, name: str, *, to: str) -> None:
        """Ask for a tool, without arguments, the first time that it is told the text `to`."""
        function = {"name": name, "arguments": "{}"}
        call = {"id": f"call_{name}", "type": "function", "function": function}
        self._tool_calls[to] = self._completion({"content": None, "tool_calls": [call]}, "tool_calls")

    @contextmanager
    def held(self, *texts: str) -> Generator[Hold]:
        """Let every call with these texts wait until the hold is released, or the block left."""
        hold = Hold(*texts)
        self._holds.append(hold)
        try:
            yield hold
        finally:
            hold.release()
            self._holds.remove(hold)

    def steps_of(self, prompt: str) -> list[str]:
        """Return the steps for which the model was called about a prompt, in order."""
        names = {step.system_prompt: step.name for step in WORKFLOWS["default"].steps}
        talks = [talk for talk in self.conversations if prompt in talk.last_message]
        return [names[talk.system_prompt] for talk in talks]

    def answer(self, request: Received) -> Reply:
        """Return the answer, once nothing holds it back."""
        if request.path == COMPLETIONS_PATH:
            said = Conversation(json.loads(request.body)["messages"]).last_message
            for hold in [hold for hold in self._holds if all(text in said for text in hold.texts)]:
                hold.calls += 1
                hold.released.wait(MAX_HELD_SECONDS)
            for text in [text for text in self._tool_calls if text in said]:
                return self._tool_calls.pop(text)
            for text, reply in self._replies.items():
                if text in said:
                    return reply
        return super().answer(request)
