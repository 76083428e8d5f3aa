"""Fields of the seeds that a recipe names outside its templates: a verifier's, and those that curation counts by."""

from harvester.errors import BadInput
from harvester.recipe import ANSWER, Recipe
from harvester.records import Seed
from harvester.verify import seed_fields

MOST_NAMES = 200
"""Characters of field names in a message."""


class KindFields:
    """Watches whether any seed has the fields of `curate.per_source` and `curate.balance`."""

    def __init__(self, recipe: Recipe) -> None:
        """For a recipe; of seeds that are made only later nothing is known."""
        stated = {"per_source": recipe.curate.per_source, "balance": recipe.curate.balance}
        of_answer = ("balance", ANSWER)  # the answer itself
        named = {name: its.field for name, its in stated.items() if its and (name, its.field) != of_answer}
        self._path = recipe.path
        self._missing = {} if recipe.has_new_seeds(recipe.answer_step) else named
        self._known: dict[str, None] = {}

    def look(self, seed: Seed) -> None:
        """Look at a seed; the test split is never curated."""
        if self._missing and seed.split != "test":
            self._missing = {name: field for name, field in self._missing.items() if seed.data.get(field) is None}
            self._known |= dict.fromkeys(seed.data)

    def require(self) -> None:
        """Refuse a field that no seed had.

        Raises:
            BadInput: naming the setting, and the fields that there are.
        """
        for name, field in self._missing.items():
            known = ", ".join(self._known)[:MOST_NAMES]
            raise BadInput(f"{self._path}: curate.{name}.field: no seed has the field {field!r}; they have: {known}")


def require_fields(recipe: Recipe, first: Seed) -> None:
    """Refuse a verifier that compares answers with a field which the seeds do not have."""
    for step in recipe.steps:
        if recipe.has_new_seeds(step):
            continue
        for setting, name in seed_fields(recipe.demands(step).verify):
            text = setting.endswith(".source")
            fields = {name: value for name, value in first.data.items() if isinstance(value, str) or not text}
            if name not in fields:
                kind, own = " text" if text else "", ", ".join(fields) or "it has none"
                raise BadInput(
                    f"{recipe.where(step)}.verify.{setting}: the first seed of {first.split} has no{kind} field"
                    f" {name!r}; name one of its own: {own}"
                )
