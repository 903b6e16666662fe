"""The job that the invoker hands to the agent, one attempt of one run, and the agent's acknowledgement."""

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from runtime.contract.fields import moment, object_of, seconds, whole_number
from runtime.contract.request import RunRequest, check_session_id, parse_request
from runtime.contract.segment import MAX_ATTEMPTS, Segment, parse_segment
from runtime.journal.timestamps import from_timestamp, to_timestamp
from runtime.journal.writer import Standing


@dataclass(frozen=True, slots=True)
class Job:
    """One attempt of one run.

    :ivar attempt: 1, 2, … up to the segment's last one
    :ivar now: when the invoker sent it, by the invoker's clock
    :ivar seconds_left: the time in which the run has to end, from when the job arrives
    """

    session_id: str
    request: RunRequest
    attempt: int
    segment: Segment
    now: datetime
    seconds_left: float

    @property
    def standing(self) -> Standing:
        """What the attempt may write under."""
        return Standing(self.attempt, self.segment.last_attempt, self.segment.wait)


def job_payload(
    request: dict[str, Any],
    attempt: int,
    max_attempts: int,
    now: datetime,
    seconds_left: float,
    segment: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Return a job as it is sent; the session's id goes in a header of its own.

    :param max_attempts: of a run that can't wait, and so has no segment
    """
    job = {
        "attempt": attempt,
        "maxAttempts": max_attempts,
        "now": to_timestamp(now),
        "secondsLeft": seconds_left,
        "request": request,
    }
    return job | ({"segment": segment} if segment else {})


def parse_job(payload: object, session_id: str | None) -> Job:
    """Return the job of an invocation.

    :param payload: the body, any JSON value
    :param session_id: the session header's value
    :raises InvalidRequest: if a field is missing or not what it has to be
    """
    checked_session_id = check_session_id(session_id)
    fields = object_of(payload, "payload", "an object")
    segment = parse_segment(fields, whole_number(fields, "maxAttempts", MAX_ATTEMPTS))
    return Job(
        session_id=checked_session_id,
        request=parse_request(fields.get("request")),
        attempt=whole_number(fields, "attempt", segment.last_attempt),
        segment=segment,
        now=moment(fields, "now"),
        seconds_left=seconds(fields, "secondsLeft"),
    )


def acknowledgement(job: Job, now: datetime) -> dict[str, Any]:
    """Return the agent's answer to a job that it works on.

    :param now: by the clock that stamps the attempt's events
    """
    return {"accepted": {"sessionId": job.session_id, "attempt": job.attempt, "now": to_timestamp(now)}}


def acknowledged_at(answer: bytes) -> str | None:
    """Return the time in an acknowledgement, or None where there is none that can be read."""
    try:
        return to_timestamp(from_timestamp(json.loads(answer)["accepted"]["now"]))
    except (TypeError, ValueError, LookupError, RecursionError):
        return None
