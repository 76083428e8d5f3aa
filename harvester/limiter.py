"""Permits to send: requests per minute, tokens per minute, concurrency. Waiters are woken, never polled."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Protocol

SAFETY = 0.985
"""Share of a published limit that is used: a provider's window and ours never start at the same instant."""


class Clock(Protocol):
    """Monotonic time and waiting, injected so that tests need no real minutes."""

    def now(self) -> float:
        """Seconds, monotonic."""

    async def wait(self, event: asyncio.Event, timeout_s: float) -> None:
        """Return when the event is set or `timeout_s` have passed."""


class MonotonicClock:
    """The real clock: a jump of the wall clock changes nothing."""

    def now(self) -> float:
        """Seconds, monotonic."""
        return time.monotonic()

    async def wait(self, event: asyncio.Event, timeout_s: float) -> None:
        """Return when the event is set or `timeout_s` have passed."""
        try:
            async with asyncio.timeout(timeout_s):
                await event.wait()
        except TimeoutError:
            return


class Meter:
    """GCRA over an amount per minute, spaced evenly; first come, first served.

    The state is one number, the theoretical arrival time: an amount n may pass when it is not in the future, and
    moves it by n minutes / limit (ITU-T I.371, virtual scheduling). `settle` moves it back by what was not used.
    """

    def __init__(self, per_minute: float, clock: Clock) -> None:
        """A meter that lets `per_minute` pass each minute."""
        self._seconds_each = 60.0 / (per_minute * SAFETY)
        self._clock = clock
        self._due = clock.now()
        self._turn = asyncio.Lock()  # FIFO: a large request is not starved by small ones
        self._changed = asyncio.Event()

    async def reserve(self, amount: float) -> None:
        """Wait until `amount` may pass, and take it."""
        async with self._turn:
            while (wait_s := self._due - self._clock.now()) > 0:
                self._changed.clear()
                await self._clock.wait(self._changed, wait_s)
            self._due = max(self._due, self._clock.now()) + amount * self._seconds_each

    def settle(self, reserved: float, used: float) -> None:
        """Give back what was reserved and not used (or take what was used beyond it), and wake the next waiter."""
        self._due += (used - reserved) * self._seconds_each
        self._changed.set()


class Permit:
    """The right to send one request; `used_tokens` is set once the reply's usage is known."""

    def __init__(self, tokens: int) -> None:
        """A permit with `tokens` reserved."""
        self.used_tokens = tokens


class Limiter:
    """One teacher's limits: concurrency first, then requests, then tokens."""

    def __init__(
        self,
        *,
        concurrency: int,
        requests_per_minute: int | None = None,
        tokens_per_minute: int | None = None,
        clock: Clock | None = None,
    ) -> None:
        """Meters for the limits that are told."""
        clock = clock or MonotonicClock()
        self._slots = asyncio.Semaphore(concurrency)
        self._requests = Meter(requests_per_minute, clock) if requests_per_minute else None
        self._tokens = Meter(tokens_per_minute, clock) if tokens_per_minute else None

    @asynccontextmanager
    async def permit(self, tokens: int) -> AsyncIterator[Permit]:
        """Hold a permit for one request; `tokens` are reserved and settled by the permit's `used_tokens` after it."""
        async with self._slots:
            if self._requests:
                await self._requests.reserve(1)
            if self._tokens:
                await self._tokens.reserve(tokens)
            permit = Permit(tokens)
            try:
                yield permit
            finally:
                if self._tokens:
                    self._tokens.settle(tokens, permit.used_tokens)
