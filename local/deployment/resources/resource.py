"""What a resource function gets and returns: inputs that must all be used, and the created resource.

Owns the rule that nothing is silently dropped: an unused input is refused by name. It knows no AWS service.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from local.emulator.process import Emulator


class Refused(Exception):
    """The program asks for something that is not emulated, or that AWS would refuse."""


class Created(NamedTuple):
    """A resource in the emulator.

    :ivar id: the id that Pulumi keeps.
    :ivar outputs: properties besides the inputs, in Pulumi's camelCase.
    """

    id: str
    outputs: dict[str, Any]


class Inputs:
    """Inputs of a resource, or of a block inside it, in Pulumi's camelCase; an unused one is refused.

    :param values: numbers are floats, as Pulumi's mocks give them.
    """

    def __init__(self, values: Mapping[str, Any], path: str = "") -> None:
        self._values = {name: _whole_numbers(value) for name, value in values.items() if value is not None}
        self._taken: set[str] = set()
        self._blocks: list[Inputs] = []
        self._path = path

    def take(self, name: str, default: Any = None) -> Any:
        """Return the value of an input, or `default` if the program sets none."""
        self._taken.add(name)
        return self._values.get(name, default)

    def require(self, name: str) -> Any:
        """Return the value of an input without which AWS would refuse the resource.

        :raises Refused: if the program doesn't set it.
        """
        if name not in self._values:
            raise Refused(f"the input {self._path}{name} is missing")
        return self.take(name)

    def some(self, *names: str) -> dict[str, Any]:
        """Return those of the named inputs that the program sets."""
        return {name: value for name in names if (value := self.take(name)) is not None}

    def block(self, name: str) -> Inputs:
        """Return a nested block, empty if the program sets none. A list of one counts as its member."""
        blocks = self.blocks(name)
        if len(blocks) > 1:
            raise Refused(f"the input {self._path}{name} may have one member, not {len(blocks)}")
        return blocks[0] if blocks else Inputs({})

    def blocks(self, name: str) -> list[Inputs]:
        """Return the members of a list of blocks."""
        value = self.take(name, [])
        members = value if isinstance(value, list) else [value]
        blocks = [Inputs(member, f"{self._path}{name}.") for member in members]
        self._blocks += blocks
        return blocks

    def ignore(self, name: str, *, reason: str) -> None:  # noqa: ARG002 - the reason is for the reader
        """Mark an input as used that has no effect in the emulator."""
        self._taken.add(name)

    def unused(self) -> list[str]:
        """Return the names of unused inputs, with their path through the blocks."""
        own = [f"{self._path}{name}" for name in self._values if name not in self._taken]
        return own + [name for block in self._blocks for name in block.unused()]

    def __bool__(self) -> bool:
        return bool(self._values)


@dataclass(frozen=True)
class Resource:
    """A resource that the program registers.

    :ivar auto_name: its name if the program sets none.
    """

    auto_name: str
    inputs: Inputs
    emulator: Emulator = field(repr=False)

    def physical_name(self, key: str = "name") -> str:
        """Return the name that the program sets, or the automatic one."""
        return str(self.inputs.take(key, self.auto_name))


def pascal(value: Any) -> Any:
    """Rename keys from Pulumi's camelCase to the PascalCase of most AWS APIs, recursively."""
    if isinstance(value, dict):
        return {key[:1].upper() + key[1:]: pascal(member) for key, member in value.items()}
    if isinstance(value, list):
        return [pascal(member) for member in value]
    return value


def tag_list(tags: Mapping[str, str] | None) -> list[Any]:
    """Return tags as a list of Key and Value, as most services take them."""
    return [{"Key": key, "Value": value} for key, value in (tags or {}).items()]


def _whole_numbers(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _whole_numbers(member) for key, member in value.items()}
    if isinstance(value, list):
        return [_whole_numbers(member) for member in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value
