"""Results on their way from step to step: as data for code, as text for a model, as an artifact between attempts."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError
from pydantic_core import PydanticSerializationError

from runtime.agent.artifacts import Artifact
from runtime.agent.definition import Step
from runtime.agent.errors import WrongResult
from runtime.contract.request import ClaimedCall

MAX_MESSAGE_CHARACTERS = 400_000
"""Of all results together that a model is told; some 100,000 tokens."""
MIN_SHOWN_CHARACTERS = 1000


@dataclass(frozen=True, slots=True)
class StepResult:
    """What a step has produced: one artifact, or one an item."""

    step: Step
    artifacts: Sequence[Artifact]

    @property
    def value(self) -> Any:
        """The result as data: text, what the step's `result` says, or a list of these."""
        values = [parsed(self.step, artifact) for artifact in self.artifacts]
        return values if self.step.each else values[0]


def extension_of(step: Step) -> str:
    """Return the ending of a step's artifacts."""
    return "md" if step.result is None else "json"


def parsed(step: Step, artifact: Artifact) -> Any:
    """Return an artifact as data.

    :raises WrongResult: if it is from another version of the workflow, whose result was something else
    """
    if step.result is None:
        return artifact.text
    try:
        return step.adapter.validate_json(artifact.text)
    except ValidationError as error:
        raise WrongResult(step.name, wrong_fields(error)) from error


def serialized(step: Step, value: Any) -> str:
    """Return what is stored of what a step's code returned.

    :raises WrongResult: if it is not what the step's `result` says
    """
    if step.result is None:
        if not isinstance(value, str):
            raise WrongResult(step.name, f"a {type(value).__name__} and no text; say what it is with result=")
        return value
    try:
        checked = step.adapter.validate_python(value)
        text = step.adapter.dump_json(checked, indent=2, by_alias=True).decode()
    except ValidationError as error:
        raise WrongResult(step.name, wrong_fields(error)) from error
    except PydanticSerializationError as error:
        raise WrongResult(step.name, f"JSON can't hold it: {error}") from error
    _check_readable(step, text, checked)
    return text


def _check_readable(step: Step, text: str, value: Any) -> None:
    """Refuse what the next step could not read: a secret is stored as asterisks, NaN as null.

    :raises WrongResult: if what was read back is something else
    """
    try:
        same = step.adapter.validate_json(text) == value
    except ValidationError as error:
        raise WrongResult(step.name, f"as it is stored, it can't be read back: {wrong_fields(error)}") from error
    if not same:
        raise WrongResult(step.name, "as it is stored, it is read back as something else")


def wrong_fields(error: ValidationError) -> str:
    """Return what is wrong with data, a field each, without the data."""
    wrong = [f"{'.'.join(map(str, each['loc'])) or 'all of it'}: {each['msg']}" for each in error.errors()]
    return "; ".join(wrong[:5]) + (f"; and {len(wrong) - 5} more" if len(wrong) > 5 else "")


BEGUN_BEFORE = (
    "An earlier run of this request has begun these calls of tools. Nobody knows how they ended: they may have taken "
    "effect. Don't repeat one before you have checked by other means that it is still needed."
)


def message_for(
    prompt: str,
    earlier: Sequence[StepResult],
    item: Any = None,
    place: str = "",
    begun: Sequence[ClaimedCall] = (),
) -> str:
    """Return what an agent is told: the request, what may have happened, what the steps before it wrote, and its item.

    All but the request is cut to :data:`MAX_MESSAGE_CHARACTERS` or so, as much of each.

    :param place: which of the items it is, such as `2 of 7`
    :param begun: calls that earlier runs have begun in this step or item, see :func:`begun_before`
    """
    texts = [*_texts(earlier)]
    if begun:
        calls = "\n".join(f"- {call.tool}: {call.shown}" for call in begun)
        texts.insert(0, ("# What may have happened already", f"{BEGUN_BEFORE}\n\n{calls}"))
    if place:
        own = item if isinstance(item, str) else json.dumps(item, indent=2, ensure_ascii=False)
        texts.append((f"# Your part, {place}", own))
    shown = max(MIN_SHOWN_CHARACTERS, MAX_MESSAGE_CHARACTERS // max(1, len(texts)))
    parts = ["# Request", prompt]
    for heading, text in texts:
        parts += [heading, _cut(text, shown)]
    return "\n\n".join(parts)


def begun_before(claims: Sequence[ClaimedCall], step: str, item: int | None) -> list[ClaimedCall]:
    """Return those calls that a step or an item has to know of: its own, and those counted for all items."""
    return [claim for claim in claims if claim.step == step and claim.item in (None, item)]


def _texts(earlier: Sequence[StepResult]) -> Iterator[tuple[str, str]]:
    for result in earlier:
        for artifact in result.artifacts:
            about = "" if artifact.item is None else f" about part {artifact.item + 1} of {len(result.artifacts)}"
            yield f"# What the {artifact.step} wrote{about}", artifact.text


def _cut(text: str, characters: int) -> str:
    if len(text) <= characters:
        return text
    return f"{text[:characters]}\n\n[Cut here: these are the first {characters} of {len(text)} characters.]"
