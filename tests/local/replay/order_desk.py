"""The workflow of the recorded runs: an agent with tools looks an order up, and plain code adds up what it costs."""

from pathlib import Path
from typing import Any

from runtime.agent.definition import Step, StepInput, Workflow

PROMPTS = Path(__file__).parent / "prompts"


def look_up(order: str) -> str:
    """Look an order up.

    Args:
        order: its number
    """
    raise ConnectionError(f"order {order}: the warehouse does not answer")


async def send_mail(to: str) -> str:
    """Send a mail.

    Args:
        to: the receiver
    """
    raise AssertionError(f"a mail was sent to {to}")


async def total(given: StepInput) -> int:
    """Add up."""
    return sum(map(int, str(given.results["clerk"]).split()))


def order_desk(**changes: Any) -> Workflow:
    """Return the workflow; `changes` are those of the clerk, `code` is the last step's."""
    code = changes.pop("code", total)
    clerk: dict[str, Any] = {"tools": (look_up, send_mail), "once": ("send_mail",)} | changes
    return Workflow("order_desk", (Step("clerk", "clerk.md", **clerk), Step("total", work=code, result=int)))
