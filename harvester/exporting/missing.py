"""Why rows of a store are not in an export of it."""

from collections.abc import Set as AbstractSet
from contextlib import closing
from pathlib import Path

from harvester.collecting import newest_plan
from harvester.exporting.deciding import banned, decided, left_out
from harvester.exporting.lineages import Ended, Lineage, is_waiting, lineages
from harvester.exporting.wanted import Wanted
from harvester.judging import Rules
from harvester.recipe import Recipe
from harvester.store import StoreReader
from harvester.verdicts import Verdict, said

NOT_ASKED, NO_ANSWER, KEPT = "not asked any more", "no answer yet", "kept by the recipe as it is now"


def reasons_now(recipe: Recipe, store: Path, row_ids: AbstractSet[str], wanted: Wanted) -> dict[str, str]:
    """row_id → why an export that is asked for `wanted` would leave it out now.

    Raises:
        StoreUnusable: no store, or nothing in it for this recipe.
    """
    reasons, people = dict.fromkeys(row_ids, NOT_ASKED), said(store)
    with StoreReader.open(store) as reader:
        plan_id = newest_plan(reader, recipe, store)
        with closing(reader.rows(plan_id)) as rows:
            for one in lineages(recipe, rows, Rules(recipe)):
                row_id = one.row.row_id
                if row_id in reasons:
                    reasons[row_id] = _reason(one, people.get(row_id), wanted)
    return reasons


def _reason(one: Lineage | Ended, verdict: Verdict | None, wanted: Wanted) -> str:
    if isinstance(one, Ended):
        return one.reason
    lineage = decided(one, verdict)
    if lineage.waits or (lineage.row.split != "test" and is_waiting(lineage.outcome)):
        return NO_ANSWER
    found = wanted.against(lineage) or left_out(lineage, banned(lineage, verdict), unfiltered=wanted.unfiltered)
    return found or KEPT
