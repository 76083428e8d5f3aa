"""decontaminate: rows that hold a held-out text.

A row is dropped where its prompt, its answer or its reasoning shares a run of 13 words with a held-out text (the
measure of Brown et al., "Language Models are Few-Shot Learners", 2020, appendix C). Case and punctuation make no
difference.

- A held-out text of 5 to 12 words has to stand in the row as a whole. One of fewer words has to be the whole prompt, or
  the longest text of the row's seed: as an answer it is a label or a number, and equal labels are no copies.
- In Chinese, Japanese, Thai and other scripts without spaces two letters count as a word.
- What many held-out items have in common is no item's own text. A run of words is not looked for if it is in five items
  of a source or more, and in more than a fifth of them: an instruction that they share. Nor is one of which more than
  half are words of such a run beside it, if it neither begins nor ends its text: the instruction's end, and "the". A
  text of fewer than 13 words is not if three items of a source have it: a label, or "Which of the following is true?".
"""

from collections.abc import Iterable, Iterator

from harvester.curating.base import Drop, Example
from harvester.curating.comparable import longest_text
from harvester.curating.held_out_runs import TINY, HeldOut
from harvester.curating.word_grams import Words, grams, words

MOST_CHARACTERS = 500
"""Of a text that is looked at whole: four words have fewer."""

Hit = tuple[int, str]
"""(number of the held-out item, the words that the row shares with it)."""


class Contamination:
    """Drops rows that hold a held-out text."""

    name = "decontaminate"

    def __init__(self, held_out: HeldOut) -> None:
        """With what to look for."""
        self._items = held_out.items
        longest_first = sorted(held_out.runs.items(), key=lambda one: -one[0][1])
        self._inside = [(many, runs) for (kind, many), runs in longest_first if kind != TINY]
        self._whole = {many: runs for (kind, many), runs in longest_first if kind == TINY}

    @classmethod
    def from_texts(cls, texts: Iterable[tuple[str, str, str]]) -> "Contamination":
        """From held-out texts: the name of their source, the item's in it, the text; an item may have several."""
        return cls(HeldOut(texts))

    def look(self, example: Example) -> Drop | None:
        """The first held-out item that the row holds a text of."""
        for part, text in _parts(example):
            found = words([text])
            hit = self._hit_inside(found)
            if hit is None and part == "prompt" and self._whole:
                of_seed = longest_text(example)[:MOST_CHARACTERS]
                hit = self._hit_whole(found) or self._hit_whole(words([of_seed]))
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
