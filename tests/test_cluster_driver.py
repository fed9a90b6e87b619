"""The driver: controllers get their turns on the event loop, and nobody is starved."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from kitlib.cluster.driver import Driver
from kitlib.objects.clock import SystemClock


class FakeManager:
    """Has `work` slices of work; counts how often it was called."""

    def __init__(self, work: int = 0, due: float | None = None, fails: bool = False) -> None:
        self.work, self.due, self.fails, self.slices = work, due, fails, 0
        self.ready: Callable[[], None] = lambda: None

    def on_ready(self, callback: Callable[[], None]) -> None:
        self.ready = callback

    def run_once(self, turns: int = 0) -> bool:
        self.slices += 1
        if self.fails:
            raise ZeroDivisionError
        self.work = max(0, self.work - 1)
        if self.due is not None and self.due <= SystemClock().monotonic():
            self.due = None
        return self.work > 0

    def next_due(self) -> float | None:
        return self.due


def drive(manager: FakeManager, test: Callable[[Driver], Awaitable[None]]) -> None:
    async def main() -> None:
        driver = Driver(manager, SystemClock(), asyncio.get_running_loop())
        try:
            await test(driver)
        finally:
            driver.stop()

    asyncio.run(main())


def test_work_is_done_to_its_end_and_then_there_is_silence() -> None:
    manager = FakeManager(work=50)

    async def test(driver: Driver) -> None:
        driver.wake()
        await asyncio.wait_for(driver.settled.wait(), 5)
        await asyncio.sleep(0.05)

    drive(manager, test)
    assert manager.slices == 50


def test_between_two_slices_others_have_their_turn() -> None:
    manager, others = FakeManager(work=200), []

    async def test(driver: Driver) -> None:
        driver.wake()
        while manager.work:
            others.append(manager.slices)
            await asyncio.sleep(0)

    drive(manager, test)
    assert len(others) > 100


def test_an_event_wakes_it_once_however_often_it_comes() -> None:
    manager = FakeManager()

    async def test(driver: Driver) -> None:
        for _ in range(100):
            manager.ready()
        await asyncio.sleep(0.05)

    drive(manager, test)
    assert manager.slices == 1


def test_what_is_due_later_is_done_later() -> None:
    manager = FakeManager(due=SystemClock().monotonic() + 0.1)

    async def test(driver: Driver) -> None:
        driver.wake()
        await asyncio.sleep(0.05)
        assert manager.slices == 1
        await asyncio.sleep(0.15)
        assert manager.slices == 2

    drive(manager, test)


def test_a_slice_that_always_fails_does_not_spin() -> None:
    manager = FakeManager(fails=True, due=0.0)

    async def test(driver: Driver) -> None:
        driver.wake()
        await asyncio.sleep(0.2)

    drive(manager, test)
    assert manager.slices == 1


def test_after_stop_nothing_runs() -> None:
    manager = FakeManager()

    async def test(driver: Driver) -> None:
        driver.wake()
        driver.stop()
        manager.ready()
        await asyncio.sleep(0.02)

    drive(manager, test)
    assert manager.slices == 0
