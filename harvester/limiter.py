"""Permits to send: concurrency, tokens per minute, requests per minute. Waiters are woken, never polled."""

import asyncio
import math
import time
from collections import Counter, deque
from collections.abc import Awaitable
from typing import Protocol, Self

SAFETY = 0.985
"""Share of a published limit that is used: a provider's window and ours never start at the same instant."""
LATE_REQUESTS_S, LATE_TOKENS_S = 0.25, 0.5
"""What a meter may fall behind its schedule and catch up: a timer that fires late, a reservation given back just now.
Less than the share of a minute that SAFETY leaves free."""
LONGEST_WAIT_S = 3600.0
"""A teacher that asks to wait for longer is given up for this run."""


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

    def __init__(self, per_minute: float, clock: Clock, *, late_s: float = 0.0) -> None:
        """A meter that lets `per_minute` pass each minute, and catches up `late_s`; math.inf lets everything pass."""
        self.per_minute = per_minute
        self.held_until = -math.inf  # the clock's seconds
        self._clock = clock
        self._late_s = late_s
        self._due = clock.now()
        self._turn = asyncio.Lock()  # FIFO: a large request is not starved by small ones
        self._changed = asyncio.Event()

    def try_reserve(self, amount: float) -> bool:
        """Take `amount` if nobody waits and it may pass at once."""
        now = self._clock.now()
        if max(self._due, self.held_until) > now or self._turn.locked():
            return False
        self._due = now + self._seconds(amount)
        return True

    async def reserve(self, amount: float) -> None:
        """Wait until `amount` may pass, and take it."""
        waited = self._turn.locked()
        async with self._turn:
            while (wait_s := max(self._due, self.held_until) - self._clock.now()) > 0:
                waited = True
                self._changed.clear()
                await self._clock.wait(self._changed, wait_s)
            # Only who waited can be late: nothing is saved up while nobody asks.
            earliest = self._clock.now() - (self._late_s if waited else 0.0)
            self._due = max(self._due, earliest) + self._seconds(amount)

    def settle(self, reserved: float, used: float) -> None:
        """Give back what was reserved and not used (or take what was used beyond it), and wake the next waiter."""
        self._due += self._seconds(used - reserved)
        self._changed.set()

    def hold_until(self, moment: float) -> None:
        """Let nothing pass before `moment` (the clock's seconds), as the teacher asks; then go on evenly spaced."""
        self.held_until = max(self.held_until, moment)

    def next_at(self, moment: float) -> None:
        """Let the next one pass at `moment`, whatever the spacing so far; not before a hold ends."""
        self._due = moment
        self._changed.set()

    def _seconds(self, amount: float) -> float:
        return amount * 60.0 / (self.per_minute * SAFETY)


class Slots:
    """A semaphore whose size can change; first come, first served."""

    def __init__(self, size: int) -> None:
        """So many at once."""
        self.size = size
        self.in_use = 0
        self._waiting: deque[asyncio.Future[None]] = deque()

    def try_enter(self) -> bool:
        """Take a slot if one is free and nobody waits."""
        if self.in_use < self.size and not self._waiting:
            self.in_use += 1
            return True
        return False

    async def enter(self) -> None:
        """Wait for a slot."""
        if self.try_enter():
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.leave()  # the slot was given in the same moment: hand it on
            raise

    def leave(self) -> None:
        """Give the slot back."""
        self.in_use -= 1
        self._admit()

    def resize(self, size: int) -> None:
        """Let `size` in from now on; those who are in stay."""
        self.size = size
        self._admit()

    def _admit(self) -> None:
        while self._waiting and self.in_use < self.size:
            turn = self._waiting.popleft()
            if not turn.done():  # cancelled while it waited
                self.in_use += 1
                turn.set_result(None)


class Permit:
    """The right to send one request, as a context; `used_tokens` is set once the reply's usage is known."""

    def __init__(self, limiter: "Limiter", tokens: int) -> None:
        """A permit for which `tokens` will be reserved."""
        self._limiter, self._tokens = limiter, tokens
        self.used_tokens = tokens

    async def __aenter__(self) -> Self:
        """Wait for it."""
        await self._limiter.acquire(self._tokens)
        return self

    async def __aexit__(self, *_: object) -> None:
        """Give it back, and what was reserved and not used."""
        self._limiter.tokens.settle(self._tokens, self.used_tokens)
        self._limiter.slots.leave()


class Limiter:
    """One teacher's limits."""

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
        self.told_per_minute = requests_per_minute
        self.requests = Meter(requests_per_minute, self.clock, late_s=LATE_REQUESTS_S)
        self.tokens = Meter(tokens_per_minute, self.clock, late_s=LATE_TOKENS_S)
        self._waiting: Counter[str] = Counter()

    @property
    def waiting(self) -> dict[str, int]:
        """Who waits for what: concurrency, tokens, requests; for the teacher itself where it asked for a pause."""
        held = self.requests.held_until > self.clock.now()
        return {"teacher" if held and what == "requests" else what: count for what, count in self._waiting.items()}

    def permit(self, tokens: int) -> Permit:
        """A permit for one request; `tokens` are reserved, and settled by its `used_tokens` after it."""
        return Permit(self, tokens)

    async def acquire(self, tokens: int) -> None:
        """Wait for a slot, the tokens and the request.

        The meter of requests comes last: a hold on it stops everybody, and lets them go on one by one.
        """
        if not self.slots.try_enter():
            await self._wait("concurrency", self.slots.enter())
        try:
            if not self.tokens.try_reserve(tokens):
                await self._wait("tokens", self.tokens.reserve(tokens))
            if not self.requests.try_reserve(1):
                await self._wait("requests", self.requests.reserve(1))
        except BaseException:
            self.slots.leave()
            raise

    async def _wait(self, what: str, turn: Awaitable[None]) -> None:
        self._waiting[what] += 1
        try:
            await turn
        finally:
            self._waiting[what] -= 1
