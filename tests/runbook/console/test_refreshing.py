"""Looking again and again, until there is a reason not to."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Callable, Iterator

import pytest

from runbook.console import refreshing
from runbook.console.refreshing import Refreshing


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hardly any pauses."""
    monkeypatch.setattr(refreshing, "MIN_PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(refreshing, "TICK_SECONDS", 0.005)


@pytest.fixture
def ignored() -> Iterator[None]:
    """An interrupt is ignored, as a kernel does between cells."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    yield
    signal.signal(signal.SIGINT, before)


class Looks:
    """Looks that are counted, as long as they are wanted."""

    def __init__(self, wanted: int = 1_000_000) -> None:
        self.number = 0
        self.wanted = wanted
        self.told: list[str] = []
        self.refreshing = Refreshing(self.look, lambda: self.number < self.wanted, self.told.append)

    async def look(self) -> None:
        """One look."""
        self.number += 1

    async def until(self, number: int) -> None:
        """Wait for so many looks."""
        await _until(lambda: self.number >= number)

    async def until_ended(self) -> None:
        """Wait for the end."""
        await _until(lambda: not self.refreshing.is_running)


async def _until(condition: Callable[[], bool]) -> None:
    give_up = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < give_up
        await asyncio.sleep(0.005)


def test_it_looks_as_long_as_it_is_needed() -> None:
    async def scenario() -> None:
        looks = Looks(wanted=3)
        looks.refreshing.start()
        await looks.until_ended()
        assert looks.number == 3
        assert looks.told == []
        looks.refreshing.start()
        assert not looks.refreshing.is_running

    asyncio.run(scenario())


def test_it_begins_once() -> None:
    async def scenario() -> None:
        looks = Looks()
        looks.refreshing.start()
        task = looks.refreshing._task
        looks.refreshing.start()
        assert looks.refreshing._task is task
        looks.refreshing.stop()

    asyncio.run(scenario())


@pytest.mark.usefixtures("ignored")
def test_an_interrupt_of_an_idle_kernel_ends_it_and_it_says_so() -> None:
    async def scenario() -> None:
        looks = Looks()
        looks.refreshing.start()
        await looks.until(2)
        os.kill(os.getpid(), signal.SIGINT)
        await looks.until_ended()
        assert looks.told == ["the kernel was interrupted"]
        looks.refreshing.start()
        await looks.until(looks.number + 1)
        looks.refreshing.stop()

    asyncio.run(scenario())


def test_while_a_cell_runs_an_interrupt_is_the_cell_s() -> None:
    async def scenario() -> None:
        before = signal.getsignal(signal.SIGINT)
        looks = Looks()
        looks.refreshing.start()
        await looks.until(2)
        assert signal.getsignal(signal.SIGINT) is before
        looks.refreshing.stop()

    asyncio.run(scenario())


def test_an_hour_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refreshing, "MAX_SECONDS", 0.05)

    async def scenario() -> None:
        looks = Looks()
        looks.refreshing.start()
        await looks.until_ended()
        assert looks.told == ["an hour is over"]

    asyncio.run(scenario())
