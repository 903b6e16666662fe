"""Looking again and again, on the kernel's own event loop, for as long as somebody looks and something can change.

ipykernel ignores an interrupt while no cell runs. It has to end this, so the signal gets a handler then.
"""

import asyncio
import signal
import threading
import time
from collections.abc import Awaitable, Callable
from weakref import WeakSet

MIN_PAUSE_SECONDS = 3.0
PAUSE_FACTOR = 4
"""A pause is so many times as long as a look takes: a slow stack is not kept busy by looking at it."""
MAX_SECONDS = 3600.0
"""A browser that vanishes does not say so."""
TICK_SECONDS = 0.25


class Refreshing:
    """Calls something in intervals until it isn't needed any more, an interrupt comes, or an hour is over.

    Has to be used on the thread of a running event loop.

    :param look: one look; it handles its own errors
    :param is_needed: whether there is anything to look at again
    :param on_stop: told why it has ended before its time
    """

    def __init__(
        self, look: Callable[[], Awaitable[None]], is_needed: Callable[[], bool], on_stop: Callable[[str], None]
    ) -> None:
        self._look = look
        self._is_needed = is_needed
        self._on_stop = on_stop
        self._task: asyncio.Task[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def is_running(self) -> bool:
        """Whether it will look again."""
        return self._task is not None and not self._task.done()

    def start(self) -> None:
        """Begin, unless it has begun or isn't needed."""
        if not self.is_running and self._is_needed():
            self._loop = asyncio.get_running_loop()
            self._task = self._loop.create_task(self._run())
            _all.add(self)

    def stop(self, why: str = "") -> None:
        """End it.

        :param why: told to `on_stop`, unless it is empty
        """
        if self._task is not None and self.is_running:
            self._task.cancel()
            self._task = None
            if why:
                self._on_stop(why)

    def interrupted(self) -> None:
        """End it; called by a signal's handler."""
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self.stop, "the kernel was interrupted")

    async def _run(self) -> None:
        give_up, pause = time.monotonic() + MAX_SECONDS, MIN_PAUSE_SECONDS
        while self._is_needed():
            await _sleep(pause)
            if time.monotonic() > give_up:
                self._on_stop("an hour is over")
                return
            began = time.monotonic()
            await self._look()
            pause = max(MIN_PAUSE_SECONDS, PAUSE_FACTOR * (time.monotonic() - began))


_all: WeakSet[Refreshing] = WeakSet()


async def _sleep(seconds: float) -> None:
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        _listen()
        await asyncio.sleep(min(left, TICK_SECONDS))


def _listen() -> None:
    """Take the signal while the kernel ignores it; while a cell runs, the kernel has a handler of its own."""
    is_main = threading.current_thread() is threading.main_thread()
    if is_main and signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, lambda _signal, _frame: [each.interrupted() for each in list(_all)])
