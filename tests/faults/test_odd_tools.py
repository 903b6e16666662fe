"""Tools that raise what Python keeps for leaving loops and processes: the model is told, and the run goes on."""

from contextlib import ExitStack
from functools import partial
from typing import Any

import pytest

from runtime.journal.vocabulary import Status
from tests.support.faulty_cloud import FaultyCloud
from tests.support.http_server import Reply
from tests.support.own_agent import OwnAgent, handled_by

TOLD = {
    "run_dry": "raised StopIteration('nothing is left')",
    "interrupt": "raised KeyboardInterrupt('enough')",
    "interrupt_at_once": "tool interrupt_at_once raised KeyboardInterrupt('enough')",
}


# The agent's doing alone: how its end is noticed doesn't matter.
@pytest.mark.parametrize("faulty", ["poll"], indirect=True)
def test_whatever_a_tool_raises_the_model_is_told_and_the_run_completes(faulty: FaultyCloud) -> None:
    tools = {faulty.new_session_id(): tool for tool in TOLD}
    before = len(faulty.model.conversations)
    with OwnAgent(faulty, module="tests.support.odd_agent") as agent, ExitStack() as rules:
        for session_id, tool in tools.items():
            faulty.model.call_tool(tool, to=session_id)
            rules.enter_context(faulty.agentcore.rule(handled_by(session_id, partial(_invoke, agent, session_id))))
            faulty.start(session_id)
        for story in faulty.stories(tools, 60):
            story.check_completed()
            assert not story.of(Status.AGENT_BACKGROUND_TASK_LOST), story
        assert agent.ping() == "Healthy"
    said = [talk.last_message for talk in faulty.model.conversations[before:]]
    for told in TOLD.values():
        assert [text for text in said if told in text], told


def _invoke(agent: OwnAgent, session_id: str, _job: Any, payload: bytes) -> Reply:
    return agent.invoke(session_id, payload)
