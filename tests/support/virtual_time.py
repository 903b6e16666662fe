"""An event loop whose clock jumps: hours of waiting take milliseconds, in an order that never changes.

The loop runs what is ready, and when nothing is, its time jumps to the next timer. Nothing may run in other
threads then, so the loop does blocking calls at once, whichever executor they are for, or takes virtual time for them.
"""

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor
from functools import partial
from typing import Any, TypeVar, TypeVarTuple, Unpack

from tests.support.faulty_dynamodb import NoAnswer

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class _JumpingSelector(selectors.DefaultSelector):
    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if ready or timeout == 0:
            return ready
        if timeout is None:
            raise RuntimeError("everything waits, and no timer will ever wake it")
        self.now += timeout
        return []


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """Begins at second 0.

    :ivar blocking_seconds: how long the results of blocking calls are held back
    """

    def __init__(self) -> None:
        self.blocking_seconds = 0.0
        self._jumping = _JumpingSelector()
        super().__init__(self._jumping)

    def time(self) -> float:
        """Return the seconds since the loop began."""
        return self._jumping.now

    def jump(self, seconds: float) -> None:
        """Let the time jump ahead."""
        self._jumping.now += seconds

    def run_in_executor(
        self,
        executor: Executor | None,  # noqa: ARG002 - of no importance here
        func: Callable[[Unpack[Ts]], T],
        *args: *Ts,
    ) -> asyncio.Future[T]:
        """Call the function and return a future with what came of it: never done, if that was `NoAnswer`."""
        future: asyncio.Future[T] = self.create_future()
        try:
            self._settle(future, partial(future.set_result, func(*args)))
        except NoAnswer:
            pass
        except Exception as error:
            self._settle(future, partial(future.set_exception, error))
        return future

    def _settle(self, future: asyncio.Future[Any], settle: Callable[[], None]) -> None:
        self.call_later(self.blocking_seconds, lambda: None if future.done() else settle())


def run(main: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run a coroutine function in a loop of its own.

    :raises RuntimeError: if it waits for something that can't happen any more
    """
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(main())


def jump(seconds: float) -> None:
    """Let the running loop's clock jump, as it does for a process that was stopped and goes on."""
    running_loop().jump(seconds)


def running_loop() -> VirtualTimeLoop:
    """Return the loop that runs."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualTimeLoop)
    return loop
