"""Tokens to dollars, in integer nano-dollars so that sums never drift."""

import math
from dataclasses import dataclass
from decimal import Decimal

NUSD = 10**9
"""Nano-dollars in a dollar."""


@dataclass(frozen=True, slots=True)
class Price:
    """USD per million tokens, as providers print it."""

    input: Decimal
    output: Decimal
    cached_input: Decimal | None = None

    def cost_nusd(self, input_tokens: int, output_tokens: int, cached_tokens: int = 0) -> int:
        """What a reply costs; `cached_tokens` are part of `input_tokens`. Fractions of a nano-dollar round up."""
        cached_price = self.input if self.cached_input is None else self.cached_input
        per_million_usd = (
            self.input * (input_tokens - cached_tokens) + cached_price * cached_tokens + self.output * output_tokens
        )
        return math.ceil(per_million_usd * 1000)  # USD per million tokens = 1000 nano-dollars per token


FREE = Price(Decimal(0), Decimal(0))


def usd(nusd: int) -> float:
    """Nano-dollars as dollars, for display and for the dataset."""
    return nusd / NUSD
