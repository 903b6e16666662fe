"""What a run's steps have produced, as people read it: Markdown as it is, data as a list of its fields."""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Self, cast

from runbook.markdown import Markdown
from runbook.plain_text import visible

MAX_LEVELS = 10
"""What is nested more deeply is shown as JSON: no terminal has room for it."""


class Artifact(str):
    """An artifact's text as it is stored; in a notebook it shows itself rendered.

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
        try:
            return visible(data if isinstance(data, str) else "\n".join(_lines(data, MAX_LEVELS)))
        except RecursionError:
            # Not as deep as Python can read, but deeper than it can write from here.
            return visible(self)

    def _repr_html_(self) -> str:
        # Not as Markdown: JupyterLab would fetch its images, from wherever a model wants.
        return Markdown(self.markdown)._repr_html_()  # pyrefly: ignore[protected-access]


def _lines(data: Any, levels: int) -> Iterator[str]:
    """Give data as a list in Markdown: fields by their names, what is not a plain value by its place, from 0."""
    if isinstance(data, Mapping):
        entries = [(f"**{name}:**", value) for name, value in cast("Mapping[str, Any]", data).items()]
    elif isinstance(data, list):
        values = cast("list[Any]", data)
        entries = [(f"**[{place}]**" * _is_nested(value), value) for place, value in enumerate(values)]
    else:
        yield data if isinstance(data, str) else json.dumps(data)
        return
    for name, value in entries:
        inner = _lines(value, levels - 1) if levels else iter([f"`{json.dumps(value, ensure_ascii=False)}`"])
        lines = "\n".join(inner).split("\n")
        first, others = (name, lines) if _is_nested(value) else (f"{name} {lines[0]}".lstrip(), lines[1:])
        yield "\n".join([f"- {first}", *(f"  {line}".rstrip() for line in others)])
    if not entries:
        yield "none"


def _is_nested(value: Any) -> bool:
    return isinstance(value, (Mapping, list))
