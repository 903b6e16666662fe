"""Plays the deployed definition in virtual time, with the interpreter that the embedded cloud runs.

That interpreter is ministack's, over jsonata-python, in this process: only its clock, its waits and its calls are
replaced. A wait lets the world around the execution go on, up to the moment at which it ends.
"""

import heapq
import itertools
import json
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import jsonata
import jsonata.utils as jsonata_utils
from ministack.services import stepfunctions

START = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
CALL_SECONDS = 0.02
STATE_MACHINE_ARN = "arn:aws:states:us-east-1:000000000000:stateMachine:played"
Call = Callable[[dict[str, Any]], Any]
_numbers = itertools.count()


class Stopped(Exception):
    """The world has no more time for this execution."""


class World:
    """Time, and what happens in it.

    :ivar seconds: since the start
    :param limit_seconds: when an execution that still runs is given up
    """

    def __init__(self, limit_seconds: float) -> None:
        self.seconds = 0.0
        self._limit = limit_seconds
        self._actions: list[tuple[float, int, Callable[[], None]]] = []

    def now(self) -> datetime:
        """Return the time."""
        return START + timedelta(seconds=self.seconds)

    def at(self, seconds: float, action: Callable[[], None]) -> None:
        """Have something happen at a second, or at once if that is over."""
        heapq.heappush(self._actions, (max(seconds, self.seconds), next(_numbers), action))

    def sleep(self, seconds: float) -> None:
        """Let time pass.

        :raises Stopped: if there is no more
        """
        until = self.seconds + seconds
        while self._actions and self._actions[0][0] <= until:
            self.seconds, _, action = heapq.heappop(self._actions)
            action()
        self.seconds = until
        if until > self._limit:
            raise Stopped(f"still running after {until:.0f} s")

    def wait(self, seconds: float, over: Callable[[], bool]) -> bool:
        """Let time pass until something is the case, and return whether it is."""
        until = self.seconds + seconds
        while self._actions and self._actions[0][0] <= until:
            self.sleep(self._actions[0][0] - self.seconds)
            if over():
                return True
        self.sleep(until - self.seconds)
        return False


def play(
    definition: Mapping[str, Any], given: object, world: World, calls: Mapping[str, Call], woken: Callable[[], bool]
) -> dict[str, Any]:
    """Play one execution to its end and return it as the interpreter keeps it: `status`, `error`, `cause`, `events`.

    :param given: the execution's input
    :param calls: resource → what is called with the task's arguments; :func:`failure` says how it fails
    :param woken: says whether the waiting task has been woken
    :raises Stopped: if the execution doesn't end in the world's time
    """
    arn = f"{STATE_MACHINE_ARN.replace('stateMachine', 'execution')}:{next(_numbers)}"
    execution: dict[str, Any] = {
        "executionArn": arn,
        "stateMachineArn": STATE_MACHINE_ARN,
        "name": "played",
        "status": "RUNNING",
        "input": json.dumps(given),
        "startDate": _timestamp(world),
        "events": [],
        "sync": True,
    }

    def call(resource: str, arguments: dict[str, Any], _timeout: float | None = None) -> Any:
        world.sleep(CALL_SECONDS)
        return calls[resource](arguments)

    def call_and_wait(resource: str, arguments: dict[str, Any], _token: str, state: dict[str, Any]) -> Any:
        call(resource.removesuffix(".waitForTaskToken"), arguments)
        woken()  # by whoever didn't know of this token
        if not world.wait(state["TimeoutSeconds"], woken):
            raise failure("States.Timeout", "")
        return {}

    with _interpreter(world, call, call_and_wait):
        stepfunctions._executions[arn] = execution
        stepfunctions._state_machines[STATE_MACHINE_ARN] = {"definition": json.dumps(definition), "name": "played"}
        stepfunctions._run_execution(arn)
    if "still running after" in str(execution.get("cause")):
        raise Stopped(execution["cause"])
    return execution


def failure(error: str, cause: str) -> Exception:
    """Return what a call raises so that the task fails with that error and cause."""
    return stepfunctions._ExecutionError(error, cause)


def entered(execution: Mapping[str, Any]) -> list[str]:
    """Return the names of the states that an execution went through."""
    return [
        event["stateEnteredEventDetails"]["name"] for event in execution["events"] if event["type"].endswith("Entered")
    ]


def evaluate(expression: str, variables: Mapping[str, Any], *, given: Any = None, **states: Any) -> Any:
    """Return the value of an expression, `{% … %}`.

    :param given: the state's input
    :param states: `result` or `error_output`
    """
    return stepfunctions._apply_jsonata_template(expression, given, {"variables": dict(variables)}, **states)


def _timestamp(world: World) -> str:
    return world.now().isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _no_pause(_seconds: float) -> None:
    """In place of the emulator's pause before an execution starts."""


@lru_cache(4096)
def _parsed(text: str, **_: Any) -> Any:
    """Parse an expression once, and without the limit of a second, which is real time."""
    return jsonata.Jsonata.jsonata(text)


@contextmanager
def _interpreter(world: World, call: Callable[..., Any], call_and_wait: Callable[..., Any]) -> Generator[None]:
    register = stepfunctions._register_sfn_jsonata_functions

    def register_with_clock(expression: Any) -> None:
        register(expression)
        expression.register_lambda("millis", lambda: round(world.now().timestamp() * 1000))

    with patch.multiple(
        stepfunctions,
        _scaled_sleep=world.sleep,
        _invoke_resource=call,
        _invoke_resource_with_timeout=call,
        _invoke_with_callback=call_and_wait,
        _register_sfn_jsonata_functions=register_with_clock,
        now_iso=lambda: _timestamp(world),
        time=SimpleNamespace(sleep=_no_pause, time=world.now().timestamp),
        jsonata=SimpleNamespace(Jsonata=SimpleNamespace(jsonata=_parsed), utils=jsonata_utils),
    ):
        yield
