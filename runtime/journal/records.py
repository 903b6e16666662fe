"""The journal's records as frozen dataclasses; the table's attribute names appear only here.

There is no class `Outcome`: the outcome record repeats the terminal event under another key.
"""

import itertools
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeAlias

from runtime.journal.keys import OUTCOME, event_sort_key, record_key, tool_sort_key
from runtime.journal.timestamps import from_timestamp, to_timestamp
from runtime.journal.wire import deserialize, serialize

Item: TypeAlias = dict[str, Any]
"""A record in the form of DynamoDB's low-level API: attribute name to `{type: value}`."""

ERROR_BYTES = 2048
_sequence = itertools.count()


def new_event_id() -> str:
    """Return an id that sorts one process's events in order even within a millisecond (29 characters)."""
    return f"{next(_sequence):08x}-{os.urandom(10).hex()}"


def error_text(error: BaseException | str) -> str:
    """Return an error's text as it is stored, cut to 2,048 bytes of UTF-8."""
    text = (str(error) or repr(error)).encode("utf-8", "replace")
    return text[:ERROR_BYTES].decode("utf-8", "ignore")


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One thing that happened to a run.

    :ivar created_at: when, by the writer's clock
    :ivar expires_at: epoch seconds after which DynamoDB may delete the record
    :ivar attempt: the attempt it belongs to (1, 2, …), if any
    :ivar item: the item's place in its list, from 0, for steps that run once per item
    :ivar turn: which of the model's answers in its step's or item's conversation it is about (1, 2, …)
    :ivar lease_expires_at: until when the writer counts as alive, for events that are a sign of life
    :ivar detail: anything else to keep: JSON values only
    """

    session_id: str
    event_id: str
    status: str
    created_at: datetime
    expires_at: int
    attempt: int | None = None
    environment_id: str | None = None
    lease_expires_at: datetime | None = None
    step: str | None = None
    item: int | None = None
    turn: int | None = None
    error_type: str | None = None
    error_message: str | None = None
    detail: Mapping[str, Any] | None = None

    def attributes(self) -> dict[str, Any]:
        """Return the attributes by their names in the table, without those that don't apply."""
        values: dict[str, Any] = {
            "sessionId": self.session_id,
            "eventId": self.event_id,
            "status": str(self.status),
            "createdAt": to_timestamp(self.created_at),
            "expiresAt": self.expires_at,
            "attempt": self.attempt,
            "environmentId": self.environment_id,
            "leaseExpiresAt": self.lease_expires_at and to_timestamp(self.lease_expires_at),
            "step": self.step,
            "item": self.item,
            "turn": self.turn,
            "errorType": self.error_type,
            "errorMessage": self.error_message,
            "detail": dict(self.detail) if self.detail else None,
        }
        return {name: value for name, value in values.items() if value is not None}

    def to_item(self) -> Item:
        """Return the event record."""
        attributes = self.attributes()
        return to_item(self.session_id, event_sort_key(attributes["createdAt"], self.event_id), attributes)

    def to_outcome_item(self) -> Item:
        """Return the outcome record of a terminal event; it is in the by-day index."""
        attributes = self.attributes()
        return to_item(self.session_id, OUTCOME, attributes | {"day": attributes["createdAt"][:10]})

    @classmethod
    def from_item(cls, item: Mapping[str, Any]) -> "Event":
        """Return the event of an event or outcome record."""
        return cls.from_attributes(from_item(item))

    @classmethod
    def from_attributes(cls, values: Mapping[str, Any]) -> "Event":
        """Return the event of :meth:`attributes`, or of a record's."""
        lease = values.get("leaseExpiresAt")
        return cls(
            session_id=values["sessionId"],
            event_id=values["eventId"],
            status=values["status"],
            created_at=from_timestamp(values["createdAt"]),
            expires_at=values["expiresAt"],
            attempt=values.get("attempt"),
            environment_id=values.get("environmentId"),
            lease_expires_at=from_timestamp(lease) if lease else None,
            step=values.get("step"),
            item=values.get("item"),
            turn=values.get("turn"),
            error_type=values.get("errorType"),
            error_message=values.get("errorMessage"),
            detail=values.get("detail"),
        )


@dataclass(frozen=True, slots=True)
class ToolClaim:
    """A call of a tool that must not happen twice, claimed before it is made.

    :ivar turn: which of the model's answers asked for it (1, 2, …)
    :ivar call: its place among the calls of that answer, from 0
    :ivar digest: of what the tool was given: the same for the same input
    :ivar shown: what the tool was given as JSON, cut to 500 characters
    """

    step: str
    item: int | None
    turn: int
    call: int
    tool: str
    digest: str
    shown: str

    @property
    def sort_key(self) -> str:
        """Its key in the run."""
        return tool_sort_key(self.step, self.item, self.turn, self.call)

    def attributes(self) -> dict[str, Any]:
        """Return what the record has besides its event's attributes."""
        return {"call": self.call, "tool": self.tool, "digest": self.digest, "shown": self.shown}

    @classmethod
    def from_item(cls, item: Mapping[str, Any]) -> "ToolClaim":
        """Return the claim of a record."""
        values = from_item(item)
        return cls(
            step=values["step"],
            item=values.get("item"),
            turn=values["turn"],
            call=values["call"],
            tool=values["tool"],
            digest=values["digest"],
            shown=values["shown"],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class RunMetadata:
    """What a run was asked to do, and within which bounds: enough to explain it and to retry it.

    :ivar request: the request that came with the event, as text if Python can't parse it as JSON; numbers have the 15
        significant digits of the state machine's language
    :ivar workflow: the name of its workflow; None in records from before there were several
    :ivar bounds: what its stack allows it: `maxRunSeconds`, `leaseSeconds`, `maxAttempts`; older records call them
        `limits`, as a request calls its own
    """

    session_id: str
    created_at: datetime
    expires_at: int
    execution_arn: str
    request: Any
    bounds: Mapping[str, int]
    workflow: str | None = None

    @classmethod
    def from_item(cls, item: Mapping[str, Any]) -> "RunMetadata":
        """Return the run of a metadata record. Its request is usually JSON text, but anyone can start a run."""
        values = from_item(item)
        return cls(
            session_id=values["sessionId"],
            created_at=from_timestamp(values["createdAt"]),
            expires_at=values["expiresAt"],
            execution_arn=values["executionArn"],
            request=_json_or_text(values["request"]),
            bounds=values.get("bounds") or values["limits"],
            workflow=values.get("workflow"),
        )


def _json_or_text(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def expiry(created_at: datetime, ttl_days: int) -> int:
    """Return the epoch seconds after which a record of that moment may be deleted."""
    return int((created_at + timedelta(days=ttl_days)).timestamp())


def to_item(session_id: str, sort_key: str, attributes: Mapping[str, Any]) -> Item:
    """Return a record of a run in DynamoDB's wire format."""
    return record_key(session_id, sort_key) | {name: serialize(value) for name, value in attributes.items()}


def from_item(item: Mapping[str, Any]) -> dict[str, Any]:
    """Return a record's attributes as JSON values."""
    return {name: deserialize(value) for name, value in item.items()}
