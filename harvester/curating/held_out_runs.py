"""Held-out texts → the runs of words that tell them, without what many of their items have in common."""

from array import array
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from harvester.curating.word_grams import U64, Numbers, Words, grams, words

WORDS = 13
LEAST_WORDS = 5
"""Of a text that is looked for inside of others."""
WHOLE_LETTERS = 2
"""Letters that count as a word where a script has no spaces."""

COMMON_ITEMS, COMMON_SHARE = 5, 0.2
"""A run in so many items, and in more than this share of a source's, is boilerplate."""
COMMON_SHORT = 3
"""So many items with one short text: a label or a stock phrase."""

TABLE_ENTRIES = 16
"""For each run, in the table that nearly all other runs are told apart by at once."""

RUN, SHORT, TINY = "run", "short", "tiny"
"""Of a long text, all of a shorter one, and all of one that is too short to be looked for inside of others."""


class Item(NamedTuple):
    """Where a held-out text is from."""

    source: str
    item: str


@dataclass(slots=True)
class _Noted:
    """Runs of one length as they come in; flat."""

    hashes: "array[int]" = field(default_factory=lambda: array("Q"))
    items: "array[int]" = field(default_factory=lambda: array("q"))
    sizes: "array[int]" = field(default_factory=lambda: array("q"))  # how many runs a text has


class Runs:
    """Runs of one number of words."""

    def __init__(self, hashes: U64, items: Numbers) -> None:
        """With hashes in rising order, and for each the first item that has it."""
        self._hashes, self._items = hashes, items
        bits = (TABLE_ENTRIES * len(hashes)).bit_length()
        self._last_bits = np.uint64((1 << bits) - 1)
        self._table = np.zeros(1 << bits, np.bool_)
        self._table[hashes & self._last_bits] = True

    def __len__(self) -> int:
        return len(self._hashes)

    def find(self, hashes: U64) -> tuple[int, int] | None:
        """(place, item) of the first of some hashes that is one of these."""
        maybe = np.flatnonzero(self._table[hashes & self._last_bits])
        at = self._hashes.searchsorted(hashes[maybe])
        hits = np.flatnonzero(self._hashes.take(at, mode="clip") == hashes[maybe])
        return (int(maybe[hits[0]]), int(self._items[at[hits[0]]])) if len(hits) else None


class HeldOut:
    """The runs to look for, by their kind and number of words."""

    def __init__(self, texts: Iterable[tuple[str, str, str]]) -> None:
        """From (source, item, text), any number of texts for an item."""
        numbers: dict[Item, int] = {}
        noted: defaultdict[tuple[str, int], _Noted] = defaultdict(_Noted)
        for source, item, text in texts:
            number = numbers.setdefault(Item(source, item), len(numbers))
            found = words([text])
            kind, many = _kind(found)
            if many:
                hashes, _ = grams(found, many)
                noted[kind, many].hashes.frombytes(hashes.tobytes())
                noted[kind, many].items.extend([number] * len(hashes))
                noted[kind, many].sizes.append(len(hashes))
        self.items = list(numbers)
        sources: dict[str, int] = {}
        source_of_item = np.array([sources.setdefault(item.source, len(sources)) for item in self.items], np.int64)
        made = {(kind, many): _runs(kind, many, one, source_of_item) for (kind, many), one in noted.items()}
        self.runs = {kind: runs for kind, runs in made.items() if len(runs)}


def _kind(found: Words) -> tuple[str, int]:
    """What of a text is looked for: (kind of run, its number of words)."""
    many = len(found.hashes)
    scale = WHOLE_LETTERS if 2 * np.count_nonzero(found.whole) > many else 1
    if many >= WORDS * scale:
        return RUN, WORDS * scale
    return (SHORT if many >= LEAST_WORDS * scale else TINY), many


def _runs(kind: str, many: int, noted: _Noted, source_of_item: Numbers) -> Runs:
    """The runs of one kind and length that are neither common nor mostly so."""
    hashes, items = np.frombuffer(noted.hashes, np.uint64), np.frombuffer(noted.items, np.int64)
    order = np.lexsort((items, hashes))
    hashes, items = hashes[order], items[order]
    first = np.append(True, (hashes[1:] != hashes[:-1]) | (items[1:] != items[:-1]))  # once for each item
    hashes, items = hashes[first], items[first]
    own, firsts, run = np.unique(hashes, return_index=True, return_inverse=True)
    sources = int(source_of_item.max()) + 1
    in_source, times = np.unique(run * sources + source_of_item[items], return_counts=True)
    if kind == RUN:
        share = times / np.bincount(source_of_item)[in_source % sources]
        common = (times >= COMMON_ITEMS) & (share > COMMON_SHARE)
    else:
        common = times >= COMMON_SHORT
    kept = np.ones(len(own), np.bool_)
    kept[in_source[common] // sources] = False
    if kind == RUN and not kept.all():
        kept &= np.isin(own, _apart(noted, own[~kept], many))
    return Runs(own[kept], items[firsts][kept])


def _apart(noted: _Noted, common: U64, many: int) -> U64:
    """Runs that share at most half of their words with a common run beside them.

    The others hold the end of an instruction and a word or two, such as "the", by which other texts go on as well. The
    first and the last run of a text are its own all the same: of an item that has few words, nothing else is left.
    """
    hashes, sizes = np.frombuffer(noted.hashes, np.uint64), np.frombuffer(noted.sizes, np.int64)
    texts, is_common = np.repeat(np.arange(len(sizes)), sizes), np.isin(hashes, common)
    beside = is_common.copy()
    for steps in range(1, (many + 1) // 2):
        same_text = texts[steps:] == texts[:-steps]
        beside[steps:] |= is_common[:-steps] & same_text
        beside[:-steps] |= is_common[steps:] & same_text
    ends = np.cumsum(sizes)
    beside[ends - sizes] = beside[ends - 1] = False
    return hashes[~beside]
