"""What a store holds of a recipe, for `harvester status`."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from harvester.collecting import default_store, nothing_yet
from harvester.judging import rules_digest
from harvester.pricing import usd
from harvester.recipe import Recipe
from harvester.store import Counts, RunState, StoreReader
from harvester.store.lock import holder
from harvester.store.writing import KILLED


def status(recipe: Recipe, store: Path | None = None) -> dict[str, Any]:
    """Counts by state, split and reason; reads while another process may be collecting.

    Raises:
        StoreUnusable: no store, or nothing in it for this recipe.
    """
    path = store or default_store(recipe)
    with StoreReader.open(path) as reader:
        plan_id = reader.current_plan(recipe.name)
        if plan_id is None:
            raise nothing_yet(recipe, path)
        counts = reader.counts(plan_id)
        rejudged = reader.count_unjudged(plan_id, rules_digest(recipe))
        writer, run = holder(path), reader.last_run(recipe.name)
    if run and run.ended_at is None and writer is None:
        writer = holder(path)  # it may have begun between the two looks
    return {
        "recipe": recipe.name,
        "store": str(path),
        "requests": dict(counts.requests),
        "splits": _splits(counts),
        "judged_by_other_rules": rejudged,
        "failures": dict(counts.failures),
        "usd": usd(counts.spent_nusd),
        "minutes": counts.minutes,
        "other_models": dict(counts.other_models),
        "running": _running(writer, run),
        "last_run": run and _last(run, writer),
    }


def watch(recipe: Recipe, store: Path | None = None, *, every_s: float = 2.0) -> Iterator[dict[str, Any]]:
    """The status now and every so often, until nobody writes to the store any more.

    Raises:
        StoreUnusable: as `status` does.
    """
    while (now := status(recipe, store))["running"] is not None:
        yield now
        time.sleep(every_s)
    yield now


def _running(writer: dict[str, Any] | None, run: RunState | None) -> dict[str, Any] | None:
    """Who writes to the store now. Without an open run of the recipe it is at something else: no progress to tell."""
    if writer is None:
        return None
    progress = run.progress if run and run.ended_at is None else None
    return {**{name: writer.get(name) for name in ("pid", "host", "since")}, "progress": progress}


def _last(run: RunState, writer: dict[str, Any] | None) -> dict[str, Any]:
    """The recipe's latest run; one that neither ended nor holds the store was killed."""
    outcome = KILLED if run.ended_at is None and writer is None else run.outcome
    return {
        "id": run.run_id,
        "started_at": run.started_at,
        "ended_at": run.ended_at,
        "outcome": outcome,
        "progress": run.progress,
    }


def _splits(counts: Counts) -> dict[str, Any]:
    splits: dict[str, Any] = {name: {"rows": rows, "accepted": 0, "dropped": {}} for name, rows in counts.rows.items()}
    for (split, accepted, reason), number in counts.judged.items():
        if accepted:
            splits[split]["accepted"] += number
        else:
            splits[split]["dropped"][reason] = number
    return splits
