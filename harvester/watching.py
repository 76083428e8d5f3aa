"""What goes on in a store, for `harvester watch`: seldom more than a few rows are read, however many there are."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, func, select

from harvester.collecting import default_store, nothing_yet
from harvester.pricing import usd
from harvester.recipe import Recipe
from harvester.records import Json
from harvester.status import going_on
from harvester.store import StoreReader, batches
from harvester.store.schema import spending


def look(recipe: Recipe, store: Path | None = None) -> dict[str, Any]:
    """How a recipe's collection is now, as far as the store tells without counting its rows.

    Pace, limits, waits and reasons are in `last_run.progress` (`progress.Progress`), which a run writes down every few
    seconds; what was spent and what waits in batches is read from the store itself.

    Raises:
        StoreUnusable: no store, or nothing in it for this recipe and nobody who plans it.
    """
    path = store or default_store(recipe)
    with StoreReader.open(path) as reader:
        now = going_on(reader, recipe, path)
        if now["running"] is None and reader.current_plan(recipe.name) is None:
            raise nothing_yet(recipe, path)
        spent_nusd, waiting = reader.read(lambda connection: (_spent(connection), _waiting(connection, recipe.name)))
    return {
        "recipe": recipe.name,
        "store": str(path),
        "usd": usd(spent_nusd),
        "batches": waiting,
        "left_s": _left_s(now["running"] and now["running"]["progress"]),
        **now,
    }


def watch(recipe: Recipe, store: Path | None = None, *, every_s: float = 1.0) -> Iterator[dict[str, Any]]:
    """A look now and every so often, until nobody writes to the store any more.

    Raises:
        StoreUnusable: as `look` does.
    """
    while (now := look(recipe, store))["running"] is not None:
        yield now
        time.sleep(every_s)
    yield now


def _spent(connection: Connection) -> int:
    """Nano-dollars, of the whole store: running totals, a row a run and teacher."""
    query = select(func.coalesce(func.sum(spending.c.answered_nusd + spending.c.lost_nusd), 0))
    return int(connection.execute(query).scalar_one())


def _waiting(connection: Connection, recipe: str) -> list[dict[str, Any]]:
    return [
        {
            "batch": batch.name,
            "teacher": batch.teacher,
            "requests": batch.requests,
            "status": batch.status,
            "created_at": batch.created_at,
            "worst_usd": usd(batch.worst_nusd),
        }
        for batch in batches.live(connection, recipe)
    ]


def _left_s(progress: Json) -> float | None:
    """Seconds until all that is known to be asked has come to an end, at the pace of the last minute."""
    if not progress or "teachers" not in progress:
        return None
    a_minute = sum(its["per_minute"].get("ended", 0.0) for its in progress["teachers"].values())
    left = progress["to_ask"] - progress["answered"] - progress["failed"]
    return round(60 * left / a_minute, 1) if a_minute > 0 and left > 0 else None
