"""The real agent with a first step that has tools, and what they do outlives its process. Tests run it.

OwnAgent(faulty, module="tests.support.clerk_agent", DESK="a directory", PROMPT_FILE="the step's prompt")
"""

import os
import runpy
import time
from pathlib import Path
from typing import Any

from runtime.agent import workflow
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


if __name__ == "__main__":
    analyst, *others = workflow.WORKFLOWS["default"].steps
    tools = (look_up, picture, send_mail, progress)
    clerk = Step(analyst.name, os.environ.get("PROMPT_FILE", "analyst.md"), tools, once=("send_mail",))
    workflow.WORKFLOWS["default"] = workflow.Workflow("default", (clerk, *others))
    runpy.run_module("runtime.agent.main", run_name="__main__")
