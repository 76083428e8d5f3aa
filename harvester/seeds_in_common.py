"""Dev or held-out seeds that are training seeds, too: a student would be measured on what it was trained on."""

from collections import Counter

from harvester.recipe import Recipe
from harvester.records import Seed, digest
from harvester.seeds import ID_LENGTH, read_seeds

FIELDS = {"dev": "dev", "test": "heldout"}
"""Split → the recipe's field that names its seeds."""


class InCommon:
    """Compares by all of a seed's fields but its reference; holds the identities of dev and held-out seeds only."""

    def __init__(self, recipe: Recipe) -> None:
        """Read the dev and held-out seeds of a recipe.

        Raises:
            BadInput: as `read_seeds`.
        """
        self._held: dict[str, Counter[str]] = {}  # split → how many seeds have an identity
        for seed in read_seeds(recipe, tuple(FIELDS)):
            self._held.setdefault(seed.split, Counter())[_identity(seed)] += 1
        self._trained: dict[str, set[str]] = {split: set() for split in self._held}

    def look(self, seed: Seed) -> None:
        """Look at a seed of any split."""
        if seed.split == "train":
            for split, held in self._held.items():
                if seed.seed_id in held:  # a copy has an identity of its own, but the first one comes before it
                    self._trained[split].add(seed.seed_id)

    @property
    def warnings(self) -> tuple[str, ...]:
        """A line for each split that has seeds in common with train."""
        return tuple(
            f"{FIELDS[split]}: {sum(held[one] for one in trained)} of {held.total()} seeds are also in seeds;"
            " they would be trained on, take them out of one of the two"
            for split, held in self._held.items()
            if (trained := self._trained[split])
        )


def _identity(seed: Seed) -> str:
    """What copies of a seed have in common: the identity of the first."""
    return digest(seed.data)[:ID_LENGTH]
