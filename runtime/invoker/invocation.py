"""Starting and stopping an agent's session, with a line in the journal for each start.

The state machine retries, safely, because the agent claims its attempts. The one thing that is retried here is the
event of a success: the agent runs by then, and nobody else knows.
"""

import json
import logging
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from runtime.contract.errors import InvalidRequest
from runtime.contract.job import acknowledged_at, job_payload
from runtime.contract.request import check_session_id
from runtime.contract.start import Start, attempt_of, parse_start, start_result
from runtime.invoker.errors import InvokerError, RunTimedOut, StopUnknown, from_boto
from runtime.journal.errors import JournalError, NotTheOwner, RunClosed
from runtime.journal.records import Event, error_text
from runtime.journal.timestamps import to_timestamp, utc_now
from runtime.journal.vocabulary import Status
from runtime.journal.writer import JournalWriter

if TYPE_CHECKING:
    from mypy_boto3_bedrock_agentcore import BedrockAgentCoreClient
    from mypy_boto3_stepfunctions import SFNClient

SUCCESS_WRITE_SECONDS = 20.0
MOMENT = timedelta(milliseconds=1)
MAX_TRACE_HEADER = 128
"""Characters that AgentCore takes: botocore's model of bedrock-agentcore, InvokeAgentRuntime's `traceId`."""
logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Limits:
    """What the stack allows a run.

    :ivar lease_seconds: how long an agent counts as alive after a sign of life
    :ivar max_run_seconds: time from the first acknowledgement to the deadline, over all attempts
    :ivar max_attempts: how often a lost agent is started, the first time included
    """

    lease_seconds: int
    max_run_seconds: int
    max_attempts: int


@dataclass(frozen=True, slots=True)
class Invoker:
    """Starts and stops sessions of one agent runtime.

    :ivar qualifier: the runtime's endpoint
    :ivar stepfunctions: gives a client of Step Functions
    :ivar pause: waits that many seconds between tries of a write
    """

    agentcore: "BedrockAgentCoreClient"
    journal: JournalWriter
    agent_runtime_arn: str
    qualifier: str
    limits: Limits
    stepfunctions: "Callable[[], SFNClient]"
    now: Callable[[], datetime] = utc_now
    pause: Callable[[float], None] = time.sleep

    def start(self, payload: dict[str, Any], trace_id: str | None = None) -> dict[str, Any]:
        """Start one attempt of a run and return as soon as the agent has acknowledged it.

        :param payload: see :class:`runtime.contract.start.Start`
        :param trace_id: the whole X-Ray header of this invocation
        :return: see :func:`runtime.contract.start.start_result`
        :raises InvalidRequest: if the payload can't be run
        :raises RunClosed: if the run has its outcome
        :raises RunWaiting: if it waits for a person
        :raises RunTimedOut: if no time is left
        :raises InvokerError: as AgentCore answers, see :mod:`runtime.invoker.errors`
        :raises JournalUnavailable: if the start can't be journalled; the agent is not started then
        :raises JournalDenied: likewise
        """
        session_id = check_session_id(payload.get("session_id"))
        try:
            return self._start(parse_start(payload, self.limits.max_attempts), trace_id)
        except (InvokerError, InvalidRequest) as error:
            self._append_failure(session_id, attempt_of(payload, self.limits.max_attempts), error)
            raise

    def _start(self, start: Start, trace_id: str | None) -> dict[str, Any]:
        self.journal.append_while_open(
            self._event(start, Status.AGENT_INVOCATION_STARTED, self._now(start)), start.wait
        )
        seconds_left = self._seconds_left(start)
        began = time.perf_counter()
        now = self._call_agent(start, self._now(start), seconds_left, trace_id)
        acknowledge_seconds = time.perf_counter() - began
        acknowledged = self._now(start)
        success = self._event(
            start,
            Status.AGENT_INVOCATION_SUCCEEDED,
            acknowledged,
            lease_seconds=self.limits.lease_seconds,
            detail={
                "acknowledgeSeconds": round(acknowledge_seconds, 4),
                "deadline": to_timestamp(acknowledged + timedelta(seconds=seconds_left)),
            },
        )
        self._append_success(success)
        return start_result(now, seconds_left, acknowledge_seconds)

    def stop(self, payload: dict[str, Any]) -> dict[str, Any]:
        """Stop the session of a run, so that its environment doesn't idle on at cost.

        :return: `stopped`: whether there was a session to stop
        :raises InvalidRequest: if there is no usable session id
        :raises InvokerError: as AgentCore answers
        """
        session_id = check_session_id(payload.get("session_id"))
        if not self.can_stop:
            raise StopUnknown(
                f"boto3 {boto3.__version__} has no stop_runtime_session: the session ends when it has idled long enough"
            )
        try:
            self.agentcore.stop_runtime_session(
                agentRuntimeArn=self.agent_runtime_arn, qualifier=self.qualifier, runtimeSessionId=session_id
            )
        except self.agentcore.exceptions.ResourceNotFoundException:
            return {"stopped": False}
        except (ClientError, BotoCoreError) as error:
            raise from_boto(error) from error
        return {"stopped": True}

    @property
    def can_stop(self) -> bool:
        """Whether this function's boto3, which is Lambda's, knows how to stop a session."""
        return hasattr(self.agentcore, "stop_runtime_session")

    def close(self, detail: dict[str, Any]) -> dict[str, Any]:
        """Close the run of an execution that ended without doing so: stopped by hand, timed out, failed itself.

        :param detail: of its status change: `executionArn`, `status`, `input` as JSON text, `inputDetails`
        :return: `closed`: whether there was a run, still open, and this execution's
        :raises JournalUnavailable: if the journal can't be written now
        :raises JournalDenied: if the table refuses for good
        :raises botocore.exceptions.ClientError: if the event has no input and Step Functions refuses to say it
        :raises botocore.exceptions.BotoCoreError: likewise, if Step Functions doesn't answer
        """
        execution_arn = str(detail.get("executionArn"))
        session_id = _session_id_in(self._input(detail, execution_arn))
        if session_id is None:
            # The machine has refused that input. An error here would only be retried, and set off an alarm.
            return {"closed": False}
        status = str(detail.get("status"))
        event = self.journal.stamp(
            session_id,
            Status.SESSION_TIMED_OUT if status == "TIMED_OUT" else Status.SESSION_FAILED,
            error_type="ExecutionEnded",
            error_message=f"the state machine's execution ended as {status} before the run had an outcome",
        )
        try:
            self.journal.close_for_execution(event, execution_arn)
        except (RunClosed, NotTheOwner):
            return {"closed": False}
        try:
            self.stop({"session_id": session_id})
        except InvokerError as error:
            # The run is closed: its agent stops at its next write, and a retry would find nothing to do.
            logger.warning("the session could not be stopped: %s", error, extra={"session_id": session_id})
        return {"closed": True}

    def _input(self, detail: dict[str, Any], execution_arn: str) -> object:
        """Return the input of an execution; above 248 KiB of escaped text its event comes without.

        https://docs.aws.amazon.com/step-functions/latest/dg/cw-events.html
        """
        if isinstance(detail.get("input"), str) and detail.get("inputDetails") != {"included": False}:
            return detail["input"]
        return self.stepfunctions().describe_execution(executionArn=execution_arn).get("input")

    def _event(self, start: Start, status: Status, at: datetime, **fields: Any) -> Event:
        return self.journal.stamp(start.session_id, status, at=at, attempt=start.attempt, **fields)

    def _now(self, start: Start) -> datetime:
        """The time, later than what the journal had before, whichever machine's clock stamped that."""
        return max(self.now(), start.after + MOMENT) if start.after else self.now()

    def _seconds_left(self, start: Start) -> float:
        """The run's clock starts with its first acknowledgement: waiting for a free place costs no working time."""
        if start.seconds_left is None:
            return self.limits.max_run_seconds
        if start.seconds_left <= 0:
            late = abs(start.seconds_left)
            raise RunTimedOut(f"the run's deadline passed {late:g} s before this attempt could start")
        return start.seconds_left

    def _call_agent(self, start: Start, now: datetime, seconds_left: float, trace_id: str | None) -> str:
        """Hand the job over, and return the time of the acknowledgement by the agent's clock, else by this one's."""
        job = job_payload(start.request, start.attempt, self.limits.max_attempts, now, seconds_left, start.segment)
        trace = {"traceId": _short_trace(trace_id)} if trace_id else {}
        try:
            answer = self.agentcore.invoke_agent_runtime(
                agentRuntimeArn=self.agent_runtime_arn,
                qualifier=self.qualifier,
                runtimeSessionId=start.session_id,
                contentType="application/json",
                accept="application/json",
                payload=json.dumps(job).encode(),
                **trace,
            )
            # Read to the end, or the connection can't be used again. Not `with`: that gives the raw stream, whose
            # errors are not botocore's.
            with closing(answer["response"]) as body:
                text = body.read()
        except (ClientError, BotoCoreError) as error:
            raise from_boto(error) from error
        return acknowledged_at(text) or job["now"]

    def _append_failure(self, session_id: str, attempt: int | None, error: Exception) -> None:
        event = self.journal.stamp(
            session_id,
            Status.AGENT_INVOCATION_FAILED,
            attempt=attempt,
            error_type=type(error).__name__,
            error_message=error_text(error),
        )
        try:
            self.journal.append(event)
        except JournalError:
            # The error itself matters more: the state machine closes the run with it.
            logger.exception("the failure is not in the journal", extra={"session_id": session_id})

    def _append_success(self, event: Event) -> None:
        give_up = time.monotonic() + SUCCESS_WRITE_SECONDS
        pause = 0.1
        while True:
            try:
                self.journal.append(event)
            except JournalError as error:
                if time.monotonic() + pause >= give_up:
                    # The agent runs, and its own events carry its lease: the run goes on.
                    logger.exception("the success is not in the journal", extra={"session_id": event.session_id})
                    return
                logger.warning("retrying: %s", error, extra={"session_id": event.session_id})
                self.pause(pause)
                pause *= 2
            else:
                return


def _short_trace(header: str) -> str:
    """Return a trace header that AgentCore takes: without its lineage where that makes it too long.

    It has to be given in any case: in a Lambda botocore sends the whole header where a call has none of its own.
    """
    if len(header) <= MAX_TRACE_HEADER:
        return header
    wanted = [part for part in header.split(";") if part.startswith(("Root=", "Parent=", "Sampled="))]
    # A header that makes no sense is cut: a trace is worth less than a run.
    return (";".join(wanted) or header)[:MAX_TRACE_HEADER]


def _session_id_in(execution_input: Any) -> str | None:
    """Return the session id that an execution was started with, or None if it can't be one."""
    try:
        return check_session_id(json.loads(execution_input)["session_id"])
    except (TypeError, ValueError, LookupError, RecursionError):
        return None
