"""How a run is told what to do, and how it tells how far it is."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

from harvester.records import Json
from harvester.saying import NOTE

REPORT_EVERY_S = 5.0


@dataclass(slots=True)
class TeacherProgress:
    """What a run did so far with one teacher, and what it may do."""

    sent: int = 0  # attempts
    answered: int = 0
    throttled: int = 0  # attempts that the teacher refused for its limits
    broken: int = 0  # attempts that ended otherwise, without an answer
    failed: int = 0  # requests
    in_flight: int = 0
    waiting: dict[str, int] = field(default_factory=dict)  # for what → requests
    input_tokens: int = 0  # as the answers' usage states them
    output_tokens: int = 0
    spent_usd: float = 0.0  # by this run
    per_minute: dict[str, float] = field(default_factory=dict)  # sent, ended, tokens: over the last minute
    # What it may do now, as far as that is told or found; None: no limit is known.
    requests_per_minute: float | None = None
    tokens_per_minute: float | None = None
    concurrency: int = 0
    paused_s: float = 0.0  # it asked to wait so much longer
    circuit_open: bool = False  # nothing but failures: it is only probed


@dataclass(frozen=True, slots=True)
class BudgetProgress:
    """A sum that must not be passed, and what of it is gone; what batches hold counts as gone."""

    limit_usd: float
    spent_usd: float


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
    reserved_usd: float = 0.0  # held for what is in flight or in batches, beside it
    seconds: float = 0.0
    teachers: dict[str, TeacherProgress] = field(default_factory=dict)  # by the recipe's name
    steps: dict[str, int] = field(default_factory=dict)  # rows answered in this run
    finish_reasons: dict[str, int] = field(default_factory=dict)  # → answers
    budgets: dict[str, BudgetProgress] = field(default_factory=dict)  # by the field that states it


TOGETHER = ("sent", "answered", "failed", "accepted", "lacking_logprobs", "seconds")
BY_KIND = ("reasons", "other_models", "steps", "finish_reasons")
OF_TEACHERS = ("sent", "answered", "throttled", "broken", "failed", "input_tokens", "output_tokens", "spent_usd")


def together(before: Progress, now: Progress) -> Progress:
    """What a run did and others before it, of the same call; what is so at the moment is as the later one says."""
    sums: dict[str, Any] = {name: getattr(before, name) + getattr(now, name) for name in TOGETHER}
    for name in BY_KIND:
        sums[name] = dict(Counter(getattr(before, name)) + Counter(getattr(now, name)))
    return replace(
        now,
        to_ask=before.answered + before.failed + now.to_ask,
        maybe_asked_again=before.maybe_asked_again + now.maybe_asked_again,
        teachers=before.teachers | {name: _added(before.teachers.get(name), its) for name, its in now.teachers.items()},
        budgets=before.budgets | now.budgets,
        **sums,
    )


def _added(before: TeacherProgress | None, now: TeacherProgress) -> TeacherProgress:
    if before is None:
        return now
    return replace(now, **{name: getattr(before, name) + getattr(now, name) for name in OF_TEACHERS})


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
    log: Callable[[str, Mapping[str, Json]], None] | None = None  # called with every event and its fields

    def tell(self, line: str | None, /, *, event: str = NOTE, **fields: Json) -> None:
        """Pass on what happens in the run (`saying.Say`)."""
        if line is not None and self.say:
            self.say(line)
        if self.log:
            self.log(event, {"message": line, **fields} if event == NOTE else fields)
