"""Texts → hashed n-grams of their words, many texts at once.

Words are runs of letters, marks and digits of the normalised text (NFKC, case folded); punctuation is not looked at.
Where a script writes no spaces (Chinese, Japanese, Thai, Lao, Khmer, Burmese), a letter with its marks is a word by
itself: n-grams of words are n-grams of characters there.

Hashes are the same on every machine and in every process. They are polynomials modulo 2⁶⁴, so that the hash of a span
is a difference of two sums, and NumPy takes all spans of all texts in one go.
"""

import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

U64 = NDArray[np.uint64]
U32 = NDArray[np.uint32]
Numbers = NDArray[np.int64]

APART, LETTER, WHOLE, MARK = 0, 1, 2, 3
"""Kinds of characters: between words, of a word, a word by itself, and what belongs to the letter before it."""

OF_LETTERS, OF_WORDS = 0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F
"""Bases of the two polynomials: odd, so that they have inverses modulo 2⁶⁴."""
AT_ONCE = 1 << 16
"""Characters hashed in one go: their arrays stay in a processor's cache."""


@dataclass(frozen=True, slots=True)
class Words:
    """The words of some texts, one after another: an entry of each array for each word."""

    joined: str  # the texts normalised, a line break between them
    hashes: U64
    texts: Numbers  # in which of them a word is
    begins: Numbers  # its first character, counted in `joined`
    ends: Numbers
    whole: NDArray[np.bool_]  # whether it is a letter of a script without spaces

    def shown(self, first: int, many: int) -> str:
        """Some neighbouring words, a space between them."""
        spans = zip(self.begins[first : first + many], self.ends[first : first + many], strict=True)
        return " ".join(self.joined[begin:end] for begin, end in spans)


def normalised(text: str) -> str:
    """One form for texts that read alike: compatible characters are one, and there is no upper case."""
    return unicodedata.normalize("NFKC", text).casefold()


def words(texts: Sequence[str]) -> Words:
    """The words of some texts."""
    forms = [normalised(text) for text in texts]
    joined = "\n".join(forms)
    codes = np.frombuffer(joined.encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
    kinds = _kinds()[codes]
    begins, ends = _edges(kinds)
    begins_of_texts = np.fromiter(accumulate((len(form) + 1 for form in forms), initial=0), np.int64, len(forms) + 1)
    counts = np.diff(np.searchsorted(begins, begins_of_texts))
    hashes = _spans(codes, begins, ends, OF_LETTERS)
    return Words(joined, hashes, np.repeat(np.arange(len(forms)), counts), begins, ends, kinds[begins] == WHOLE)


def grams(found: Words, n: int) -> tuple[U64, Numbers]:
    """The hash of every n-gram that lies within one text, and the place of its first word among the words."""
    firsts = np.arange(len(found.hashes) - n + 1)
    firsts = firsts[found.texts[firsts] == found.texts[firsts + n - 1]]
    return _spans(found.hashes, firsts, firsts + n, OF_WORDS), firsts


def gram_sets(texts: Sequence[str], n: int) -> tuple[U32, Numbers]:
    """The different n-grams of each text in rising order, text after text, and how many each text has.

    Hashes are cut to 32 bits: of two texts of 200 words, one pair in 100,000 seems to share a gram that it does not.
    """
    found = words(texts)
    hashes, firsts = grams(found, n)
    both = np.sort(found.texts[firsts].astype(np.uint64) << np.uint64(32) | hashes >> np.uint64(32))
    both = both[np.append(True, both[1:] != both[:-1])[: len(both)]]  # np.unique takes three times as long
    sizes = np.bincount((both >> np.uint64(32)).astype(np.int64), minlength=len(texts))
    return both.astype(np.uint32), sizes


def batches(texts: Iterable[str]) -> Iterator[list[str]]:
    """Texts by the dozen, as many as are hashed in one go."""
    batch: list[str] = []
    characters = 0
    for text in texts:
        batch.append(text)
        characters += len(text) + 1
        if characters >= AT_ONCE:
            yield batch
            batch, characters = [], 0
    if batch:
        yield batch


def _edges(kinds: NDArray[np.uint8]) -> tuple[Numbers, Numbers]:
    """Where words begin, and where they end: the place after the last character."""
    apart = kinds == APART
    whole = kinds == WHOLE
    begins = whole.copy()
    begins[:1] |= ~apart[:1]
    begins[1:] |= ~apart[1:] & apart[:-1]
    begins[1:] |= (kinds[1:] == LETTER) & whole[:-1]
    ends = ~apart
    ends[:-1] &= apart[1:] | begins[1:]
    return np.flatnonzero(begins), np.flatnonzero(ends) + 1


def _spans(values: NDArray[np.unsignedinteger], begin: Numbers, end: Numbers, base: int) -> U64:
    """The hash of each span of the values: Σ (value + 1) · base^place, places counted from the span's begin; mixed."""
    powers, inverses = _powers(base, len(values) + 1)
    sums = np.zeros(len(values) + 1, np.uint64)
    np.cumsum((values + np.uint64(1)) * powers[: len(values)], out=sums[1:])
    return _mixed((sums[end] - sums[begin]) * inverses[begin])


def _mixed(hashes: U64) -> U64:
    """Every bit of a hash from all of its bits (the finaliser of MurmurHash3)."""
    for factor in (0xFF51AFD7ED558CCD, 0xC4CEB9FE1A85EC53):
        hashes = (hashes ^ hashes >> np.uint64(33)) * np.uint64(factor)
    return hashes ^ hashes >> np.uint64(33)


def _powers(base: int, count: int) -> tuple[U64, U64]:
    """The first powers of a base and of its inverse, at least so many."""
    if count <= 2 * AT_ONCE:
        return _usual_powers(base)
    return _made_powers(base, count)  # one huge text: not kept


@cache
def _usual_powers(base: int) -> tuple[U64, U64]:
    return _made_powers(base, 2 * AT_ONCE)


def _made_powers(base: int, count: int) -> tuple[U64, U64]:
    made = []
    for factor in (base, pow(base, -1, 1 << 64)):
        factors = np.full(count, factor, np.uint64)
        factors[0] = 1
        made.append(np.cumprod(factors))
    return made[0], made[1]


@cache
def _kinds() -> NDArray[np.uint8]:
    """Code point → kind."""
    import regex  # noqa: PLC0415 - Python's own patterns know no marks and no classes of line breaking

    everything = "".join(map(chr, range(0x110000)))
    kinds = np.zeros(len(everything), np.uint8)
    patterns = {
        LETTER: r"[\p{L}\p{N}]+",
        # Letters between any two of which a line may break: those of scripts that have no spaces to break it at.
        WHOLE: r"[[\p{lb=SA}\p{lb=ID}\p{lb=CJ}]&&[\p{L}\p{N}]]+",
        MARK: r"\p{M}+",
    }
    for kind, pattern in patterns.items():
        for match in regex.finditer(pattern, everything, flags=regex.VERSION1):
            kinds[match.start() : match.end()] = kind
    return kinds
