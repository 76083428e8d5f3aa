"""Sets → the similar ones among them, exactly, without comparing all with all.

Of two sets with a Jaccard similarity of t or more, let n be the smaller one's size and m the larger one's. They share
at least 2t/(1 + t) · n members, and at least t · m. So, with all members in one order, the rare ones first, they share
one of the first n - ⌈2t/(1 + t) · n⌉ + 1 of the smaller set and of the first m - ⌈t · m⌉ + 1 of the larger one: its
short and its long prefix (Chaudhuri et al., "A Primitive Operator for Similarity Joins in Data Cleaning", 2006; Xiao et
al., "Efficient Similarity Joins for Near Duplicate Detection", 2008).

No similar sets are missed, and hardly any others meet, for prefixes are rare members. That holds for texts written by a
template, too: with much in common, but not enough, they have members of their own in their short prefixes.
"""

from collections import defaultdict
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

U32 = NDArray[np.uint32]
Numbers = NDArray[np.int64]

SORTED_AT_ONCE = 1 << 24
"""Members. More are sorted in parts, by their first bits, so that no second copy of all is needed."""
MOST_SHARED_BITS, MOST_COUNT_BITS = 27, 24
"""Of the tables that members are looked up in by their last bits. Where two fall together some sets meet in vain."""
LOOKED_AT_ONCE = 1 << 18
"""Members."""
SETS_AT_ONCE = 4096
PASSES = 3
"""Of leaving out what is like nothing: where a set falls out, others may have lost what they were like."""
ROUNDING = 1e-9
"""0.8 · 15 is 12.000000000000002."""


class _Prefix(NamedTuple):
    """Those members of a set's prefixes in which it may meet another set."""

    short: list[int]
    long: list[int]  # the short one, too


class SimilarSets:
    """Sets of 32-bit hashes, numbered from 0; `similar` finds those that were added before."""

    def __init__(self, members: U32, sizes: Numbers, threshold: float) -> None:
        """Keep what may be similar to any other set.

        Args:
            members: those of each set, every one once, set after set.
            sizes: of the sets; an empty one is similar to nothing.
            threshold: the least Jaccard similarity that counts, above 0.
        """
        self._threshold = threshold
        numbers = np.arange(len(sizes))
        for _ in range(PASSES):
            like_others = _shared(members, sizes) >= np.maximum(_share(sizes, threshold), 1)
            members = members[np.repeat(like_others, sizes)]
            numbers, sizes = numbers[like_others], sizes[like_others]
            if like_others.all():
                break
        self._prefixes = _prefixes(members, sizes, threshold, numbers)
        ends = np.cumsum(sizes)
        self._members = {
            number: np.sort(members[end - size : end])
            for number, end, size in zip(numbers.tolist(), ends.tolist(), sizes.tolist(), strict=True)
            if number in self._prefixes
        }
        self._by_short: defaultdict[int, list[int]] = defaultdict(list)  # member → sets with it in that prefix
        self._by_long: defaultdict[int, list[int]] = defaultdict(list)

    def add(self, number: int) -> None:
        """Let a set be found by `similar`."""
        if prefix := self._prefixes.get(number):
            for member in prefix.short:
                self._by_short[member].append(number)
            for member in prefix.long:
                self._by_long[member].append(number)

    def similar(self, number: int) -> dict[int, float]:
        """Those of the added sets that are similar to this one, with the Jaccard similarity."""
        prefix = self._prefixes.get(number)
        if prefix is None:
            return {}
        met = {other for member in prefix.long for other in self._by_short.get(member, ())}
        met.update(other for member in prefix.short for other in self._by_long.get(member, ()))
        own = self._members[number]
        least, most = self._threshold * len(own) - ROUNDING, len(own) / self._threshold + ROUNDING
        fitting = [other for other in met if least <= len(self._members[other]) <= most]
        return self._similarities(own, fitting) if fitting else {}

    def _similarities(self, own: U32, others: list[int]) -> dict[int, float]:
        """Those of some sets that are similar to one; all in one go, as there may be very many."""
        sets = [self._members[other] for other in others]
        sizes = np.fromiter(map(len, sets), np.int64, len(sets))
        together = np.concatenate(sets)
        in_both = own.take(own.searchsorted(together), mode="clip") == together
        common = np.add.reduceat(in_both, np.cumsum(sizes) - sizes, dtype=np.int64)
        similarities = common / (len(own) + sizes - common)
        similar = np.flatnonzero(similarities >= self._threshold).tolist()
        return {others[at]: float(similarities[at]) for at in similar}


def _share(sizes: Numbers, share: float) -> Numbers:
    """So many members are at least that share of sets of these sizes."""
    counts: Numbers = np.ceil(sizes * share - ROUNDING).astype(np.int64)
    return counts


def _entries(members: U32, most_bits: int) -> int:
    """Of a table for these members: a power of two, some for each of them as long as there is room."""
    return 1 << min((8 * len(members)).bit_length(), most_bits)


def _shared(members: U32, sizes: Numbers) -> Numbers:
    """How many of each set's members are in another set, too; a few more where hashes fall together."""
    table = np.zeros(_entries(members, MOST_SHARED_BITS), np.bool_)
    bits = (len(members) // SORTED_AT_ONCE).bit_length()
    for first_bits in range(1 << bits):
        part = np.sort(_beginning(members, first_bits, bits) if bits else members)
        table[part[1:][part[1:] == part[:-1]] & np.uint32(len(table) - 1)] = True
    shared = np.zeros(len(sizes), np.int64)
    for begin, end, first, last in _blocks(sizes):
        sums = np.zeros(last - first + 1, np.int64)
        np.cumsum(table[members[first:last] & np.uint32(len(table) - 1)], out=sums[1:])
        ends = np.cumsum(sizes[begin:end])
        shared[begin:end] = sums[ends] - sums[ends - sizes[begin:end]]
    return shared


def _beginning(members: U32, first_bits: int, bits: int) -> U32:
    """The members with these first bits; looked through piece by piece, as all at once take a copy of all."""
    pieces = (members[at : at + LOOKED_AT_ONCE] for at in range(0, len(members), LOOKED_AT_ONCE))
    return np.concatenate([piece[piece >> np.uint32(32 - bits) == first_bits] for piece in pieces])


def _prefixes(members: U32, sizes: Numbers, threshold: float, numbers: Numbers) -> dict[int, _Prefix]:
    """Set → its prefixes, of those sets that may meet another."""
    counts = np.zeros(_entries(members, MOST_COUNT_BITS), np.uint32)
    for _, _, first, last in _blocks(sizes):
        np.add.at(counts, members[first:last] & np.uint32(len(counts) - 1), 1)
    lengths = sizes - _share(sizes, threshold) + 1
    shorter = sizes - _share(sizes, 2 * threshold / (1 + threshold)) + 1
    firsts, ends = [members[:0]], np.cumsum(sizes)
    for length, begin, end in zip(lengths.tolist(), (ends - sizes).tolist(), ends.tolist(), strict=True):
        own = members[begin:end]
        ranks = counts[own & np.uint32(len(counts) - 1)].astype(np.uint64) << np.uint64(32) | own
        firsts.append(np.sort(ranks)[:length].astype(np.uint32))
    together = np.concatenate(firsts)
    place = np.arange(len(together)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    is_short = place < np.repeat(shorter, lengths)
    in_order = np.sort(together)
    twice = in_order[1:][in_order[1:] == in_order[:-1]]
    meets = np.isin(together, twice) & np.isin(together, together[is_short])
    prefixes: defaultdict[int, _Prefix] = defaultdict(lambda: _Prefix([], []))
    owners = np.repeat(numbers, lengths)[meets]
    for number, member, short in zip(owners.tolist(), together[meets].tolist(), is_short[meets].tolist(), strict=True):
        prefixes[number].long.append(member)
        if short:
            prefixes[number].short.append(member)
    return dict(prefixes)


def _blocks(sizes: Numbers) -> Iterator[tuple[int, int, int, int]]:
    """(first set, the set after the last, first member, the member after the last) of some sets at once."""
    first = 0
    for begin in range(0, len(sizes), SETS_AT_ONCE):
        end = min(begin + SETS_AT_ONCE, len(sizes))
        last = first + int(sizes[begin:end].sum())
        yield begin, end, first, last
        first = last
