"""Ending a batch early: at its provider, or, where that one cannot say any more, in the store alone."""

from pathlib import Path
from typing import Any

from harvester import trusting
from harvester.batching.api import connected
from harvester.batching.looking import named, one
from harvester.collecting import existing_store
from harvester.errors import BadInput
from harvester.modes import how_to_take_in
from harvester.recipe import Recipe
from harvester.store import StoreWriter, batches
from harvester.store.batches import Batch
from harvester.store.events import Lost
from harvester.store.writing import DONE
from harvester.teachers import openai_compat


async def cancel(recipe: Recipe, store: Path | None, name: str) -> dict[str, Any]:
    """Ask the provider to cancel a batch; the next collection takes in what was done. Returns the batch as it is shown.

    Raises:
        BadInput: no such batch, it has ended, or it is of another recipe.
        TeacherUnusable: the provider refuses or does not answer.
        StoreUnusable: another process writes to the store.
    """
    path = existing_store(recipe, store)
    with StoreWriter.open(path) as writer:
        batch = _live(writer, recipe, name)
        if batch.batch_id is None:
            raise BadInput(f"batch {name}: it is not known whether it was made; run: {how_to_take_in(recipe)}")
        teacher, where = recipe.asked_teachers[batch.teacher], recipe.where_teacher(batch.teacher)
        trusting.require(teacher, where=where)
        access = openai_compat.access(teacher, where=str(recipe.path))
        async with connected(batch.teacher, teacher, access) as api:
            told = await api.cancel(batch.batch_id)
        writer.apply_with([], lambda connection: batches.note(connection, batch.id, status=told.status))
    return one(path, name)


def forget(recipe: Recipe, store: Path | None, name: str) -> dict[str, Any]:
    """Give a batch up: its requests are open again, and its worst case counts as spent. Returns it as it is shown.

    Raises:
        BadInput: no such batch, it has ended, or it is of another recipe.
        StoreUnusable: another process writes to the store.
    """
    path = existing_store(recipe, store)
    with StoreWriter.open(path) as writer:
        batch = _live(writer, recipe, name)
        plan = writer.current_plan(recipe.name)
        if plan is None:
            raise BadInput(f"{path}: holds nothing of {recipe.name}")
        run_id = writer.begin_run(plan[0], recipe.name, None, reopen=False)
        lost = Lost(run_id, batch.worst_nusd, batch.teacher)
        writer.apply_with([lost], lambda connection: batches.end(connection, batch.id, {"forgotten": batch.requests}))
        writer.end_run(run_id, outcome=DONE)
    return one(path, name)


def _live(store: StoreWriter, recipe: Recipe, name: str) -> Batch:
    batch = named(store.apply_with([], batches.every), name)
    if batch.recipe != recipe.name:
        raise BadInput(f"batch {name}: is of the recipe {batch.recipe}; name that one")
    if batch.ended_at is not None:
        raise BadInput(f"batch {name}: has ended; `harvester batch show {name}` says how")
    if batch.teacher not in recipe.asked_teachers:
        raise BadInput(
            f"{recipe.path}: no teacher {batch.teacher} any more, which batch {name} was sent to; put it back"
        )
    return batch
