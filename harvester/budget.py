"""Never overspend: the worst case is reserved before a request is sent, and settled after it."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from harvester.errors import StoppedEarly
from harvester.pricing import Price, usd
from harvester.records import Message

TEMPLATE_BYTES_PER_MESSAGE = 32
"""Upper bound of the tokens that a chat template puts around one message."""


def worst_case_tokens(body: bytes) -> tuple[int, int]:
    """(input, output) tokens that a request can cost at most.

    Input: no tokenizer makes more tokens than the text has UTF-8 bytes, plus an allowance for the chat template.
    Output: max_tokens, 0 where the request has none (a budget without it is refused).
    """
    request = json.loads(body)
    messages: list[Message] = request["messages"]
    text = sum(len(message["content"].encode()) for message in messages)
    return text + TEMPLATE_BYTES_PER_MESSAGE * (len(messages) + 1), request.get("max_tokens", 0)


def worst_case_nusd(price: Price, body: bytes) -> int:
    """What a request can cost at most, in nano-dollars."""
    return price.cost_nusd(*worst_case_tokens(body))


class Budget:
    """Settled + reserved never passes the limit."""

    def __init__(self, limit_nusd: int | None, spent_nusd: int) -> None:
        """A budget of which `spent_nusd` is gone already; no limit where it is None."""
        self._limit_nusd = limit_nusd
        self._spent_nusd = spent_nusd
        self._reserved_nusd = 0
        self._settled = asyncio.Condition()
        self.waiting = 0  # attempts that wait for others to settle

    @property
    def spent_nusd(self) -> int:
        """What is settled."""
        return self._spent_nusd

    @asynccontextmanager
    async def reserve(self, worst_nusd: int) -> AsyncIterator["Reservation"]:
        """Hold the worst case for one attempt; waits while other attempts hold what could be left.

        Raises:
            StoppedEarly: nothing is in flight any more and the rest of the budget does not pay for the attempt.
        """
        if self._limit_nusd is not None:
            async with self._settled:
                while not self._fits(worst_nusd):
                    if self._reserved_nusd == 0:
                        raise StoppedEarly(self._message(worst_nusd))
                    self.waiting += 1
                    try:
                        await self._settled.wait()
                    finally:
                        self.waiting -= 1
                self._reserved_nusd += worst_nusd
        held = Reservation(worst_nusd)
        try:
            yield held
        finally:
            self._spent_nusd += held.cost_nusd
            if self._limit_nusd is not None:
                async with self._settled:
                    self._reserved_nusd -= worst_nusd
                    self._settled.notify_all()

    def _fits(self, worst_nusd: int) -> bool:
        return self._limit_nusd is None or self._spent_nusd + self._reserved_nusd + worst_nusd <= self._limit_nusd

    def _message(self, worst_nusd: int) -> str:
        limit = usd(self._limit_nusd or 0)
        return (
            f"budget: ${usd(self._spent_nusd):.6f} of ${limit:.6f} is spent and the next request may cost "
            f"${usd(worst_nusd):.6f}; raise budget.usd or --budget and run again"
        )


class Reservation:
    """One attempt's hold on the budget; `cost_nusd` is what it is settled at."""

    def __init__(self, worst_nusd: int) -> None:
        """Held at the worst case until something better is known."""
        self.cost_nusd = worst_nusd
