"""What a canned reply gives a tool that has to be called: as little as the tool's schema allows, in words that say so.

Knows the part of JSON Schema that pydantic writes. A text that must match a pattern can't be made up: the agent refuses
it then as it would refuse a model's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

ITEMS = 2
DEEPEST = 6
"""From here on lists are as short as they may be: a type can contain itself."""
Schema = Mapping[str, Any]


def canned_input(schema: Schema) -> dict[str, Any]:
    """Return an object that a schema allows, with what it requires and nothing else."""
    made = _Maker(schema.get("$defs", {})).value(schema, "input", 0)
    return made if isinstance(made, dict) else {}


@dataclass(frozen=True, slots=True)
class _Maker:
    definitions: Mapping[str, Schema]

    def value(self, schema: Schema, name: str, depth: int, number: str = "") -> Any:
        if "$ref" in schema:
            schema = self.definitions[str(schema["$ref"]).rpartition("/")[2]]
        if "const" in schema:
            return schema["const"]
        if "enum" in schema:
            return schema["enum"][0]
        for options in (schema[kind] for kind in ("anyOf", "oneOf", "allOf") if kind in schema):
            some = [option for option in options if option.get("type") != "null"]
            return self.value(some[0], name, depth, number) if some else None
        return self._of_type(schema, name, depth, number)

    def _of_type(self, schema: Schema, name: str, depth: int, number: str) -> Any:
        match _type_of(schema):
            case "object":
                properties, required = schema.get("properties", {}), schema.get("required", ())
                return {key: self.value(properties[key], key, depth + 1, number) for key in required}
            case "array":
                return self._items(schema, name, depth, number)
            case "integer" | "number":
                return _number(schema)
            case "boolean":
                return False
            case "null":
                return None
            case _:
                text = f"canned {name}{number}".ljust(schema.get("minLength", 0), ".")
                return text[: schema.get("maxLength")]

    def _items(self, schema: Schema, name: str, depth: int, number: str) -> list[Any]:
        if "prefixItems" in schema:
            return [self.value(item, name, depth + 1, number) for item in schema["prefixItems"]]
        least = schema.get("minItems", 0)
        count = least if depth >= DEEPEST else min(max(ITEMS, least), schema.get("maxItems", ITEMS + least))
        item = schema.get("items", {})
        return [self.value(item, name, depth + 1, f"{number} {place}") for place in range(1, count + 1)]


def _type_of(schema: Schema) -> str:
    types = schema.get("type", "object" if "properties" in schema else "string")
    return types if isinstance(types, str) else next((each for each in types if each != "null"), "null")


def _number(schema: Schema) -> int | float:
    if "minimum" in schema:
        return schema["minimum"]
    if "exclusiveMinimum" in schema:
        return schema["exclusiveMinimum"] + 1
    return min(0, schema.get("maximum", schema.get("exclusiveMaximum", 1) - 1))
