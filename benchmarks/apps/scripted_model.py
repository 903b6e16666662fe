"""Stands in for `runtime/agent/model.py` in the agent's zip: does what the prompt says, without Strands or a model.

`work 2.5` works for that many seconds, all steps together; `die 2.5` kills its own process after that time. All else
of the agent is the real one.
"""

import asyncio
import os
import signal

from runtime.agent.artifacts import Artifact, Usage
from runtime.agent.workflow import WORKFLOWS, Step


def build_model(model_id: str, region: str) -> None:
    """Return nothing: there is no model."""


def prepare(_model: None) -> None:
    """There is nothing to import."""


async def run_step(_model: None, step: Step, message: str, _journal: object) -> Artifact:
    """Do what the first line of the request says."""
    verb, seconds = message.split("\n\n")[1].split()
    if verb == "die":
        await asyncio.sleep(float(seconds))
        os.kill(os.getpid(), signal.SIGKILL)
    await asyncio.sleep(float(seconds) / len(WORKFLOWS["default"].steps))
    return Artifact(step.name, f"{step.name} is done", Usage())
