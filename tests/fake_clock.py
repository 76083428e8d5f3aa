"""A clock of the test's own: no real minute passes."""

import asyncio
import heapq
from collections.abc import Coroutine
from typing import Any


class FakeClock:
    """Time moves only when everybody waits; then it jumps to the earliest deadline."""

    def __init__(self) -> None:
        self.time = 0.0
        self._sleepers: list[tuple[float, int, asyncio.Event]] = []
        self._count = 0

    def now(self) -> float:
        return self.time

    async def wait(self, event: asyncio.Event, timeout_s: float) -> None:
        woken = asyncio.Event()
        self._count += 1
        heapq.heappush(self._sleepers, (self.time + timeout_s, self._count, woken))
        waits = [asyncio.ensure_future(event.wait()), asyncio.ensure_future(woken.wait())]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    async def sleep(self, seconds: float) -> None:
        woken = asyncio.Event()
        self._count += 1
        heapq.heappush(self._sleepers, (self.time + seconds, self._count, woken))
        await woken.wait()

    async def run(self, *work: Coroutine[Any, Any, Any], until: float = float("inf")) -> None:
        """Run coroutines to their end, or until this time has come."""
        tasks = [asyncio.ensure_future(one) for one in work]
        while not all(task.done() for task in tasks) and self.time < until:
            for _ in range(20):  # let everybody who can move, move
                await asyncio.sleep(0)
            if self._sleepers:
                self.time, _, woken = heapq.heappop(self._sleepers)
                woken.set()
        for task in tasks:
            task.cancel()
        for result in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(result, Exception):
                raise result
