"""Our agent with a workflow of one step, whose tool blocks on I/O and then burns processor time, in pure Python."""

import runpy
import time

from strands import tool

from runtime.agent.workflow import WORKFLOWS, Step, Workflow

BLOCKED_SECONDS = 0.3
BURST_SECONDS = 1.5


@tool
def investigate() -> str:
    """Look into it."""
    time.sleep(BLOCKED_SECONDS)
    until = time.monotonic() + BURST_SECONDS
    steps = 0
    while time.monotonic() < until:
        steps += sum(range(1000)) % 7
    return f"done in {steps} steps"


WORKFLOWS["default"] = Workflow("default", (Step("analyst", "analyst.md", tools=(investigate,)),))

if __name__ == "__main__":
    runpy.run_module("runtime.agent.main", run_name="__main__")
