"""What a prompt tells canned replies to do, so that there are slow and failing runs to look at without a model.

`[analyst takes 3 s]`, `[reporter fails]` and `[librarian calls post_notice]` hold for the step of that name, as its
system prompt calls it.
"""

import re
from dataclasses import dataclass

MAX_SECONDS = 900.0
_DIRECTION = re.compile(
    r"\[(?P<step>[a-z][a-z0-9_]*) (?:takes (?P<seconds>\d{1,3}(?:\.\d)?) s|calls (?P<tool>\w+)|fails)\]"
)
_STEP = re.compile(r"\bYou are the (?P<step>[a-z][a-z0-9_]*)\b")


@dataclass(frozen=True)
class Directions:
    """How one reply is to be given.

    :ivar failure: the direction to fail, empty if there is none
    :ivar tool: the tool to call before anything else, empty if there is none
    """

    seconds: float = 0.0
    failure: str = ""
    tool: str = ""


def directions(body: bytes) -> Directions:
    """Return what a request to a model, with its system prompt, directs."""
    text = body.decode("utf-8", "replace")
    step = _STEP.search(text)
    found = [given for given in _DIRECTION.finditer(text) if step and given["step"] == step["step"]]
    seconds = max((float(given["seconds"]) for given in found if given["seconds"]), default=0.0)
    failure = next((given[0] for given in found if not (given["seconds"] or given["tool"])), "")
    tool = next((given["tool"] for given in found if given["tool"]), "")
    return Directions(min(seconds, MAX_SECONDS), failure, tool)
