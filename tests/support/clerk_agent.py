"""The real agent with steps that have tools, and what they do outlives its process. Tests run it.

OwnAgent(faulty, module="tests.support.clerk_agent", DESK="a directory", PROMPT_FILE="the step's prompt",
         APPROVE="the tool that a person has to approve")
"""

import os
import runpy
import time
from pathlib import Path
from typing import Any

from runtime.agent import workflow
from runtime.agent.asking import ask
from runtime.agent.definition import StepInput
from runtime.agent.progress import progress
from runtime.agent.tool_call import tool_call
from runtime.agent.workflow import Step

PICTURE = b"\x89PNG a picture"
HELD_SECONDS = 60


def look_up(what: str) -> str:
    """Look something up."""
    return f"{what} is 42"


def picture() -> dict[str, Any]:
    """Take a picture."""
    return {"status": "success", "content": [{"image": {"format": "png", "source": {"bytes": PICTURE}}}]}


def send_mail(to: str) -> str:
    """Send a mail: a line in the run's file. Afterwards, wait while there is a file that says so."""
    key = tool_call().idempotency_key
    outbox = Path(os.environ["DESK"], key.partition("/")[0])
    with outbox.open("a", encoding="utf-8") as file:
        file.write(f"{key} {to}\n")
    held, give_up = outbox.with_suffix(".held"), time.monotonic() + HELD_SECONDS
    while held.exists() and time.monotonic() < give_up:
        time.sleep(0.02)
    return f"sent to {to}"


async def three_parts(given: StepInput) -> list[str]:
    """Divide the work."""
    return [f"{given.request.prompt}-{number}" for number in (1, 2, 3)]


if __name__ == "__main__":
    analyst, *others = workflow.WORKFLOWS["default"].steps
    approve = tuple(filter(None, [os.environ.get("APPROVE")]))
    tools = (look_up, picture, send_mail, progress, ask)
    prompt = os.environ.get("PROMPT_FILE", "analyst.md")
    clerk = Step(analyst.name, prompt, tools, once=("send_mail",), approve=approve)
    workflow.WORKFLOWS["default"] = workflow.Workflow("default", (clerk, *others))
    planner, investigator, summary = workflow.WORKFLOWS["investigate"].steps
    divided = Step(planner.name, work=three_parts, result=list[str])
    clerks = Step(investigator.name, prompt, tools, each=planner.name, once=("send_mail",), approve=approve)
    workflow.WORKFLOWS["investigate"] = workflow.Workflow("investigate", (divided, clerks, summary))
    runpy.run_module("runtime.agent.main", run_name="__main__")
