"""What a run's steps have produced, as people read it: Markdown as it is, data as a list of its fields."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Self, cast

from runbook.plain_text import visible

MAX_LEVELS = 10
"""What is nested more deeply is shown as JSON: no terminal has room for it."""


class Artifact(str):
    """An artifact's text as it is stored; in a notebook it shows itself as Markdown.

    :ivar key: in the artifact bucket; its ending says what the text is, `md` or `json`
    """

    key: str

    def __new__(cls, text: str, key: str = "") -> Self:
        """Return the text with its key."""
        made = super().__new__(cls, text)
        made.key = key
        return made

    @property
    def data(self) -> Any:
        """What it holds: a step's result for JSON, otherwise the text."""
        if self.key.endswith(".json"):
            try:
                return json.loads(self)
            except (ValueError, RecursionError):
                pass
        return str(self)

    @property
    def markdown(self) -> str:
        """The artifact for people, as Markdown."""
        data = self.data
        return visible(data if isinstance(data, str) else "\n".join(_lines(data, MAX_LEVELS)))

    def _repr_markdown_(self) -> str:
        return self.markdown


def _lines(data: Any, levels: int) -> Iterator[str]:
    """Give data as a list in Markdown; fields have their names in bold."""
    if isinstance(data, Mapping):
        named = [(f"**{name}:** ", value) for name, value in cast("Mapping[str, Any]", data).items()]
    elif isinstance(data, Sequence) and not isinstance(data, str):
        named = [("", value) for value in cast("Sequence[Any]", data)]
    else:
        yield data if isinstance(data, str) else json.dumps(data)
        return
    for name, value in named:
        inner = [*_lines(value, levels - 1)] if levels else [f"`{json.dumps(value, ensure_ascii=False)}`"]
        first, *others = "\n".join(inner).split("\n")
        if isinstance(value, Mapping | list) and name:
            first, others = "", [first, *others]
        yield "\n".join([f"- {name}{first}".rstrip(), *(f"  {line}".rstrip() for line in others)])
    if not named:
        yield "none"
