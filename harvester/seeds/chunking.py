"""A text → chunks of so many tokens that overlap, cut where a reader would pause."""

from array import array
from bisect import bisect_right
from collections.abc import Iterator
from itertools import accumulate

import regex

from harvester.seeds.headings import headings
from harvester.seeds.tokens import Weigh

PARAGRAPH, SENTENCE, LINE, WORD, INSIDE, HEADING = 5, 4, 3, 2, 1, 0
"""What ends at a cut; the higher the better. A heading, or a part of one, is no end: it belongs to what follows."""

# A word with the space after it, and what is written onto that: an accent may follow a space. Chinese and Japanese
# have no spaces, but ends of sentences.
PIECE = regex.compile(
    r"(?:[^\s。！？]*[。！？]+[”’」』）]*\s*|[^\s。！？]+\s*|\s+)"  # noqa: RUF001 - full-width ones are meant
    r"[\p{GCB=Extend}\p{GCB=SpacingMark}\p{GCB=ZWJ}]*"
)
SENTENCE_END = regex.compile(r"""[.!?…。！？؟۔।॥]["'”’»）」』)\]]*\s*$""")  # noqa: RUF001 - as above
PARAGRAPH_END = regex.compile(r"\n[^\S\n]*\n\s*$")
CLUSTER = regex.compile(r"\X")
"""What a reader sees as one character: a letter with its accents, a flag, a family of emoji."""


def chunks(text: str, weigh: Weigh, *, tokens: int, overlap: int) -> Iterator[str]:
    """The chunks, without the space around them.

    Args:
        text: the whole document.
        weigh: its tokens.
        tokens: the most of one chunk; only a single cluster of characters that has more makes a larger one.
        overlap: the most that a chunk repeats of the one before it, at most half of `tokens`.
    """
    for begin, end in spans(text, weigh, tokens=tokens, overlap=overlap):
        if chunk := text[begin:end].strip():
            yield chunk


def spans(text: str, weigh: Weigh, *, tokens: int, overlap: int) -> Iterator[tuple[int, int]]:
    """(begin, end) of every chunk in the text, in characters; the arguments are those of `chunks`."""
    pieces = _Pieces(text, weigh, heaviest=max((overlap or tokens) / 8, 2))
    begin = end = 0
    while end < pieces.count:
        end = pieces.end(begin, end, tokens)
        yield pieces.start(begin), pieces.start(end)
        begin = pieces.again(begin, end, tokens, overlap)


class _Pieces:
    """The places where a text may be cut, numbered; piece i lies between cut i and cut i + 1."""

    def __init__(self, text: str, weigh: Weigh, heaviest: float) -> None:
        cuts, ranks, weights = array("Q", [0]), bytearray([PARAGRAPH]), array("d")
        for piece in PIECE.finditer(text):
            begin, end = piece.span()
            weight = weigh(begin, end)
            if weight > heaviest:
                inner = [cluster.end() for cluster in CLUSTER.finditer(text, begin, end)]
                cuts.extend(inner)
                weights.extend(weigh(left, right) for left, right in zip([begin, *inner[:-1]], inner, strict=True))
                ranks.extend(bytes([INSIDE]) * (len(inner) - 1))
            else:
                cuts.append(end)
                weights.append(weight)
            ranks.append(_rank(piece.group()))
        for begin, end in headings(text):
            first, last = bisect_right(cuts, begin), bisect_right(cuts, end)
            ranks[first:last] = bytes([HEADING]) * (last - first)
        self._cuts, self._ranks = cuts, ranks
        self._before = array("d", accumulate(weights, initial=0.0))  # cut → tokens before it
        self.count = len(weights)

    def start(self, cut: int) -> int:
        """Where a cut is, in characters."""
        return self._cuts[cut]

    def end(self, begin: int, beyond: int, tokens: int) -> int:
        """The best cut after `begin` and `beyond` that leaves at most `tokens`.

        It leaves half or more, unless only cuts that leave less keep a heading with what follows it.
        """
        farthest = self._farthest(begin, tokens)
        if farthest == self.count:
            return farthest
        enough = self._before[begin] + tokens / 2
        good = [cut for cut in range(beyond + 1, farthest + 1) if self._before[cut] >= enough]
        if good and all(self._ranks[cut] == HEADING for cut in good):
            good = [cut for cut in range(beyond + 1, good[0]) if self._ranks[cut] != HEADING] or good
        return max(good, key=lambda cut: (self._ranks[cut], cut), default=max(farthest, beyond + 1))

    def again(self, begin: int, end: int, tokens: int, overlap: int) -> int:
        """Where the chunk after that from `begin` to `end` begins: with a sentence, if one fits into `overlap`."""
        if end == self.count:
            return end
        following = self._before[end + 1]
        first = end
        while first - 1 > begin and self._before[end] - self._before[first - 1] <= overlap:
            first -= 1
        good = [cut for cut in range(first, end) if following - self._before[cut] <= tokens]
        return max(good, key=lambda cut: (min(self._ranks[cut], SENTENCE), -cut), default=end)

    def _farthest(self, begin: int, tokens: int) -> int:
        cut = begin + 1
        while cut < self.count and self._before[cut + 1] - self._before[begin] <= tokens:
            cut += 1
        return cut


def _rank(piece: str) -> int:
    if PARAGRAPH_END.search(piece):
        return PARAGRAPH
    if SENTENCE_END.search(piece):
        return SENTENCE
    return LINE if "\n" in piece else WORD
