"""Serializes JSON values for DynamoDB's low-level API, `{type: value}`, and deserializes them.

Only what JSON can hold: the journal has no sets and no binary data. boto3's own serializer goes through decimals and
takes three times as long, for every write of the invoker.
https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_AttributeValue.html
"""

from collections.abc import Mapping
from typing import Any, cast


def serialize(value: object) -> dict[str, Any]:
    """Return a JSON value in DynamoDB's wire format.

    :raises TypeError: if it is not a JSON value
    """
    if isinstance(value, str):
        return {"S": str(value)}
    if isinstance(value, bool):
        return {"BOOL": value}
    if isinstance(value, int | float):
        return {"N": str(value)}
    if value is None:
        return {"NULL": True}
    if isinstance(value, Mapping):
        return {"M": {name: serialize(inner) for name, inner in cast("Mapping[str, object]", value).items()}}
    if isinstance(value, list):
        return {"L": [serialize(inner) for inner in cast("list[object]", value)]}
    raise TypeError(f"a {type(value).__name__} is not a JSON value: the journal can't hold {value!r:.100}")


def deserialize(value: Mapping[str, Any]) -> Any:
    """Return the JSON value of DynamoDB's wire format; a number written as an integer is one.

    :raises ValueError: if it is of a type that JSON doesn't have
    """
    ((kind, content),) = value.items()
    match kind:
        case "S" | "BOOL":
            return content
        case "N":
            return _number(content)
        case "NULL":
            return None
        case "M":
            return {name: deserialize(inner) for name, inner in content.items()}
        case "L":
            return [deserialize(inner) for inner in content]
        case _:
            raise ValueError(f"the journal holds no values of DynamoDB's type {kind}")


def _number(text: str) -> int | float:
    try:
        return int(text)
    except ValueError:
        return float(text)
