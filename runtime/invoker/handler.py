"""The Lambda handler: a thin edge that builds its clients once, at import, and hands each event on.

Log lines are JSON by the function's own logging configuration.
"""

# ruff: noqa: E402
import gc

# What is imported and built here stays: looking for garbage in it takes a tenth of a cold start.
gc.disable()

import logging
import os
import platform
import time
from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config

from runtime.contract.errors import InvalidRequest
from runtime.contract.fields import described
from runtime.invoker.invocation import Invoker, Limits
from runtime.journal.client import CLIENT_CONFIG, connect
from runtime.journal.writer import JournalWriter

if TYPE_CHECKING:
    from mypy_boto3_stepfunctions import SFNClient

logger = logging.getLogger(__name__)
logger.setLevel(logging.INFO)

AGENTCORE_CONFIG = Config(
    connect_timeout=3,
    read_timeout=60,
    # By default boto3 would send the same job up to five times.
    retries={"mode": "standard", "total_max_attempts": 1},
    tcp_keepalive=True,
)


@cache
def stepfunctions() -> "SFNClient":
    """Return a client that is built when it is first asked for: hardly any event needs it."""
    return boto3.client("stepfunctions", config=CLIENT_CONFIG)


def build_invoker(environ: Mapping[str, str]) -> Invoker:
    """Return the invoker that the function's environment variables describe.

    :raises KeyError: if one of them is missing
    """
    return Invoker(
        agentcore=boto3.client("bedrock-agentcore", config=AGENTCORE_CONFIG),
        journal=JournalWriter(connect(), environ["JOURNAL_TABLE"], ttl_days=int(environ["JOURNAL_TTL_DAYS"])),
        agent_runtime_arn=environ["AGENT_RUNTIME_ARN"],
        qualifier=environ["AGENT_QUALIFIER"],
        limits=Limits(
            lease_seconds=int(environ["LEASE_SECONDS"]),
            max_run_seconds=int(environ["MAX_RUN_SECONDS"]),
            max_attempts=int(environ["MAX_ATTEMPTS"]),
        ),
        stepfunctions=stepfunctions,
    )


_invoker = build_invoker(os.environ)
gc.freeze()
gc.enable()


def handler(event: Any, _context: object) -> dict[str, Any]:
    """Do what the event asks for: the state machine's events say it in `operation`.

    An event with `executionArn` and without `operation` is the detail of an execution's status change.

    :raises InvalidRequest: if the event is no object, or names another operation
    :raises Exception: see :class:`runtime.invoker.invocation.Invoker`; the state machine matches on the class
    """
    began = time.perf_counter()
    if not isinstance(event, dict):
        raise InvalidRequest("event", described(event), "an object with operation and session_id")
    payload: dict[str, Any] = event
    match payload.get("operation"):
        case "start":
            result = _invoker.start(payload, os.environ.get("_X_AMZN_TRACE_ID"))
        case "stop":
            result = _invoker.stop(payload)
        case None if "executionArn" in payload:
            result = _invoker.close(payload)
        case "describe":
            result = describe()
        case other:
            raise InvalidRequest("operation", described(other), "start, stop or describe")
    fields = {name: payload.get(name) for name in ("operation", "session_id", "attempt", "executionArn")}
    logger.info("done", extra=fields | {"seconds": round(time.perf_counter() - began, 4)})
    return result


def describe() -> dict[str, Any]:
    """Return the versions that Lambda's runtime brings along, and whether they can stop a session."""
    return {
        "boto3": boto3.__version__,
        "python": platform.python_version(),
        "stopRuntimeSession": _invoker.can_stop,
    }
