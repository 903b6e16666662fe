"""Step Functions' errors with AWS's names and texts.

On AWS a throttled function is `Lambda.TooManyRequestsException`, which ministack calls `Lambda.Unknown`; a caught
timeout has an empty Cause.
"""

from __future__ import annotations

import json
from typing import Any

from ministack.services import stepfunctions

from local.emulator.edge.replacing import replace

_THROTTLED = "TooManyRequestsException"


def install() -> None:
    """Translate the errors of tasks."""
    replace(stepfunctions, "_call_lambda", _name_throttling, 'body.get("errorType", "Lambda.Unknown")')
    replace(stepfunctions, "_invoke_resource_with_timeout", _drop_cause, '"States.Timeout", f"Task timed out')
    replace(stepfunctions, "_invoke_with_callback", _drop_cause, '"Task timed out waiting for callback"')


def _name_throttling(original: Any) -> Any:
    def call_lambda(*arguments: Any) -> Any:
        try:
            return original(*arguments)
        except stepfunctions._ExecutionError as error:
            if error.error == "Lambda.Unknown" and (message := _throttling(error.cause)) is not None:
                raise _failure(f"Lambda.{_THROTTLED}", message) from None
            raise

    return call_lambda


def _throttling(cause: str) -> str | None:
    try:
        body = json.loads(cause)
    except ValueError:
        return None
    return str(body.get("message")) if isinstance(body, dict) and body.get("__type") == _THROTTLED else None


def _drop_cause(original: Any) -> Any:
    def invoke(*arguments: Any) -> Any:
        try:
            return original(*arguments)
        except stepfunctions._ExecutionError as error:
            if error.error == "States.Timeout":
                raise _failure("States.Timeout", "") from None
            raise

    return invoke


def _failure(error: str, cause: str) -> Exception:
    return stepfunctions._ExecutionError(error, cause)
