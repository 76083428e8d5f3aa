"""What bounds a run: the limits and sums that its recipe and options state."""

import math
from collections.abc import Callable, Iterator

from harvester.adapting import FIRST_CONCURRENCY, Adapter, Told
from harvester.budget import Cap
from harvester.limiter import Limiter
from harvester.pricing import NUSD
from harvester.progress import Options
from harvester.recipe import Recipe
from harvester.store import StoreWriter
from harvester.store.events import TEACHER


def pacing(recipe: Recipe, say: Callable[[str], None]) -> tuple[Limiter, Adapter]:
    """The limits the recipe tells, and what finds the others."""
    limits = recipe.teacher.limits
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
    return limiter, Adapter(limiter, told, recipe.teacher.profile.headers, say, recipe.teacher.timeout_s)


def caps(recipe: Recipe, options: Options, store: StoreWriter) -> Iterator[Cap]:
    """Every sum that the run must not pass."""
    budget, teacher = recipe.budget, recipe.teacher
    in_all = budget.usd if budget and options.budget_usd is None else options.budget_usd
    if in_all is not None:
        yield Cap("budget.usd or --budget", int(in_all * NUSD), store.spent_nusd())
    if budget and budget.run_usd is not None:
        yield Cap("budget.run_usd", int(budget.run_usd * NUSD))
    if teacher.budget_usd is not None:
        yield Cap("teacher.budget_usd", int(teacher.budget_usd * NUSD), store.spent_nusd(teacher=TEACHER))
