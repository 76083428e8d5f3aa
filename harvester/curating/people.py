"""A person's word about one row of a recipe's store."""

import getpass
from collections.abc import Sequence
from pathlib import Path

from harvester import verdicts
from harvester.collecting import default_store, newest_plan
from harvester.errors import BadInput
from harvester.exporting.lineages import Lineage, lineages
from harvester.judging import Rules
from harvester.recipe import REPAIR, Recipe
from harvester.records import half_pair
from harvester.store import StoredRow, StoreReader
from harvester.store.applying import utc_now
from harvester.verdicts import Kind, Verdict


def speak(
    recipe: Recipe,
    row: str,
    kind: Kind,
    *,
    answer: str | None = None,
    note: str | None = None,
    said_by: str | None = None,
    store: Path | None = None,
) -> Verdict:
    """Keep a verdict: it wins over verifiers, judges and curation from the next export on.

    Args:
        recipe: whose row it is.
        row: its row_id, or a beginning of it that only one row has.
        kind: accept, reject, edit (with `answer`), or withdraw what was said before.
        answer: what stands in the place of the teacher's.
        note: why.
        said_by: who says so; the name of the account by default.
        store: the database file; beside the recipe by default.

    Raises:
        BadInput: no such row, several, or one that a verdict cannot be about: no export writes it, or it has no answer
            to accept; or an edit without a text.
        StoreUnusable: no store, or the verdict cannot be written.
    """
    if half_pair(row):
        raise BadInput(f"{row!a:.80}: is no row_id; take the row_id of the dataset")
    if kind == "edit" and not (answer or "").strip():
        raise BadInput(f"{row}: an edit says what stands instead of the teacher's answer; add --answer TEXT")
    path = store or default_store(recipe)
    with StoreReader.open(path) as reader:
        row_id, step, split = reader.row_named(row)
        plan_id = newest_plan(reader, recipe, path)
        of_seed = reader.of_same_seed(plan_id, row_id)
    if split == "test":
        raise BadInput(f"{row_id}: is of the test split, which stays as the teacher answered it; judge rows of train")
    if step.removesuffix(REPAIR) != recipe.answer_step.name:
        raise BadInput(f"{row_id}: is of the step {step}; the dataset's rows are of {recipe.answer_step.name}")
    if kind != "withdraw":
        lineage = _exported(recipe, row_id, of_seed)
        if kind != "reject":
            _require_answer(lineage, kind)
    verdict = Verdict(row_id, kind, answer, note, said_by or _account(), utc_now())
    verdicts.say(path, verdict)
    return verdict


def _exported(recipe: Recipe, row_id: str, of_seed: Sequence[StoredRow]) -> Lineage:
    """The row as exports see it, among the rows of its seed in the recipe's newest plan."""
    found = [one for one in lineages(recipe, of_seed, Rules(recipe)) if isinstance(one, Lineage)]
    for one in found:
        if one.row.row_id == row_id:
            return one
    mended = [one for one in found if row_id in (row.row_id for row in one.made_from)]
    others = ", ".join(one.row.row_id for one in mended or found)
    why = "another attempt stands in its place" if mended else f"it is of an older plan of {recipe.name}"
    raise BadInput(f"{row_id}: no export writes it, {why}; speak of {others or 'a row of a new export'}")


def _require_answer(lineage: Lineage, kind: Kind) -> None:
    row_id, answer = lineage.row.row_id, lineage.answer
    if answer is None:
        raise BadInput(f"{row_id}: has no answer yet, so there is nothing to {kind}; run `harvester collect` first")
    if kind == "accept" and not answer.text.strip():
        raise BadInput(f"{row_id}: has no text to accept ({lineage.outcome.drop_reason}); `edit` puts one in its place")


def _account() -> str | None:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container's user without a name
        return None
