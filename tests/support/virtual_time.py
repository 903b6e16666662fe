"""An event loop whose clock jumps: hours of waiting take milliseconds, in an order that never changes.

The loop runs what is ready, and when nothing is, its time jumps to the next timer. Nothing may run in other
threads then, so blocking calls go to an `InlineExecutor`, which does them at once, or takes virtual time for them.
"""

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor, Future
from typing import Any, ParamSpec, TypeVar

from tests.support.faulty_dynamodb import NoAnswer

P = ParamSpec("P")
T = TypeVar("T")


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
    """Begins at second 0."""

    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        super().__init__(self._jumping)

    def time(self) -> float:
        """Return the seconds since the loop began."""
        return self._jumping.now

    def jump(self, seconds: float) -> None:
        """Let the time jump ahead."""
        self._jumping.now += seconds


def run(main: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run a coroutine function in a loop of its own.

    :raises RuntimeError: if it waits for something that can't happen any more
    """
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(main())


class InlineExecutor(Executor):
    """Does what it is given at once, in the caller's thread.

    A function that raises `NoAnswer` gives a future that is never done.

    :ivar seconds: how long, in virtual time, the results are held back
    """

    def __init__(self) -> None:
        self.seconds = 0.0

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Call the function and return a future with what came of it."""
        future: Future[T] = Future()
        try:
            result = fn(*args, **kwargs)
        except NoAnswer:
            return future
        except Exception as error:
            self._deliver(future, future.set_exception, error)
        else:
            self._deliver(future, future.set_result, result)
        return future

    def _deliver(self, future: Future[T], settle: Callable[[Any], None], value: Any) -> None:
        if not self.seconds:
            settle(value)
            return

        def later() -> None:
            if not future.cancelled():
                settle(value)

        asyncio.get_running_loop().call_later(self.seconds, later)


def jump(seconds: float) -> None:
    """Let the running loop's clock jump, as it does for a process that was stopped and goes on."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualTimeLoop)
    loop.jump(seconds)
