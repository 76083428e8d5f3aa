"""Rows and texts made for the tests of filters; a reading of similarity that shares no code with theirs."""

import random
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from harvester.curating.base import CorpusFilter, Example

WORDS = [f"{a}{b}{c}" for a in "bdfgklmnprst" for b in "aeiou" for c in ("n", "r", "s", "lt", "nd", "")]


class Rereadable:
    """Examples that come anew each time, as from a file, and count how often."""

    def __init__(self, examples: Sequence[Example]) -> None:
        self._examples = examples
        self.readings = 0

    def __iter__(self) -> Iterator[Example]:
        self.readings += 1
        return iter(self._examples)


def row(number: int, prompt: str = "", answer: str = "", **fields: Any) -> Example:
    """A row of a seed of its own; its number in the store is no place in a list."""
    given = {"split": "train", "seed_id": f"s{number}", "seed": {}, **fields}
    return Example(id=100 + number, row_id=f"r{number}", prompt=prompt, answer=answer, **given)


def prose(seed: object, words: int) -> str:
    """Text without meaning, the same for the same seed."""
    return " ".join(random.Random(str(seed)).choices(WORDS, k=words))  # noqa: S311


def edited(text: str, changes: int, seed: object = 0) -> str:
    """The text with so many of its words replaced, far from each other."""
    words = text.split()
    step = len(words) / changes if changes else 0
    for change in range(changes):
        words[int(change * step + step / 2)] = f"edit{seed}x{change}"
    return " ".join(words)


def jaccard(left: str, right: str, n: int = 5) -> float:
    """Of the sets of word n-grams, by Python's own sets."""
    one, other = ({tuple(words[i : i + n]) for i in range(len(words) - n + 1)} for words in map(_words, (left, right)))
    return len(one & other) / len(one | other) if one | other else 0.0


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.casefold())


def run(corpus_filter: CorpusFilter, examples: Sequence[Example]) -> dict[str, Mapping[str, Any]]:
    """row_id of every dropped row → the detail."""
    names = {example.id: example.row_id for example in examples}
    return {names[row_id]: drop.detail for row_id, drop in corpus_filter.drops(Rereadable(examples)).items()}


def left(corpus_filter: CorpusFilter, examples: Sequence[Example]) -> list[Example]:
    """What a filter leaves."""
    drops = corpus_filter.drops(Rereadable(examples))
    return [example for example in examples if example.id not in drops]


def ids(examples: Iterable[Example]) -> list[str]:
    return [example.row_id for example in examples]
