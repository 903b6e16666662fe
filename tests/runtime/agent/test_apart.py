"""Plain code beside the event loop: threads and real time, so each claim has a deadline."""

import asyncio
import threading
import time
from contextvars import ContextVar

import pytest

from runtime.agent.apart import run_apart
from runtime.agent.errors import Escaped

TAG: ContextVar[str] = ContextVar("TAG")


def test_code_that_blocks_does_not_hold_up_the_caller() -> None:
    async def blocks() -> str:
        time.sleep(0.3)  # noqa: ASYNC251 - this is what it must survive
        return "done"

    async def main() -> tuple[str, int]:
        working, turns = asyncio.ensure_future(run_apart(blocks)), 0
        while not working.done():
            await asyncio.sleep(0.01)
            turns += 1
        return working.result(), turns

    answer, turns = asyncio.run(main())
    assert answer == "done"
    assert turns > 5


def test_a_cancelled_caller_cancels_the_code() -> None:
    cancelled = threading.Event()

    async def waits() -> str:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise
        return ""

    async def main() -> None:
        working = asyncio.ensure_future(run_apart(waits))
        await asyncio.sleep(0.05)
        working.cancel()
        with pytest.raises(asyncio.CancelledError):
            await working

    asyncio.run(main())
    assert cancelled.wait(5)


def test_a_caller_that_is_cancelled_at_once_is_free_although_the_code_blocks() -> None:
    released = threading.Event()

    async def blocks() -> str:
        released.wait(5)
        return ""

    async def main() -> float:
        began = time.monotonic()
        working = asyncio.ensure_future(run_apart(blocks))
        await asyncio.sleep(0)
        working.cancel()
        with pytest.raises(asyncio.CancelledError):
            await working
        return time.monotonic() - began

    assert asyncio.run(main()) < 2
    released.set()


@pytest.mark.parametrize("left", [SystemExit(3), KeyboardInterrupt()])
def test_code_that_would_end_the_event_loop_fails_like_any_other(left: BaseException) -> None:
    async def leaves() -> str:
        raise left

    with pytest.raises(Escaped, match=type(left).__name__):
        asyncio.run(run_apart(leaves))


def test_an_error_reaches_the_caller_as_it_is() -> None:
    async def fails() -> str:
        raise LookupError("nothing there")

    with pytest.raises(LookupError, match="nothing there"):
        asyncio.run(run_apart(fails))


def test_code_sees_the_context_of_its_caller() -> None:
    async def reads() -> str:
        return TAG.get()

    async def main() -> str:
        TAG.set("session 7")
        return await run_apart(reads)

    assert asyncio.run(main()) == "session 7"


def test_a_thread_is_no_reason_for_a_process_to_stay() -> None:
    async def looks() -> bool:
        return threading.current_thread().daemon

    assert asyncio.run(run_apart(looks))
