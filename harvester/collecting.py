"""`collect`: ask everything a recipe plans and the store does not know; and `parse`, which replays what it knows."""

from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from decimal import Decimal
from pathlib import Path

from harvester import terms, trusting
from harvester.binding import Binding
from harvester.budget import worst_case_nusd
from harvester.catching_up import catch_up, rejudge
from harvester.errors import BadInput, StoreUnusable
from harvester.flowing import Flow, leads_on
from harvester.foreseeing import require_student_fits
from harvester.judging import Rules
from harvester.modes import how_to_take_in
from harvester.planning import ensure_plan
from harvester.pricing import FREE, Price
from harvester.progress import Options, Progress
from harvester.recipe import Recipe
from harvester.records import Json, count_of
from harvester.running import Run
from harvester.store import StoreReader, StoreWriter, batches
from harvester.store.network import network_file_system
from harvester.store.writing import KILLED
from harvester.teachers import openai_compat

__all__ = [
    "Options",
    "Progress",
    "collect",
    "default_store",
    "nothing_yet",
    "parse",
    "ran",
    "require_terms",
    "teacher_terms",
]


def default_store(recipe: Recipe) -> Path:
    """The store beside the recipe."""
    return recipe.folder / "harvest.db"


def existing_store(recipe: Recipe, store: Path | None) -> Path:
    """A recipe's store, for who would write to one and make none.

    Raises:
        StoreUnusable: it is not there.
    """
    path = store or default_store(recipe)
    if not path.is_file():
        raise StoreUnusable(f"{path}: no store there yet; `harvester collect` makes it")
    return path


def newest_plan(reader: StoreReader, recipe: Recipe, path: Path) -> int:
    """Id of the recipe's newest plan in the store at `path`.

    Raises:
        StoreUnusable: there is none.
    """
    plan_id = reader.current_plan(recipe.name)
    if plan_id is None:
        raise nothing_yet(recipe, path)
    return plan_id


def nothing_yet(recipe: Recipe, store: Path) -> StoreUnusable:
    """The error for a store that was never asked to hold this recipe."""
    return StoreUnusable(f"{store}: holds nothing of {recipe.name} yet; run: {recipe.how_to_collect}")


def teacher_terms(recipe: Recipe) -> dict[str, terms.Terms]:
    """The terms that bind each teacher that the recipe asks, by name.

    Raises:
        BadInput: a declared licence that the registry does not know.
    """
    found = {}
    for name, teacher in recipe.asked_teachers.items():
        declared = recipe.terms.get(name)
        where = f"{recipe.path}: terms.{name}"
        stated = declared.model_dump() if declared else None
        found[name] = terms.look_up(teacher.host, teacher.model, stated, where=where)
    return found


def require_terms(recipe: Recipe) -> dict[str, terms.Terms]:
    """The same, if every one of them lets a student be trained.

    Raises:
        BadInput: as `teacher_terms` does.
        RefusedByTerms: one of them does not.
    """
    binding = teacher_terms(recipe)
    for name, its in binding.items():
        terms.require(its, teacher=name, where=recipe.where_teacher(name))
    return binding


async def collect(recipe: Recipe, store: Path | None = None, options: Options | None = None) -> Progress:
    """Ask everything the recipe plans and the store does not know yet, one by one, whatever `mode` the recipe states.

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
    require_student_fits(recipe)
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
    with prepared(recipe, store, options, plan) as (writer, flow, bindings):
        if waiting := waiting_in_batches(writer, flow.plan_id):
            left = f"{count_of(waiting, 'request')} left alone: in batches, which go on"
            options.tell(f"{left}; take them in with: {how_to_take_in(recipe)}")
        run = Run(flow, writer, bindings, options)
        try:
            await run.ask_everything()
        finally:
            catch_up(writer, flow)  # what other rules judged, or a kill left unjudged
        yield StoreReader(writer.engine, writer.path), flow.plan_id, run.progress


@contextmanager
def prepared(
    recipe: Recipe, store: Path | None, options: Options, plan: Callable[[StoreWriter], int]
) -> Iterator[tuple[StoreWriter, Flow, dict[str, Binding]]]:
    """Everything that comes before the first request: every check, the plan, and what killed runs left.

    Raises:
        BadInput, RefusedByTerms, StoreUnusable: as `collect` does.
    """
    _require_budget_can_be_kept(recipe, options)
    _require_countable(recipe, options)
    bindings = _bindings(recipe)
    path = store or default_store(recipe)
    if kind := network_file_system(path):
        options.tell(f"{path}: on a network file system ({kind}), where SQLite's locks may fail; better a local disk")
    with StoreWriter.open(path) as writer:
        settle_killed_runs(writer)  # first: a new plan takes over the rows by which they are found
        flow = Flow.of(recipe, plan(writer))
        if flow.leads_on or options.accept is not None:
            catch_up(writer, flow)  # before: what is answered may lead to more to ask, or be enough
        yield writer, flow, bindings


def waiting_in_batches(store: StoreWriter, plan_id: int) -> int:
    """How many of a plan's requests wait in batches."""
    return store.apply_with([], lambda connection: batches.count_waiting(connection, plan_id))


def settle_killed_runs(store: StoreWriter) -> None:
    """Close the store's runs that were killed: what they may have sent counts as spent, at their price."""
    for killed in store.killed_runs():
        lost: Counter[str] = Counter()
        for sent in killed.sent:
            lost[sent.teacher] += worst_case_nusd(_price(killed.prices.get(sent.teacher)), sent.body)
        store.end_run(killed.run_id, outcome=KILLED, lost_nusd=lost, uncertain=len(killed.sent))


def _price(stated: Json) -> Price:
    return Price(**{name: amount and Decimal(amount) for name, amount in stated.items()}) if stated else FREE


def _bindings(recipe: Recipe) -> dict[str, Binding]:
    binding = require_terms(recipe)
    found = {}
    for name, teacher in recipe.asked_teachers.items():
        trusting.require(teacher, where=recipe.where_teacher(name))
        found[name] = Binding(openai_compat.access(teacher, where=str(recipe.path)), binding[name])
    return found


def parse(recipe: Recipe, store: Path | None = None) -> int:
    """Read and judge every stored reply of the recipe's newest plan anew; asks nobody. Returns how many rows.

    Raises:
        BadInput: a row is of a step that the recipe lacks.
        StoreUnusable: no store, in use by another writer, or nothing in it for this recipe.
    """
    path = existing_store(recipe, store)
    with StoreWriter.open(path) as writer:
        plan = writer.current_plan(recipe.name)
        if plan is None:
            raise nothing_yet(recipe, path)
        rules = Rules(recipe)
        count = rejudge(writer, plan[0], rules, everything=True)
        if not leads_on(recipe):  # else the next run notes it, once it has planned what follows
            writer.plan_judged(plan[0], rules.digests.whole)
        return count


def _require_countable(recipe: Recipe, options: Options) -> None:
    """`--accept` counts rows that one judge has the last word about."""
    judges = [step.name for step in recipe.readers(recipe.answer_step.name) if step.judges]
    if options.accept is not None and len(judges) > 1:
        raise BadInput(
            f"{recipe.path}: --accept: {', '.join(judges)} judge the same answers; let each read the one before (of: …)"
        )


def _require_budget_can_be_kept(recipe: Recipe, options: Options) -> None:
    """A budget from the command line asks of the recipe what a budget in it asks."""
    if options.budget_usd is not None and (problem := recipe.budget_problem()):
        raise BadInput(f"{recipe.path}: {problem}")
