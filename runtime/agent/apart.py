"""Runs a coroutine in a thread with an event loop of its own, so that it may block without holding up the process.

Each gets a new thread, not one from a pool: a coroutine that never ends takes no worker from others, and doesn't keep
the process from shutting down.
"""

import asyncio
import contextvars
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from typing import Any, TypeVar

from runtime.agent.errors import Escaped
from runtime.agent.threads import at_work

T = TypeVar("T")


async def run_apart(function: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Return what a coroutine function returns. Cancelling this cancels the function without waiting for it.

    :raises Escaped: if it calls `sys.exit()` or raises `KeyboardInterrupt`, which would end the event loop
    :raises Exception: whatever else it raises
    """
    future: Future[T] = Future()
    # The context carries the tags of log lines and spans.
    context = contextvars.copy_context()
    threading.Thread(target=context.run, args=(_run, function, future), name="step", daemon=True).start()
    return await asyncio.wrap_future(future)


def _run(function: Callable[[], Coroutine[Any, Any, T]], future: "Future[T]") -> None:
    # Cancelled in the meantime: nobody is waiting for the result.
    with suppress(InvalidStateError), at_work():
        try:
            future.set_result(asyncio.run(_cancellable(function, future)))
        except (SystemExit, KeyboardInterrupt) as left:
            future.set_exception(Escaped(left, "the step's code "))
        except BaseException as error:
            future.set_exception(error)


async def _cancellable(function: Callable[[], Coroutine[Any, Any, T]], future: "Future[T]") -> T:
    loop, task = asyncio.get_running_loop(), asyncio.current_task()

    def stop(done: "Future[T]") -> None:
        if done.cancelled() and task:
            # The loop may already be closed.
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(task.cancel)

    future.add_done_callback(stop)
    return await function()
