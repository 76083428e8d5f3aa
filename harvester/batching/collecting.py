"""Collecting where some of the teachers are asked in batches, into the same store as all others."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from harvester import collecting
from harvester.batching.addressing import Addressee, addressee
from harvester.batching.api import connected
from harvester.batching.call import Call, Sleep
from harvester.batching.choosing import choose, require_batches
from harvester.batching.rounds import Rounds
from harvester.binding import Binding, stated_price
from harvester.catching_up import catch_up
from harvester.collecting import prepared
from harvester.flowing import Flow
from harvester.foreseeing import require_student_fits
from harvester.modes import BATCH, Mode
from harvester.planning import ensure_plan
from harvester.progress import Options, Progress
from harvester.recipe import Recipe
from harvester.store import StoreWriter, batches
from harvester.store.writing import DONE


@dataclass(slots=True)
class Result:
    """How far collecting came."""

    progress: Progress
    waiting: int = 0  # requests in batches that have no end


async def collect_in_batches(
    recipe: Recipe,
    store: Path | None = None,
    options: Options | None = None,
    *,
    mode: Mode | None = BATCH,
    wait: bool = True,
    sleep: Sleep = asyncio.sleep,
) -> Result:
    """Ask everything that a recipe plans and the store does not know, and take in what batches bring.

    Args:
        recipe: what to ask.
        store: the database file; beside the recipe by default.
        options: limit, budget, and who is told what.
        mode: of all teachers; None: as the recipe says.
        wait: until all batches are taken in; else it returns once they are made.
        sleep: how it waits.

    Raises:
        BadInput, RefusedByTerms, StoreUnusable: as `collect` does.
        StoppedEarly: the budget is used up or it was interrupted; batches go on, and running again takes them in.
        TeacherUnusable: a provider refuses, or what it has cannot be fetched now; running again goes on.
    """
    options = options or Options()
    require_batches(recipe, mode, options)
    if options.accept is not None:
        options.tell("--accept is kept to by asking one by one: auto stays online")
        return Result(await collecting.collect(recipe, store, options))
    require_student_fits(recipe)
    with prepared(recipe, store, options, lambda writer: ensure_plan(writer, recipe)) as (writer, flow, bindings):
        try:
            return await _in_rounds(writer, flow, bindings, options, _How(mode, wait, sleep))
        finally:
            catch_up(writer, flow)  # what a kill left unjudged


@dataclass(frozen=True, slots=True)
class _How:
    """How a call was asked for."""

    mode: Mode | None
    wait: bool
    sleep: Sleep


async def _in_rounds(
    store: StoreWriter, flow: Flow, bindings: Mapping[str, Binding], options: Options, how: _How
) -> Result:
    recipe = flow.recipe
    progress = Progress(recipe.name, 0, store.uncertain(recipe.name))
    prices = {name: stated_price(teacher) for name, teacher in recipe.asked_teachers.items()}
    run_id = store.begin_run(flow.plan_id, recipe.name, prices, retry_failed=options.retry_failed)
    store.end_run(run_id, outcome=DONE)  # each harvest is a run of its own
    modes = choose(recipe, store, flow.plan_id, how.mode, options)
    async with _addressees(store, recipe, bindings, modes, how.sleep) as to:
        left = 2**63 if options.limit is None else options.limit
        call = Call(store, flow, modes, to, options, how.sleep, how.mode, progress, left)
        waiting = await Rounds(call, run_id, bindings).run(wait=how.wait)
        return Result(call.progress, waiting)


@asynccontextmanager
async def _addressees(
    store: StoreWriter, recipe: Recipe, bindings: Mapping[str, Binding], modes: Mapping[str, Mode], sleep: Sleep
) -> AsyncIterator[dict[str, Addressee]]:
    """Those who are asked in batches, and those who have some from before."""
    live = {batch.teacher for batch in store.apply_with([], lambda connection: batches.live(connection, recipe.name))}
    async with AsyncExitStack() as stack:
        found = {}
        for name, teacher in recipe.asked_teachers.items():
            if teacher.embedded or (modes[name] != BATCH and name not in live):
                continue
            api = await stack.enter_async_context(connected(name, teacher, bindings[name].access, sleep=sleep))
            found[name] = addressee(store, name, teacher, bindings[name], api)
            if not teacher.batch.requeue_online:
                store.apply_with([], lambda connection: batches.release(connection, recipe.name, name))  # noqa: B023
        yield found
