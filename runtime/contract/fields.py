"""Reading one field of a message. Each reader takes the message's fields and a name, and refuses in one sentence."""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, TypeVar, cast

from runtime.contract.errors import InvalidRequest
from runtime.journal.timestamps import from_timestamp

T = TypeVar("T")
Fields = Mapping[str, Any]

MAX_SECONDS = 365 * 86_400


def described(value: object) -> str:
    """Return how a refusal shows what it got: short, whatever it is."""
    if value is None:
        return "missing"
    if isinstance(value, str):
        shown = value if len(value) <= 100 else f"{value[:100]}…"
        return f"{shown!r} ({len(value)} characters)"
    # Not the repr of a list or an object: it can be endless, and deeper than Python can go.
    return repr(value)[:100] if isinstance(value, bool | int | float) else f"a {type(value).__name__}"


def whole_number(fields: Fields, name: str, largest: int) -> int:
    """Return a number from 1 to `largest`.

    :raises InvalidRequest: if it is anything else, a float such as 1.0 included
    """
    value = fields.get(name)
    if type(value) is not int or not 1 <= value <= largest:
        raise InvalidRequest(name, described(value), f"a whole number from 1 to {largest}")
    return value


def object_of(value: object, field: str, allowed: str) -> dict[str, Any]:
    """Return an object.

    :raises InvalidRequest: if it is none; the refusal says what is `allowed`
    """
    if not isinstance(value, dict):
        raise InvalidRequest(field, described(value), allowed)
    return cast("dict[str, Any]", value)


def seconds(fields: Fields, name: str) -> float:
    """Return a time that is left; one that is over is negative.

    :raises InvalidRequest: if it is no number, or more than a year
    """
    value = fields.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= MAX_SECONDS:
        raise InvalidRequest(name, described(value), "a number of seconds, a year at most")
    return float(value)


def moment(fields: Fields, name: str) -> datetime:
    """Return a moment that a year can be added to.

    :raises InvalidRequest: if it is no timestamp with a time zone
    """
    value = fields.get(name)
    try:
        found = from_timestamp(value)  # pyrefly: ignore[bad-argument-type]
        _ = found + timedelta(seconds=MAX_SECONDS)
    except (TypeError, ValueError, OverflowError):
        raise InvalidRequest(name, described(value), "a timestamp such as 2026-11-22T20:21:26.123Z") from None
    return found


def optional(read: Callable[[Fields, str], T], fields: Fields, name: str) -> T | None:
    """Return what `read` does, or None where the field is missing or null.

    :raises InvalidRequest: if it is there and `read` refuses it
    """
    if fields.get(name) is None:
        return None
    try:
        return read(fields, name)
    except InvalidRequest as refusal:
        raise InvalidRequest(refusal.field, refusal.was, f"null or {refusal.allowed}") from None
