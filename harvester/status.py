"""What a store holds of a recipe, for `harvester status`."""

from pathlib import Path
from typing import Any

from harvester.collecting import default_store, nothing_yet
from harvester.judging import Rules
from harvester.pricing import usd
from harvester.recipe import Recipe
from harvester.store import Counts, StoreReader


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
        rejudged = reader.count_unjudged(plan_id, Rules(recipe.rules).digest)
    return {
        "recipe": recipe.name,
        "store": str(path),
        "requests": dict(counts.requests),
        "splits": _splits(counts),
        "judged_by_other_rules": rejudged,
        "failures": dict(counts.failures),
        "usd": usd(counts.spent_nusd),
        "minutes": counts.minutes,
    }


def _splits(counts: Counts) -> dict[str, Any]:
    splits: dict[str, Any] = {name: {"rows": rows, "accepted": 0, "dropped": {}} for name, rows in counts.rows.items()}
    for (split, accepted, reason), number in counts.judged.items():
        if accepted:
            splits[split]["accepted"] += number
        else:
            splits[split]["dropped"][reason] = number
    return splits
