"""Lambda's concurrency: invocations queue for one of few places, where ministack throttles at once.

An account on AWS has 1,000 places. A laptop has processes for about sixteen, and throttling there would pile back-off
upon back-off, with the machine idle in between. So invocations wait for a place, first come first served, and are
throttled if that takes too long.

An execution that has begun can end: a quarter of the places is reserved for executions whose function has succeeded
before, and for direct callers of Lambda. Otherwise many starts could hold all places, each waiting for a session that
only a stop could free.
"""

from __future__ import annotations

import threading
from collections import deque
from contextvars import ContextVar
from typing import Any

from ministack.core import lambda_runtime
from ministack.services import lambda_svc, stepfunctions

from local.emulator.edge.replacing import replace
from local.loopback.gate import refusal

_KEPT_SHARE = 4

_succeeded: ContextVar[threading.Event | None] = ContextVar("succeeded", default=None)
"""Whether this thread's execution has had a successful invocation. None outside executions."""


def install(queue_seconds: float) -> None:
    """Make invocations wait for a place that long; 0 throttles at once."""
    queue = Queue(lambda_svc._ACCOUNT_CONCURRENCY_CAP, queue_seconds)
    replace(lambda_svc, "_acquire_execution_slot", queue.wrap_acquire, '"account"', "_inflight_lock = threading.Lock()")
    replace(lambda_svc, "_release_execution_slot", queue.wrap_release)
    replace(stepfunctions, "_run_execution", _track_execution, "target=ctx_snapshot.run,")
    replace(stepfunctions, "_call_lambda", _note_success, "contextvars.copy_context().run, _invoke_resource,")
    replace_runtime_api()


class Queue:
    """A queue in front of ministack's own count of places, with the same number of places."""

    def __init__(self, places: int, seconds: float) -> None:
        self._places = places
        self._seconds = seconds
        self._lock = threading.Lock()
        self._taken = 0
        self._begun, self._new = deque[threading.Event](), deque[threading.Event]()

    def wrap_acquire(self, original: Any) -> Any:
        """Wrap what takes a place and returns `(key, None)`, or `(None, whose limit was reached)`."""

        def acquire(func: Any, config: Any) -> Any:
            succeeded = _succeeded.get()
            if not self._enter(self._new if succeeded and not succeeded.is_set() else self._begun):
                return None, "account"
            slot, limit = original(func, config)
            if slot is None:  # the function's own limit, at which nothing waits, as on AWS
                self._leave()
            return slot, limit

        return acquire

    def wrap_release(self, original: Any) -> Any:
        """Wrap what gives a place back."""

        def release(key: Any) -> None:
            original(key)
            if key is not None:
                self._leave()

        return release

    def _enter(self, line: deque[threading.Event]) -> bool:
        turn = threading.Event()
        with self._lock:
            line.append(turn)
            self._admit()
        if turn.wait(self._seconds):
            return True
        with self._lock:
            if not turn.is_set():
                line.remove(turn)
            return turn.is_set()

    def _leave(self) -> None:
        with self._lock:
            self._taken -= 1
            self._admit()

    def _admit(self) -> None:
        for line, places in ((self._begun, self._places), (self._new, self._places - self._places // _KEPT_SHARE)):
            while line and self._taken < places:
                self._taken += 1
                line.popleft().set()


def _track_execution(original: Any) -> Any:
    def run_execution(*arguments: Any) -> None:
        _succeeded.set(threading.Event())
        original(*arguments)

    return run_execution


def _note_success(original: Any) -> Any:
    def call_lambda(*arguments: Any) -> Any:
        result = original(*arguments)
        if (succeeded := _succeeded.get()) is not None:
            succeeded.set()
        return result

    return call_lambda


def replace_runtime_api() -> None:
    """Keep web pages from Lambda's runtime API as well, which has a port for each function environment."""
    build = "_build_handler_class"

    def wrap_build(original: Any) -> Any:
        def build_handler_class(*arguments: Any) -> Any:
            class Handler(original(*arguments)):
                def parse_request(self) -> bool:
                    if not super().parse_request():
                        return False
                    if (why := refusal(self.headers.items())) is not None:
                        self.send_error(403, explain=why)
                        return False
                    return True

            return Handler

        return build_handler_class

    replaced: Any = lambda_runtime.ProvidedWorker
    setattr(replaced, build, wrap_build(getattr(replaced, build)))
