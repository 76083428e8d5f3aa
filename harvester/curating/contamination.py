"""decontaminate: rows that hold a held-out text.

A row is dropped where its prompt, its answer or its reasoning shares a run of 13 words with a held-out text (the
measure of Brown et al., "Language Models are Few-Shot Learners", 2020, appendix C). Case and punctuation make no
difference.

- A held-out text of 5 to 12 words has to stand in the row as a whole. One of fewer words has to be the whole prompt, or
  the longest text of the row's seed: as an answer it is a label or a number, and equal labels are no copies.
- In Chinese, Japanese, Thai and other scripts without spaces two letters count as a word.
- What several held-out items have in common is no item's own text. A run of words is not looked for if three different
  items of a source have it, or if it is in five items that differ at all and in more than a fifth of them: an
  instruction that they share. Items that are nearly all the same are one thing, as are those of which one holds the
  other, so what occurs twice in a benchmark is found. Nor is a run looked for that five rows of different prompts have,
  and more than a fiftieth of them: an instruction of the seeds, of which a small held-out set has one example. Nor is
  one of which more than half are words of such a run beside it, if it neither begins nor ends its text: the
  instruction's end, and "the". A text of fewer than 13 words is not if three items of a source have it: a label, or
  "Which of the following is true?".
- Of `reference` only texts of 13 words or more are looked for: a shorter one is the name of a class or a short answer.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from harvester.curating.base import Drop, Example
from harvester.curating.held_out_runs import TINY, HeldOut, Item, Key, Runs
from harvester.curating.shared_runs import shared_runs, whole_seed
from harvester.curating.word_grams import Words, grams, words

Hit = tuple[int, str]
"""(number of the held-out item, the words that the row shares with it)."""


class Contamination:
    """Drops rows that hold a held-out text."""

    name = "decontaminate"

    def __init__(self, items: Sequence[Item], runs: Mapping[Key, Runs]) -> None:
        """With the held-out items and what to look for of them."""
        self._items = items
        longest_first = sorted(runs.items(), key=lambda one: -one[0][1])
        self._inside = [(many, of_many) for (kind, many), of_many in longest_first if kind != TINY]
        self._whole = {many: of_many for (kind, many), of_many in longest_first if kind == TINY}

    @classmethod
    def from_texts(cls, texts: Iterable[tuple[str, str, str]], examples: Iterable[Example] = ()) -> "Contamination":
        """From held-out texts.

        Args:
            texts: the name of their source, the item's in it, the text; an item may have several.
            examples: rows that will be looked at, or a sample of them; what many have in common is not looked for.
        """
        held_out = HeldOut(texts)
        runs = held_out.runs()
        shared = shared_runs(runs, examples)
        return cls(held_out.items, held_out.runs(shared) if shared else runs)

    def look(self, example: Example) -> Drop | None:
        """The first held-out item that the row holds a text of."""
        for part, text in _parts(example):
            found = words([text])
            hit = self._hit_inside(found)
            if hit is None and part == "prompt" and self._whole:
                hit = self._hit_whole(found) or self._hit_whole(whole_seed(example))
            if hit is not None:
                source, item = self._items[hit[0]]
                return Drop("contaminated", {"in": source, "item": item, "ngram": hit[1], "part": part})
        return None

    def _hit_inside(self, found: Words) -> Hit | None:
        for many, runs in self._inside:
            hashes, firsts = grams(found, many)
            if hit := runs.find(hashes):
                return hit[1], found.shown(int(firsts[hit[0]]), many)
        return None

    def _hit_whole(self, found: Words) -> Hit | None:
        many = len(found.hashes)
        runs = self._whole.get(many)
        hit = runs and runs.find(grams(found, many)[0])
        return (hit[1], found.shown(0, many)) if hit else None


def _parts(example: Example) -> Iterator[tuple[str, str]]:
    yield "prompt", example.prompt
    yield "answer", example.answer
    if example.reasoning:
        yield "reasoning", example.reasoning
