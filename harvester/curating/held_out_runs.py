"""Held-out texts → the runs of words that tell them, without what many of their items have in common."""

from array import array
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from harvester.curating.held_out_contexts import MOST_COMPARED, Contexts
from harvester.curating.word_grams import U64, Numbers, Words, grams, words

WORDS = 13
LEAST_WORDS = 5
"""Of a text that is looked for inside of others."""
WHOLE_LETTERS = 2
"""Letters that count as a word where a script has no spaces."""

COMMON_CONTEXTS = 3
"""A run in so many items of a source that are different things is no item's own text."""
COMMON_ITEMS, COMMON_SHARE = 5, 0.2
"""So is one in so many items that differ at all, and in more than this share of a source's."""
COMMON_SHORT = 3
"""So many items with one short text: a label or a stock phrase."""

TABLE_ENTRIES = 16
"""For each run, in the table that nearly all other runs are told apart by at once."""

RUN, SHORT, TINY = "run", "short", "tiny"
"""Of a long text, all of a shorter one, and all of one that is too short to be looked for inside of others."""

Key = tuple[str, int]
"""(kind, number of words)."""


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
        self.hashes, self._items = hashes, items
        bits = (TABLE_ENTRIES * len(hashes)).bit_length()
        self._last_bits = np.uint64((1 << bits) - 1)
        self._table = np.zeros(1 << bits, np.bool_)
        self._table[hashes & self._last_bits] = True

    def __len__(self) -> int:
        return len(self.hashes)

    def find(self, hashes: U64) -> tuple[int, int] | None:
        """(place, item) of the first of some hashes that is one of these."""
        among, own = self.places(hashes)
        return (int(among[0]), int(self._items[own[0]])) if len(own) else None

    def places(self, hashes: U64) -> tuple[Numbers, Numbers]:
        """Of the hashes that are one of these: their places among the given ones, and among these."""
        maybe = np.flatnonzero(self._table[hashes & self._last_bits])
        at = self.hashes.searchsorted(hashes[maybe])
        is_hit = self.hashes.take(at, mode="clip") == hashes[maybe]
        return maybe[is_hit], at[is_hit]


class HeldOut:
    """Held-out texts, and what of them is their own."""

    def __init__(self, texts: Iterable[tuple[str, str, str]]) -> None:
        """From (source, item, text), any number of texts for an item."""
        numbers: dict[Item, int] = {}
        self._noted: defaultdict[Key, _Noted] = defaultdict(_Noted)
        self._contexts = Contexts()
        for source, item, text in texts:
            number = numbers.setdefault(Item(source, item), len(numbers))
            found = words([text])
            self._contexts.note(number, found)
            kind, many = _kind(found)
            if many:
                hashes, _ = grams(found, many)
                noted = self._noted[kind, many]
                noted.hashes.frombytes(hashes.tobytes())
                noted.items.extend([number] * len(hashes))
                noted.sizes.append(len(hashes))
        self.items = list(numbers)
        sources: dict[str, int] = {}
        self._sources = np.array([sources.setdefault(item.source, len(sources)) for item in self.items], np.int64)

    def runs(self, shared: Mapping[Key, U64] | None = None) -> dict[Key, Runs]:
        """The runs to look for, by their kind and number of words.

        Args:
            shared: hashes of runs that are no item's own text for another reason.
        """
        made = {key: self._runs(key, one, (shared or {}).get(key)) for key, one in self._noted.items()}
        return {key: runs for key, runs in made.items() if len(runs)}

    def _runs(self, key: Key, noted: _Noted, shared: U64 | None) -> Runs:
        """The runs of one kind and length that are neither common nor mostly so."""
        kind, many = key
        hashes, items = np.frombuffer(noted.hashes, np.uint64), np.frombuffer(noted.items, np.int64)
        if kind == RUN:
            items = self._contexts.first_equal(self._sources)[items]
        order = np.lexsort((items, hashes))
        hashes, items = hashes[order], items[order]
        first = np.append(True, (hashes[1:] != hashes[:-1]) | (items[1:] != items[:-1]))  # once for each item
        hashes, items = hashes[first], items[first]
        own, firsts, run = np.unique(hashes, return_index=True, return_inverse=True)
        kept = np.ones(len(own), np.bool_) if shared is None else ~np.isin(own, shared)
        kept[self._common(kind, run, items)] = False
        if kind == RUN and not kept.all():
            kept &= np.isin(own, _apart(noted, own[~kept], many))
        return Runs(own[kept], items[firsts][kept])

    def _common(self, kind: str, run: Numbers, items: Numbers) -> Numbers:
        """Numbers of the runs that many items of a source have in common."""
        sources = int(self._sources.max()) + 1
        in_source = run * sources + self._sources[items]
        items = items[np.argsort(in_source, kind="stable")]
        which, times = np.unique(in_source, return_counts=True)
        if kind != RUN:
            common = times >= COMMON_SHORT
            return np.unique(which[common] // sources)
        share = times / np.bincount(self._sources)[which % sources]
        common = (times >= COMMON_ITEMS) & (share > COMMON_SHARE)
        begins = np.cumsum(times) - times
        known: dict[tuple[int, ...], bool] = {}  # the runs of an instruction have the same items
        for place in np.flatnonzero((times >= COMMON_CONTEXTS) & ~common).tolist():
            begin = int(begins[place])
            having = tuple(items[begin : begin + min(int(times[place]), MOST_COMPARED)].tolist())
            if having not in known:
                known[having] = self._contexts.are(COMMON_CONTEXTS, having)
            common[place] = known[having]
        return np.unique(which[common] // sources)


def is_long(text: str) -> bool:
    """Whether runs of a text are looked for, and not all of it."""
    return _kind(words([text]))[0] == RUN


def _kind(found: Words) -> tuple[str, int]:
    """What of a text is looked for: (kind of run, its number of words)."""
    many = len(found.hashes)
    scale = WHOLE_LETTERS if 2 * np.count_nonzero(found.whole) > many else 1
    if many >= WORDS * scale:
        return RUN, WORDS * scale
    return (SHORT if many >= LEAST_WORDS * scale else TINY), many


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
