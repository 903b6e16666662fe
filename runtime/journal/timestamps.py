"""Timestamps as the journal writes them: ISO 8601, UTC, milliseconds, `Z`. They sort as text."""

from datetime import UTC, datetime


def utc_now() -> datetime:
    """Return this machine's time in UTC."""
    return datetime.now(UTC)


def to_timestamp(moment: datetime) -> str:
    """Return a moment in the journal's form, such as `2026-11-22T20:21:26.123Z`."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def from_timestamp(text: str) -> datetime:
    """Return the moment of a timestamp, in UTC.

    :raises ValueError: if it is not an ISO 8601 timestamp with a time zone, or UTC has no such moment
    """
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"timestamp {text!r} has no time zone: write it as 2026-11-22T20:21:26.123Z")
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise ValueError(f"timestamp {text!r} is before year 1 or after year 9999 in UTC") from None
