"""What bounds a run: the limits and sums that its recipe and options state, and what of its plan it asks."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from harvester.adapting import FIRST_CONCURRENCY, Adapter, Told
from harvester.budget import Cap
from harvester.limiter import Limiter
from harvester.pricing import NUSD
from harvester.progress import Options
from harvester.recipe import Recipe, Teacher
from harvester.saying import Say
from harvester.store import StoreWriter, batches, pending


@dataclass(frozen=True, slots=True)
class Part:
    """What of a plan a run asks where batches take the rest, and what the same call did before it."""

    online: frozenset[str]  # teachers who are asked everything
    left_over: frozenset[str]  # teachers who are asked only what batches left over
    spent_nusd: int = 0  # before this run, of `budget.run_usd`

    def count_open(self, store: StoreWriter, plan_id: int) -> int:
        """How many requests there are to ask."""

        def count(teacher: str, *, of_batches: bool | None) -> int:
            return store.apply_with(
                [], lambda its: pending.count_of_teacher(its, plan_id, teacher, of_batches=of_batches)
            )

        everything = sum(count(teacher, of_batches=None) for teacher in self.online)
        return everything + sum(count(teacher, of_batches=True) for teacher in self.left_over)


def pacing(teacher: Teacher, say: Say) -> tuple[Limiter, Adapter]:
    """The limits the recipe tells for a teacher, and what finds the others."""
    limits = teacher.limits
    limiter = Limiter(
        concurrency=limits.concurrency or FIRST_CONCURRENCY,
        requests_per_minute=limits.requests_per_minute or math.inf,
        tokens_per_minute=limits.tokens_per_minute or math.inf,
    )
    told = Told(
        requests_per_minute=limits.requests_per_minute is not None,
        tokens_per_minute=limits.tokens_per_minute is not None,
        concurrency=limits.concurrency is not None,
    )
    return limiter, Adapter(limiter, told, teacher.profile.headers, say, teacher.timeout_s)


def reserved_nusd(store: StoreWriter, teacher: str | None = None) -> int:
    """What batches without an end may still cost; those of one teacher alone, where one is named."""
    return store.apply_with([], lambda connection: batches.reserved_nusd(connection, teacher))


def caps(recipe: Recipe, options: Options, store: StoreWriter, run_nusd: int = 0) -> Iterator[Cap]:
    """Every sum that the run must not pass, whatever teacher it is spent on; `run_nusd` of it are gone already."""
    budget = recipe.budget
    in_all = budget.usd if budget and options.budget_usd is None else options.budget_usd
    if in_all is not None:
        yield Cap("budget.usd or --budget", int(in_all * NUSD), store.spent_nusd() + reserved_nusd(store))
    if budget and budget.run_usd is not None:
        yield Cap("budget.run_usd", int(budget.run_usd * NUSD), run_nusd)


def own_cap(name: str, teacher: Teacher, store: StoreWriter) -> list[Cap]:
    """The sum that the store must not pass with one teacher, if the recipe states one."""
    if teacher.budget_usd is None:
        return []
    return [
        Cap(
            f"{name}.budget_usd",
            int(teacher.budget_usd * NUSD),
            store.spent_nusd(teacher=name) + reserved_nusd(store, name),
        )
    ]
