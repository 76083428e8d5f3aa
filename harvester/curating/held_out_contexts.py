"""How many different things some held-out items are: copies and near copies of one are the same thing."""

from collections import defaultdict
from collections.abc import Iterable

import numpy as np

from harvester.curating.word_grams import U64, Numbers, Words

SAME_SHARE = 0.9
"""Of the different words of the smaller item, in both: the items are near copies, or one holds the other."""
MOST_COMPARED = 50
"""Items of those that have a run in common."""


class Contexts:
    """The different words of each held-out item, all of its texts together."""

    def __init__(self) -> None:
        self._texts: defaultdict[int, list[U64]] = defaultdict(list)

    def note(self, item: int, found: Words) -> None:
        """Take one more text of an item."""
        self._texts[item].append(found.hashes)

    def first_equal(self, source_of_item: Numbers) -> Numbers:
        """For each item the first of its source with the same texts: itself, where it is no copy."""
        firsts: dict[tuple[int, bytes], int] = {}
        return np.array(
            [
                firsts.setdefault((source, b"\n".join(text.tobytes() for text in self._texts[item])), item)
                for item, source in enumerate(source_of_item.tolist())
            ],
            np.int64,
        )

    def are(self, many: int, items: Iterable[int]) -> bool:
        """Whether so many of some items are different things."""
        different: list[U64] = []
        for item in items:
            own = np.unique(np.concatenate(self._texts[item]))
            if not any(_is_same(own, other) for other in different):
                different.append(own)
                if len(different) == many:
                    return True
        return False


def _is_same(one: U64, other: U64) -> bool:
    common = np.intersect1d(one, other, assume_unique=True)
    return len(common) >= SAME_SHARE * min(len(one), len(other))
