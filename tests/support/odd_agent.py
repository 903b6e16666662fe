"""The real agent with a workflow of its own, whose tools raise what Python keeps for itself. Tests run it.

OwnAgent(faulty, module="tests.support.odd_agent")
"""

import runpy
from typing import NoReturn

from strands import tool

from runtime.agent import workflow
from runtime.agent.workflow import Step


@tool
def run_dry() -> NoReturn:
    """Raise what a thread can't hand on."""
    raise StopIteration("nothing is left")


@tool
def interrupt() -> NoReturn:
    """Raise what ends an event loop, in a thread."""
    raise KeyboardInterrupt("enough")


@tool
async def interrupt_at_once() -> NoReturn:
    """Raise what ends an event loop, on it."""
    raise KeyboardInterrupt("enough")


if __name__ == "__main__":
    analyst, *others = workflow.WORKFLOWS["default"].steps
    odd = Step(analyst.name, analyst.prompt_file, (run_dry, interrupt, interrupt_at_once))
    workflow.WORKFLOWS["default"] = workflow.Workflow("default", (odd, *others))
    runpy.run_module("runtime.agent.main", run_name="__main__")
