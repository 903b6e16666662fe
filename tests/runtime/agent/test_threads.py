"""Blocking calls in real threads; what a tool raises in one is in test_entrypoint.py and test_model.py."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from runtime.agent.threads import in_thread
from tests.support.waiting import wait_until


def test_calls_that_hang_in_the_default_threads_do_not_hold_up_the_agents_own() -> None:
    released = threading.Event()

    async def main() -> str:
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(1))
        # Begun at once, where a task would only begin after the call below.
        hung = [asyncio.get_running_loop().run_in_executor(None, released.wait, 20) for _ in range(2)]
        try:
            async with asyncio.timeout(5):
                return await in_thread(str.upper, "written")
        finally:
            released.set()
            await asyncio.wait(hung)

    assert asyncio.run(main()) == "WRITTEN"


def test_a_call_whose_waiter_is_cancelled_goes_on_to_its_end() -> None:
    begun, released, written = threading.Event(), threading.Event(), threading.Event()

    def write() -> None:
        begun.set()
        assert released.wait(10)
        written.set()

    async def main() -> None:
        writing = in_thread(write)
        await asyncio.to_thread(begun.wait, 10)
        writing.cancel()
        with suppress(asyncio.CancelledError):
            await writing

    asyncio.run(main())
    assert not written.is_set()
    released.set()
    wait_until(written.is_set, "the call is over")
