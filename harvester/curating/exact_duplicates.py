"""exact_duplicates: rows whose prompt and answer are both those of a better row.

Case, white space and compatible characters (NFKC) make no difference, punctuation does. The best-scored row stays, of
equals the first. 16 bytes of a hash are kept of each row, no text.
"""

from array import array
from collections.abc import Iterable, Mapping
from hashlib import blake2b

import numpy as np

from harvester.curating.base import Drop, Example
from harvester.curating.comparable import spaced
from harvester.curating.ranking import best_first, row_ids, worth


class ExactDuplicates:
    """Drops all but the best of equal rows."""

    name = "exact_duplicates"

    def drops(self, examples: Iterable[Example]) -> Mapping[int, Drop]:
        """Rows that are equal to one which stays."""
        ids, worths, digests = array("q"), array("d"), bytearray()
        for example in examples:
            ids.append(example.id)
            worths.append(worth(example))
            digests += _digest(example)
        stays: dict[int, int] = {}  # id → id of the equal row that stays
        best: dict[bytes, int] = {}
        copied = _seen_twice(digests)
        for place in best_first(worths):
            if copied[place]:
                first = best.setdefault(bytes(digests[16 * place : 16 * place + 16]), ids[place])
                if first != ids[place]:
                    stays[ids[place]] = first
        names = row_ids(examples, set(stays.values()))
        return {copy: Drop("exact_duplicate", {"of": names[of]}) for copy, of in stays.items()}


def _digest(example: Example) -> bytes:
    hashed = blake2b(digest_size=16)
    for text in (example.prompt, example.answer):
        form = spaced(text).encode("utf-8", "surrogatepass")
        hashed.update(len(form).to_bytes(8, "little") + form)
    return hashed.digest()


def _seen_twice(digests: bytearray) -> list[bool]:
    """Which of the digests are there more than once."""
    _, which, times = np.unique(np.frombuffer(digests, dtype="V16"), return_inverse=True, return_counts=True)
    seen: list[bool] = (times[which] > 1).tolist()
    return seen
