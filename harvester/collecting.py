"""`collect`: ask everything a recipe plans and the store does not know; and `parse`, which replays what it knows."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path

from harvester import terms, trusting
from harvester.budget import worst_case_nusd
from harvester.errors import BadInput, StoreUnusable
from harvester.judging import Rules
from harvester.planning import ensure_plan
from harvester.pricing import FREE, Price
from harvester.progress import Options, Progress
from harvester.recipe import Recipe
from harvester.running import Run
from harvester.store import StoreReader, StoreWriter
from harvester.store.events import Event, Judged
from harvester.store.network import network_file_system
from harvester.store.writing import KILLED
from harvester.teachers import openai_compat

__all__ = ["Options", "Progress", "collect", "default_store", "nothing_yet", "parse", "ran", "rejudge", "teacher_terms"]

PAGE = 500


def default_store(recipe: Recipe) -> Path:
    """The store beside the recipe."""
    return recipe.folder / "harvest.db"


def nothing_yet(recipe: Recipe, store: Path) -> StoreUnusable:
    """The error for a store that was never asked to hold this recipe."""
    return StoreUnusable(f"{store}: holds nothing of {recipe.name} yet; run: harvester collect {recipe.path}")


def teacher_terms(recipe: Recipe) -> terms.Terms:
    """The terms that bind the recipe's teacher.

    Raises:
        BadInput: a declared licence that the registry does not know.
    """
    declared = recipe.terms.get("teacher")
    where = f"{recipe.path}: terms.teacher"
    return terms.look_up(
        recipe.teacher.host, recipe.teacher.model, declared.model_dump() if declared else None, where=where
    )


async def collect(recipe: Recipe, store: Path | None = None, options: Options | None = None) -> Progress:
    """Ask the teacher everything the recipe plans and the store does not know yet.

    Args:
        recipe: what to ask.
        store: the database file; beside the recipe by default.
        options: limit, budget and progress.

    Raises:
        BadInput: recipe, seeds or templates are wrong, or the key's variable is not set.
        RefusedByTerms: the teacher's answers may not train a student.
        StoppedEarly: the budget is used up or the run was interrupted; running again goes on.
        TeacherUnusable: authentication, quota, unreachable; running again goes on.
        StoreUnusable: locked, unwritable, newer schema, corrupt.
    """
    async with ran(recipe, store, options, lambda writer: ensure_plan(writer, recipe)) as (_, _, progress):
        return progress


@asynccontextmanager
async def ran(
    recipe: Recipe, store: Path | None, options: Options | None, plan: Callable[[StoreWriter], int]
) -> AsyncIterator[tuple[StoreReader, int, Progress]]:
    """Run a plan, with every check that comes before the first request; then look at what it brought.

    Yields a reader, the plan's id and how far the run came, while nobody else can write to the store.

    Args:
        recipe: whose teacher, limits, budget, terms and rules.
        store: the database file; beside the recipe by default.
        options: limit, budget and progress.
        plan: makes the plan, or finds it, and returns its id.

    Raises:
        BadInput, RefusedByTerms, StoppedEarly, TeacherUnusable, StoreUnusable: as `collect` does.
    """
    options = options or Options()
    _require_budget_can_be_kept(recipe, options)
    binding = teacher_terms(recipe)
    terms.require(binding, teacher="teacher", where=f"{recipe.path}: teacher")
    trusting.require(recipe.teacher, where=f"{recipe.path}: teacher")
    access = openai_compat.access(recipe.teacher, where=str(recipe.path))
    path = store or default_store(recipe)
    if options.say and (kind := network_file_system(path)):
        options.say(f"{path}: on a network file system ({kind}), where SQLite's locks may fail; better a local disk")
    with StoreWriter.open(path) as writer:
        settle_killed_runs(writer)  # first: a new plan takes over the rows by which they are found
        plan_id = plan(writer)
        run = Run(recipe, writer, plan_id, binding, options)
        try:
            await run.ask_everything(access)
        finally:
            rejudge(writer, plan_id, Rules(recipe.rules))  # what other rules judged, or a kill left unjudged
        yield StoreReader(writer.engine, writer.path), plan_id, run.progress


def settle_killed_runs(store: StoreWriter) -> None:
    """Close the store's runs that were killed: what they may have sent counts as spent, at their price."""
    for killed in store.killed_runs():
        price = (
            Price(**{name: amount and Decimal(amount) for name, amount in killed.price.items()})
            if killed.price
            else FREE
        )
        lost = sum(worst_case_nusd(price, body) for body in killed.bodies)
        store.end_run(killed.run_id, outcome=KILLED, lost_nusd=lost, uncertain=len(killed.bodies))


def parse(recipe: Recipe, store: Path | None = None) -> int:
    """Read and judge every stored reply of the recipe's newest plan anew; asks nobody. Returns how many rows.

    Raises:
        StoreUnusable: no store, in use by another writer, or nothing in it for this recipe.
    """
    path = store or default_store(recipe)
    if not path.is_file():
        raise StoreUnusable(f"{path}: no store there yet; `harvester collect` makes it")
    with StoreWriter.open(path) as writer:
        plan = writer.current_plan(recipe.name)
        if plan is None:
            raise nothing_yet(recipe, path)
        return rejudge(writer, plan[0], Rules(recipe.rules), everything=True)


def rejudge(store: StoreWriter, plan_id: int, rules: Rules, *, everything: bool = False) -> int:
    """Judge every stored reply of a plan that these rules have not judged; returns how many rows that were."""
    count = 0
    with StoreReader.open(store.path) as reader:
        for page in _pages(reader, plan_id, rules, everything=everything):
            store.apply(page)
            count += len(page)
    store.plan_judged(plan_id, rules.digest)
    return count


def _pages(reader: StoreReader, plan_id: int, rules: Rules, *, everything: bool) -> Iterator[list[Event]]:
    page: list[Event] = []
    stale = reader.answered(plan_id) if everything else reader.unjudged(plan_id, rules.digest)
    for row in stale:
        page.append(Judged(row.id, rules.digest, rules.judge_row(row)[1]))
        if len(page) == PAGE:
            yield page
            page = []
    if page:
        yield page


def _require_budget_can_be_kept(recipe: Recipe, options: Options) -> None:
    """A budget from the command line asks of the recipe what a budget in it asks."""
    if options.budget_usd is not None and (problem := recipe.budget_problem()):
        raise BadInput(f"{recipe.path}: {problem}")
