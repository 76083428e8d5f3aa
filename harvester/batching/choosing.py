"""How each teacher of a recipe is asked now: by what its plan still has to ask, where the recipe says `auto`."""

from harvester.errors import BadInput
from harvester.estimating import loads_left
from harvester.modes import BATCH, Chosen, Load, Mode, any_auto, chosen, terms_of
from harvester.progress import Options
from harvester.recipe import Recipe
from harvester.store import StoreWriter
from harvester.store.counting import rows_by_step


def choose(
    recipe: Recipe, store: StoreWriter, plan_id: int, override: Mode | None, options: Options
) -> dict[str, Mode]:
    """Name → mode of every teacher that a step asks; what `auto` chose, and why, is said.

    Raises:
        BadInput: a seed or a template is wrong.
    """
    loads: dict[str, Load] = {}
    if override is None and any_auto(recipe):
        left = loads_left(recipe, store.apply_with([], lambda connection: rows_by_step(connection, plan_id)))
        loads = {name: load if options.limit is None else load.at_most(options.limit) for name, load in left.items()}
    found = chosen(recipe, loads, override)
    for its in found.values():
        _say(recipe, its, options)
    return {name: its.mode for name, its in found.items()}


def _say(recipe: Recipe, its: Chosen, options: Options) -> None:
    if its.why:
        line = f"{its.teacher}: asked {'in batches' if its.mode == BATCH else 'online'}: {its.why}"
        options.tell(line, event="mode_chosen", teacher=its.teacher, mode=its.mode, why=its.why)
    teacher = recipe.asked_teachers[its.teacher]
    if its.mode == BATCH and teacher.known_price and terms_of(teacher).price >= 1:
        what = f"no lower price of batches is known of {teacher.profile.id}; the full one is counted"
        options.tell(f"{its.teacher}: {what}")


def require_batches(recipe: Recipe, override: Mode | None, options: Options) -> None:
    """Refuse what cannot be asked in batches.

    Raises:
        BadInput: a teacher is the embedded one, or so many accepted rows are to end it.
    """
    for name, teacher in recipe.asked_teachers.items():
        if (override or teacher.mode) != BATCH:
            continue
        where = recipe.where_teacher(name)
        if teacher.embedded:
            mend = "leave --batch out, and state mode: batch of the other teachers"
            raise BadInput(f"{where}: the embedded teacher has no Batch API; {mend}")
        if options.accept is not None:
            mend = "leave --batch or --accept out" if override else "leave it out, or add --online"
            raise BadInput(f"--accept: a batch cannot be stopped at so many rows; {mend}")
