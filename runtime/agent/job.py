"""The job that the invoker hands to the agent: one attempt of one run."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, cast

from runtime.agent.workflow import workflow_for
from runtime.journal.errors import InvalidRequest
from runtime.journal.request import RunRequest, check_session_id, described, parse_request
from runtime.journal.run_clock import MAX_SECONDS, SECONDS_RULE, is_seconds
from runtime.journal.timestamps import from_timestamp

MOST_ATTEMPTS = 10


@dataclass(frozen=True, slots=True)
class Job:
    """One attempt of one run.

    :ivar attempt: 1, 2, … up to `max_attempts`
    :ivar now: when the invoker sent it, by the invoker's clock
    :ivar seconds_left: the time in which the run has to end, from when the job arrives
    """

    session_id: str
    request: RunRequest
    attempt: int
    max_attempts: int
    now: datetime
    seconds_left: float


def parse_job(payload: object, session_id: str | None) -> Job:
    """Return the job of an invocation.

    :param payload: the body, any JSON value
    :param session_id: the session header's value
    :raises InvalidRequest: if a field is missing or not what it has to be
    """
    checked_session_id = check_session_id(session_id)
    if not isinstance(payload, dict):
        raise InvalidRequest("payload", described(payload), "an object")
    fields = cast("dict[str, Any]", payload)
    max_attempts = _whole_number(fields, "maxAttempts", MOST_ATTEMPTS)
    return Job(
        session_id=checked_session_id,
        request=_request(fields.get("request")),
        attempt=_whole_number(fields, "attempt", max_attempts),
        max_attempts=max_attempts,
        now=_moment(fields, "now"),
        seconds_left=_seconds(fields, "secondsLeft"),
    )


def _request(value: object) -> RunRequest:
    request = parse_request(value)
    workflow_for(request)  # refuses what this version of the agent doesn't have
    return request


def _whole_number(fields: dict[str, Any], name: str, most: int) -> int:
    value = fields.get(name)
    if type(value) is not int or not 1 <= value <= most:
        raise InvalidRequest(name, described(value), f"a whole number from 1 to {most}")
    return value


def _seconds(fields: dict[str, Any], name: str) -> float:
    value = fields.get(name)
    if not is_seconds(value):
        raise InvalidRequest(name, described(value), SECONDS_RULE)
    return float(value)


def _moment(fields: dict[str, Any], name: str) -> datetime:
    value = fields.get(name)
    try:
        moment = from_timestamp(value)  # pyright: ignore[reportArgumentType]
        _ = moment + timedelta(seconds=MAX_SECONDS)  # what is computed from it later has to be a moment, too
    except (TypeError, ValueError, OverflowError):
        raise InvalidRequest(name, described(value), "a timestamp such as 2026-11-22T20:21:26.123Z") from None
    return moment
