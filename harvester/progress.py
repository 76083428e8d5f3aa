"""How a run is told what to do, and how it tells how far it is."""

from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal

REPORT_EVERY_S = 5.0


@dataclass(slots=True)
class Progress:
    """What a run did so far."""

    recipe: str
    to_ask: int
    maybe_asked_again: int = 0  # at most so many requests of killed runs were sent and are sent again
    sent: int = 0  # attempts
    answered: int = 0
    failed: int = 0
    reasons: dict[str, int] = field(default_factory=dict)  # of failing → requests
    accepted: int = 0  # in this run
    accepted_rows: int | None = None  # of train, in the store; counted where `Options.accept` asks for a number
    other_models: dict[str, int] = field(default_factory=dict)  # named by replies instead of the one asked → replies
    lacking_logprobs: int = 0  # replies without them, though they were asked for
    in_flight: int = 0
    waiting: dict[str, int] = field(default_factory=dict)  # for what → requests
    spent_usd: float = 0.0  # by the whole store
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line adds to a recipe."""

    limit: int | None = None  # requests asked in this run
    accept: int | None = None  # once so many rows of train are accepted, ask only for dev and test
    budget_usd: Decimal | None = None  # for the store in all, instead of the recipe's
    retry_failed: bool = False  # ask also what failed for good before
    report: Callable[[Progress], None] | None = None  # called every `report_every_s`
    report_every_s: float = REPORT_EVERY_S
    say: Callable[[str], None] | None = None  # called with what a person should know at once
