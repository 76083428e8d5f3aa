"""Never overspend: the worst case is reserved before a request is sent, and settled after it."""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from harvester.errors import StoppedEarly
from harvester.pricing import Price, usd
from harvester.records import Message, Usage

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
    output = request.get("max_tokens") or request.get("max_completion_tokens") or 0
    return text + TEMPLATE_BYTES_PER_MESSAGE * (len(messages) + 1), output


def worst_case_nusd(price: Price, body: bytes) -> int:
    """What a request can cost at most, in nano-dollars."""
    return price.cost_nusd(*worst_case_tokens(body))


def cost_nusd(price: Price, usage: Usage, worst_nusd: int) -> int:
    """What a reply costs by its usage; one that states none counts as the worst case."""
    if usage.input_tokens is None or usage.output_tokens is None:
        return worst_nusd
    return price.cost_nusd(usage.input_tokens, usage.output_tokens, usage.cached_tokens)


@dataclass(frozen=True, slots=True)
class Cap:
    """A sum that must not be passed, and what of it is gone before this run; `field` is what a user raises."""

    field: str
    limit_nusd: int
    spent_nusd: int = 0


class Budget:
    """Settled + reserved never passes any of its caps."""

    def __init__(self, spent_nusd: int = 0, caps: Sequence[Cap] = (), within: "Budget | None" = None) -> None:
        """A budget for a store that has cost `spent_nusd` so far; unlimited without caps.

        Args:
            spent_nusd: before this run.
            caps: sums that must not be passed.
            within: a wider budget, which everything is taken from, too.
        """
        self._within = within
        self._before_nusd = spent_nusd
        self._settled_nusd = 0  # in this run
        self._reserved_nusd = 0
        self.caps = tuple(caps)
        self._tightest = min(caps, key=_left, default=None)  # every cap loses the same: one is enough to watch
        self._given_back = asyncio.Event()
        self.waiting = 0  # attempts that wait for others to settle

    @property
    def spent_nusd(self) -> int:
        """What the store has cost, this run's settled attempts included."""
        return self._before_nusd + self._settled_nusd

    @property
    def reserved_nusd(self) -> int:
        """What is held for attempts that are not settled."""
        return self._reserved_nusd

    def gone_nusd(self, cap: Cap) -> int:
        """What of one of its caps is spent, this run's settled attempts included."""
        return cap.spent_nusd + self._settled_nusd

    def reserve(self, worst_nusd: int) -> "Reservation":
        """Hold the worst case for one attempt."""
        return Reservation(self, worst_nusd)

    async def take(self, worst_nusd: int) -> None:
        """Hold an amount; waits while other attempts hold what could be left.

        Raises:
            StoppedEarly: nothing is in flight any more and the rest of the budget does not pay for the attempt.
        """
        cap = self._tightest
        while cap and self._settled_nusd + self._reserved_nusd + worst_nusd > _left(cap):
            if self._reserved_nusd == 0:
                raise StoppedEarly(self._message(cap, worst_nusd))
            self.waiting += 1
            self._given_back.clear()
            try:
                await self._given_back.wait()
            finally:
                self.waiting -= 1
        self._reserved_nusd += worst_nusd
        if self._within:
            try:
                await self._within.take(worst_nusd)
            except BaseException:
                self._give_back(worst_nusd)
                raise

    def settle(self, worst_nusd: int, cost_nusd: int) -> None:
        """Give back what was held for an attempt, and count what it cost."""
        self._settled_nusd += cost_nusd
        self._give_back(worst_nusd)
        if self._within:
            self._within.settle(worst_nusd, cost_nusd)

    def _give_back(self, worst_nusd: int) -> None:
        self._reserved_nusd -= worst_nusd
        self._given_back.set()

    def _message(self, cap: Cap, worst_nusd: int) -> str:
        return (
            f"budget: ${usd(self.gone_nusd(cap)):.6f} of ${usd(cap.limit_nusd):.6f} is spent and the "
            f"next request may cost ${usd(worst_nusd):.6f}; raise {cap.field} and run again"
        )


def _left(cap: Cap) -> int:
    """What this run may spend, in nano-dollars; negative where more is gone already."""
    return cap.limit_nusd - cap.spent_nusd


class Reservation:
    """One attempt's hold on the budget; `cost_nusd` is what it is settled at: nothing until it is sent."""

    def __init__(self, budget: Budget, worst_nusd: int) -> None:
        self._budget, self._worst_nusd = budget, worst_nusd
        self.cost_nusd = 0

    async def __aenter__(self) -> Self:
        """Take hold, as `Budget.take` does."""
        await self._budget.take(self._worst_nusd)
        return self

    async def __aexit__(self, *_: object) -> None:
        """Settle."""
        self._budget.settle(self._worst_nusd, self.cost_nusd)
