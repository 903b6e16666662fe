"""Threads for blocking calls: the agent's own, and those of everybody else in the process.

Owns both pools. What runs in them ends in a result or in an `Exception`: Python keeps some exceptions for itself, and
asyncio can't hand them on from a thread. `StopIteration` is lost, so that whoever waits for it waits for ever (Python
3.11: "cannot be raised into a Future"), and `KeyboardInterrupt` and `SystemExit` end the event loop, without a word,
and with /ping busy for ever. A tool can raise each of them.
"""

import asyncio
import time
from collections.abc import Callable, Generator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import ParamSpec, TypeVar

from runtime.agent.errors import Escaped

P = ParamSpec("P")
T = TypeVar("T")


class Threads(ThreadPoolExecutor):
    """A pool of threads from which nothing escapes.

    :param counts: whether :func:`until_idle` waits for what they do
    """

    def __init__(self, max_workers: int = 8, thread_name_prefix: str = "", *, counts: bool = False) -> None:
        super().__init__(max_workers, thread_name_prefix)
        self._counts = counts

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Run a function in a thread.

        The future raises :class:`~runtime.agent.errors.Escaped` in place of what asyncio can't pass on.
        """
        return super().submit(partial(_counted if self._counts else _hold, fn), *args, **kwargs)


# Not asyncio's own pool nor anyio's limiter, which others share: Strands makes every model call in the one, and a few
# hung ones would starve the heartbeat.
_OWN = Threads(max_workers=8, thread_name_prefix="blocking")
# In place of asyncio's own pool, which has six threads on two cores: model calls of parallel steps would queue.
_OTHERS = Threads(max_workers=128, thread_name_prefix="model", counts=True)
IDLE_CHECK_SECONDS = 0.05
_at_work = set[object]()


def in_thread(function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> asyncio.Future[T]:
    """Call a function that blocks in one of the agent's eight threads, and return a future of the running loop.

    Cancelling the future abandons the wait, not the call: one that has begun goes on to its end, so a write is sent
    whole, with nobody told how it ended. One that still waits for a thread is dropped.
    """
    return asyncio.get_running_loop().run_in_executor(_OWN, partial(function, *args, **kwargs))


def replace_default_threads() -> None:
    """Let what uses the running loop's default threads, as Strands and `asyncio.to_thread` do, end as promised here."""
    asyncio.get_running_loop().set_default_executor(_OTHERS)


@contextmanager
def at_work() -> Generator[None]:
    """Let :func:`until_idle` wait for what this thread does meanwhile."""
    work = object()
    _at_work.add(work)
    try:
        yield
    finally:
        _at_work.discard(work)


async def until_idle(seconds: float) -> None:
    """Wait until no step's code, tool or model call runs in a thread any more, but not for longer than that."""
    give_up = time.monotonic() + seconds
    while _at_work and time.monotonic() < give_up:  # noqa: ASYNC110 - threads can't set a loop's event
        await asyncio.sleep(IDLE_CHECK_SECONDS)


def _counted(fn: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    with at_work():
        return _hold(fn, *args, **kwargs)


def _hold(fn: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    try:
        return fn(*args, **kwargs)
    except StopIteration as error:
        raise Escaped(error) from error
    except Exception:
        raise
    except BaseException as error:
        raise Escaped(error) from error
