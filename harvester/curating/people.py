"""A person's word about one row of a recipe's store."""

import getpass
from pathlib import Path

from harvester import verdicts
from harvester.collecting import default_store
from harvester.errors import BadInput
from harvester.recipe import REPAIR, Recipe
from harvester.store import StoreReader
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
        BadInput: no such row, several, or one that a verdict cannot be about.
        StoreUnusable: no store, or the verdict cannot be written.
    """
    path = store or default_store(recipe)
    with StoreReader.open(path) as reader:
        row_id, step, split = reader.row_named(row)
    if split == "test":
        raise BadInput(f"{row_id}: is of the test split, which stays as the teacher answered it; judge rows of train")
    if step.removesuffix(REPAIR) != recipe.answer_step.name:
        raise BadInput(f"{row_id}: is of the step {step}; the dataset's rows are of {recipe.answer_step.name}")
    verdict = Verdict(row_id, kind, answer, note, said_by or _account(), utc_now())
    verdicts.say(path, verdict)
    return verdict


def _account() -> str | None:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container's user without a name
        return None
