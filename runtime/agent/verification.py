"""The workflow `verify`: plain code that does what its request says, so that a stack can be tried without a model.

The first word of the prompt says what: `hold 30` works for 30 seconds unless it is cancelled, anything else finishes at
once. `runbook verify` sends these and reads the journal; nothing here knows what it checks.
"""

import asyncio
import platform
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from runtime.agent.definition import StepInput

MAX_SECONDS = 120.0
_PACKAGES = ("boto3", "bedrock-agentcore", "strands-agents", "aws-opentelemetry-distro")


async def beside(_given: "StepInput") -> str:
    """Be at work at the same time as :func:`prepare`, so that the events of both meet."""
    return "beside"


async def prepare(_given: "StepInput") -> str:
    """Return the versions in the environment, one per line."""
    lines = [f"python {platform.python_version()} {platform.machine()}"]
    return "\n".join([*lines, *(f"{package} {_version(package)}" for package in _PACKAGES)])


async def work(given: "StepInput") -> str:
    """Take as long as the prompt asks, and return the prompt as it arrived."""
    await asyncio.sleep(seconds_of(given.request.prompt))
    return given.request.prompt


def seconds_of(prompt: str) -> float:
    """Return how many seconds a prompt asks for: 30 for `hold 30`, at most two minutes; otherwise none."""
    verb, _, rest = prompt.partition(" ")
    if verb != "hold":
        return 0.0
    return min(float(rest), MAX_SECONDS)


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "is not installed"
