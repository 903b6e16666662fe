"""What the state machine sends to the invoker for each attempt of a run, and what it gets back."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from runtime.contract.errors import InvalidRequest
from runtime.contract.fields import moment, optional, seconds, whole_number
from runtime.contract.request import check_session_id, parse_request
from runtime.contract.segment import parse_segment


@dataclass(frozen=True, slots=True)
class Start:
    """One attempt of a run that is to be started.

    :ivar attempt: 1, 2, …
    :ivar request: as it was asked, with fields that only the agent knows
    :ivar segment: as it is handed on to the agent; None for a run that can't wait
    :ivar seconds_left: until the run has to have ended; None for the first attempt
    :ivar after: what all that is written now has to be later than
    """

    session_id: str
    attempt: int
    request: dict[str, Any]
    seconds_left: float | None = None
    after: datetime | None = None
    segment: dict[str, Any] | None = None

    @property
    def wait(self) -> int | None:
        """The wait that would end this segment of the run."""
        return self.segment["wait"] if self.segment else None


def start_payload(
    session_id: Any, attempt: Any, request: Any, seconds_left: Any, after: Any, segment: Any = None
) -> dict[str, Any]:
    """Return a start as it is sent; the state machine's values are expressions."""
    start = {
        "operation": "start",
        "session_id": session_id,
        "attempt": attempt,
        "secondsLeft": seconds_left,
        "after": after,
        "request": request,
    }
    return start | ({"segment": segment} if segment else {})


def parse_start(payload: Mapping[str, Any], max_attempts: int) -> Start:
    """Return the start that a payload describes.

    :raises InvalidRequest: if one of its fields is not what it has to be
    """
    parse_request(payload.get("request"))
    segment = parse_segment(payload, max_attempts)
    return Start(
        session_id=check_session_id(payload.get("session_id")),
        attempt=whole_number(payload, "attempt", segment.last_attempt),
        request=payload["request"],
        seconds_left=optional(seconds, payload, "secondsLeft"),
        after=optional(moment, payload, "after"),
        segment=payload.get("segment"),
    )


def attempt_of(payload: Mapping[str, Any], max_attempts: int) -> int | None:
    """Return the attempt that a payload names, None where that can't be one: of a start that is refused, too."""
    try:
        return whole_number(payload, "attempt", parse_segment(payload, max_attempts).last_attempt)
    except InvalidRequest:
        return None


def start_result(now: str, seconds_left: float, acknowledge_seconds: float) -> dict[str, Any]:
    """Return what the state machine is told of an attempt that works.

    :param now: the agent's clock when it acknowledged, a timestamp
    """
    return {"now": now, "secondsLeft": seconds_left, "acknowledgeSeconds": acknowledge_seconds}
