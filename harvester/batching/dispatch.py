"""`collect` as a recipe says: one by one, in batches, or some teachers so and some so."""

from pathlib import Path

from harvester import collecting
from harvester.modes import Mode, any_batches
from harvester.progress import Options, Progress
from harvester.recipe import Recipe


async def collect(
    recipe: Recipe,
    store: Path | None = None,
    options: Options | None = None,
    *,
    mode: Mode | None = None,
    wait: bool = True,
) -> Progress:
    """Ask the teachers everything the recipe plans and the store does not know yet, each as the recipe says.

    Args:
        recipe: what to ask, of whom, and in which mode.
        store: the database file; beside the recipe by default.
        options: limit, budget and progress.
        mode: of all teachers, whatever the recipe says.
        wait: until all batches are taken in; else it returns once they are made.

    Raises:
        BadInput: recipe, seeds or templates are wrong, or the key's variable is not set.
        RefusedByTerms: the teacher's answers may not train a student.
        StoppedEarly: the budget is used up or the run was interrupted; running again goes on.
        TeacherUnusable: authentication, quota, unreachable; running again goes on.
        StoreUnusable: locked, unwritable, newer schema, corrupt.
    """
    if not any_batches(recipe, mode):
        return await collecting.collect(recipe, store, options)
    from harvester.batching.collecting import collect_in_batches  # noqa: PLC0415 - the SDK takes a second to load

    return (await collect_in_batches(recipe, store, options, mode=mode, wait=wait)).progress
