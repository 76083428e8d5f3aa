"""near_duplicates: rows whose prompt or whose answer is nearly that of a better row.

Two texts are near duplicates where the sets of their word 5-grams have a Jaccard similarity (shared / all) of the
threshold or more. It is computed for every pair that can reach it; none is guessed, none missed. A text of fewer than
20 words (16 different 5-grams) is compared with nothing: equal labels are no copies.

- Of a prompt the longest text of its seed is compared, and all around it has to be the same (`comparable.of_prompt`): a
  long instruction makes no two prompts alike, nor does a passage that two questions are about. Rows of one seed share
  their prompt; that is no duplicate.
- Answers of one seed are compared, too. Of an answer that is JSON the texts are, and not the names of its fields;
  its numbers and truth values have to be the same.
- Rows are looked at from the best score to the worst, equal ones in the order of the dataset. A row is dropped if it is
  similar to one that stays. So of a chain of rows, each like the next, not all but one are dropped, and a second run
  drops nothing more.

Memory: at most 1.6 kB a row with a text of 200 words; texts are not kept. The examples are gone through once for each
part that is compared, and once more for the names of the rows that stay.
"""

from array import array
from collections.abc import Iterable, Iterator, Mapping
from hashlib import blake2b
from typing import Literal, NamedTuple

import numpy as np

from harvester.curating.base import Drop, Example
from harvester.curating.comparable import of_answer, of_prompt
from harvester.curating.ranking import best_first, row_ids, worth
from harvester.curating.similar_sets import SimilarSets
from harvester.curating.word_grams import batches, gram_sets
from harvester.recipe import curation

WORDS = 5
LEAST_GRAMS = 16
"""So many different ones are in 20 words."""

Part = Literal["prompt", "answer"]


class NearDuplicates:
    """Drops rows that are similar to a better one."""

    name = "near_duplicates"

    def __init__(self, settings: curation.NearDuplicates) -> None:
        """With a threshold for prompts and one for answers; without one they are not compared."""
        thresholds: dict[Part, float | None] = {"prompt": settings.prompts, "answer": settings.answers}
        self._thresholds = {part: threshold for part, threshold in thresholds.items() if threshold is not None}

    def drops(self, examples: Iterable[Example]) -> Mapping[int, Drop]:
        """Rows that are similar to one which stays, with the most similar of those."""
        rows = _Rows()
        sets = {part: _similar_sets(part, rows.noting(examples), at_least)
                for part, at_least in self._thresholds.items()}  # fmt: skip
        found: dict[int, _Like] = {}  # place of a row in the dataset → what it is like
        for place in best_first(rows.worths):
            like = [_Like(similarity, rows.worths[other], -other, part)
                    for part, of_part in sets.items()
                    for other, similarity in of_part.similar(place).items()
                    if part == "answer" or rows.seeds[other] != rows.seeds[place]]  # fmt: skip
            if like:
                found[place] = max(like)
                continue
            for of_part in sets.values():
                of_part.add(place)
        names = row_ids(examples, {rows.ids[like.place] for like in found.values()})
        return {rows.ids[place]: like.drop(names[rows.ids[like.place]]) for place, like in sorted(found.items())}


class _Like(NamedTuple):
    """A row that stays and is like another; the greatest of several is told."""

    similarity: float
    worth: float
    before: int  # its place in the dataset, as a negative number
    part: Part

    @property
    def place(self) -> int:
        return -self.before

    def drop(self, row_id: str) -> Drop:
        detail = {"of": row_id, "similarity": round(self.similarity, 3), "part": self.part}
        return Drop("near_duplicate", detail)


class _Rows:
    """What is kept of every row, flat: 24 bytes."""

    def __init__(self) -> None:
        self.ids, self.worths, self.seeds = array("q"), array("d"), array("Q")

    def noting(self, examples: Iterable[Example]) -> Iterator[Example]:
        """The examples from the first one on, noted on their way; what was noted before is forgotten."""
        for noted in (self.ids, self.worths, self.seeds):
            del noted[:]
        for example in examples:
            self.ids.append(example.id)
            self.worths.append(worth(example))
            self.seeds.append(_digest(example.seed_id, 8))
            yield example


def _similar_sets(part: Part, examples: Iterable[Example], threshold: float) -> SimilarSets:
    """One set of 5-grams for each row; an empty one for a text that is too short."""
    members, sizes, frames = array("I"), array("q"), array("I")
    for batch in batches(_texts(part, examples, frames)):
        grams, many = gram_sets(batch, WORDS)
        # Grams of unequal frames are unequal ones.
        grams ^= np.repeat(np.array(frames[len(sizes) :], np.uint32), many)
        enough = many >= LEAST_GRAMS
        members.frombytes(grams[np.repeat(enough, many)].tobytes())
        sizes.extend((many * enough).tolist())
    return SimilarSets(np.frombuffer(members, np.uint32), np.frombuffer(sizes, np.int64), threshold)


def _texts(part: Part, examples: Iterable[Example], frames: "array[int]") -> Iterator[str]:
    for example in examples:
        text, frame = of_prompt(example) if part == "prompt" else of_answer(example)
        frames.append(_digest(frame, 4))
        yield text


def _digest(text: str, size: int) -> int:
    return int.from_bytes(blake2b(text.encode("utf-8", "surrogatepass"), digest_size=size).digest(), "little")
