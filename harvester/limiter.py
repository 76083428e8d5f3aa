"""Permits to send: concurrency, tokens per minute, requests per minute. Waiters are woken, never polled."""

import asyncio
import math
import time
from collections import Counter, deque
from collections.abc import AsyncIterator, Awaitable
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
        """A meter that lets `per_minute` pass each minute; math.inf lets everything pass."""
        self.per_minute = per_minute
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
            self._due = max(self._due, self._clock.now()) + self._seconds(amount)

    def settle(self, reserved: float, used: float) -> None:
        """Give back what was reserved and not used (or take what was used beyond it), and wake the next waiter."""
        self._due += self._seconds(used - reserved)
        self._changed.set()

    def hold_until(self, moment: float) -> None:
        """Let nothing pass before `moment` (the clock's seconds); who waits goes on evenly spaced after it."""
        self._due = max(self._due, moment)

    def _seconds(self, amount: float) -> float:
        return amount * 60.0 / (self.per_minute * SAFETY)


class Slots:
    """A semaphore whose size can change; first come, first served."""

    def __init__(self, size: int) -> None:
        """So many at once."""
        self.size = size
        self.in_use = 0
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def __aenter__(self) -> None:
        """Wait for a slot."""
        if self.in_use < self.size and not self._waiting:
            self.in_use += 1
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._leave()  # the slot was given in the same moment: hand it on
            raise

    async def __aexit__(self, *_: object) -> None:
        """Give the slot back."""
        self._leave()

    def resize(self, size: int) -> None:
        """Let `size` in from now on; those who are in stay."""
        self.size = size
        self._admit()

    def _leave(self) -> None:
        self.in_use -= 1
        self._admit()

    def _admit(self) -> None:
        while self._waiting and self.in_use < self.size:
            turn = self._waiting.popleft()
            if not turn.done():  # cancelled while it waited
                self.in_use += 1
                turn.set_result(None)


class Permit:
    """The right to send one request; `used_tokens` is set once the reply's usage is known."""

    def __init__(self, tokens: int) -> None:
        """A permit with `tokens` reserved."""
        self.used_tokens = tokens


class Limiter:
    """One teacher's limits; `waiting` counts who waits for what."""

    def __init__(
        self,
        *,
        concurrency: int,
        requests_per_minute: float = math.inf,
        tokens_per_minute: float = math.inf,
        clock: Clock | None = None,
    ) -> None:
        """The limits that are told, or the ones to start from."""
        self.clock = clock or MonotonicClock()
        self.slots = Slots(concurrency)
        self.requests = Meter(requests_per_minute, self.clock)
        self.tokens = Meter(tokens_per_minute, self.clock)
        self.waiting: Counter[str] = Counter()

    @asynccontextmanager
    async def permit(self, tokens: int) -> AsyncIterator[Permit]:
        """Hold a permit for one request; `tokens` are reserved, and settled by the permit's `used_tokens` after it.

        The meter of requests comes last: a hold on it stops everybody, and lets them go on one by one.
        """
        await self._wait("concurrency", self.slots.__aenter__())
        try:
            await self._wait("tokens", self.tokens.reserve(tokens))
            await self._wait("requests", self.requests.reserve(1))
            permit = Permit(tokens)
            try:
                yield permit
            finally:
                self.tokens.settle(tokens, permit.used_tokens)
        finally:
            await self.slots.__aexit__()

    async def _wait(self, what: str, turn: Awaitable[None]) -> None:
        self.waiting[what] += 1
        try:
            await turn
        finally:
            self.waiting[what] -= 1
