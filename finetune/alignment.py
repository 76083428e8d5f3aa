"""A teacher's tokens → a student's: what the teacher's API said of one answer, at the student's own positions.

Both spell the same bytes. Where a token of each begins at the same byte, the two are asked the same question, and what
the API listed there is a distribution over the student's next token, as far as one token of the student has the same
bytes. Between such places only longer pieces can be compared: a chunk's probability is the product of its tokens'
(ALM, Minixhofer et al. 2025, arXiv 2503.20083).
"""

# ruff: noqa: N806, N815 - shape suffixes

import math
from bisect import bisect_right
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import accumulate, pairwise, zip_longest

import numpy as np
import numpy.typing as npt

from finetune.boundaries import Boundaries, Place
from finetune.listings import ABSENT, Listed, Reader
from finetune.placing import (
    END,
    UNKNOWN,
    Begins,
    Piece,
    Said,
    place,
    place_beginning,
    without_first_space,
    without_last_space,
)
from finetune.token_bytes import Vocabulary

Edges = list[tuple[int, int]]
"""Tokens of student and teacher that begin at the same byte, by place."""


class Unaligned(StrEnum):
    """Why a row's logprobs say nothing about the student's tokens."""

    NO_LOGPROBS = "no_logprobs"  # the API gave none
    OTHER_TEXT = "other_text"  # they spell another text than the student's answer


@dataclass(frozen=True, slots=True, eq=False)
class Aligned:
    """What the teacher said about the student's N tokens of an answer, and about C chunks of them."""

    ids_NK: npt.NDArray[np.int32]  # listed tokens, likeliest first; ABSENT where there are no more
    logp_NK: npt.NDArray[np.float32]  # natural log of their probabilities; -inf where absent
    sampled_N: npt.NDArray[np.int32]  # the token that the teacher sampled; ABSENT where it is none of the student's
    chunk_N: npt.NDArray[np.int32]  # the chunk whose likelihood a token is learnt by, from 0 on; ABSENT where by none
    chunk_logp_C: npt.NDArray[np.float32]  # natural log of the teacher's probability of each chunk
    same: bool  # the student's tokens of the answer are the teacher's, byte for byte


def align(
    said: Said | None,
    ids: Sequence[int],
    vocabulary: Vocabulary,
    *,
    stop_ids: Sequence[int],
    most: int | None,
    cut: int | None = None,
    before: bytes = b"",
    bias: float | None = None,
) -> Aligned | Unaligned:
    """Find what the teacher said of an answer, by the student's tokens of it.

    A listing is there where a token of each begins at the same byte; what no single token of the student spells is left
    out of it. The token that ended the teacher's turn is the student's, however it is spelt. A first space that the
    answer lacks counts at no token of the first place; of white space that it lacks at its end nothing is told, nor of
    the token that this begins in or of the end of the turn behind it.

    Args:
        said: the teacher's tokens, with the one that ended its turn if the API gave it.
        ids: the student's N tokens, up to the one that ends the turn, or cut anywhere before.
        vocabulary: the student's.
        stop_ids: the student's tokens that end a turn; the first is meant where `ids` are cut.
        most: so many of the tokens that are listed for a place count, the likeliest; None: all.
        cut: of a full list only those count that are likelier than the one of this rank, from 1 on. Which ones count
            must not depend on the sampled token, and APIs may list it beyond the k that were asked for, or in the place
            of the last one (vLLM); the k-1 likeliest are there either way, and their order among equals says nothing.
        before: what the student's template has it say before the answer (the end of a thought, a space).
        bias: so much of the teacher's probability may belong to texts without a boundary that counts, where the student
            cuts otherwise (`boundaries.py`); then there are lists at those boundaries only, of what is the same event
            for both, and chunks between them: all that are not one token of both with a list. None: every list, and no
            chunks.

    Returns:
        Arrays, or the reason why there are none.
    """
    if not said:
        return Unaligned.NO_LOGPROBS
    ours = spelt(ids, vocabulary, stop_ids)
    end, ended, text = len(ours), len(ours) < len(ids), b"".join(ours)
    if not text.startswith(before) or not all(ours):
        return Unaligned.OTHER_TEXT
    found = _placed(said, text[len(before) :], whole=ended)
    if found is None:
        return Unaligned.OTHER_TEXT
    said, theirs, begins = found
    ends = {b"", said[-1]["bytes"]} if theirs[-1] == END else {b""}
    reader = Reader(vocabulary, ends, ids[end] if ended else stop_ids[0], most, cut)
    return _Row(said, theirs, ours + [END] * ended, ids, reader).compared(begins, before, bias)


def spelt(ids: Sequence[int], vocabulary: Vocabulary, stop_ids: Collection[int]) -> list[bytes]:
    """The bytes of a student's tokens of an answer, up to the one that ends the turn; none where they are not known."""
    end = next((at for at, token in enumerate(ids) if token in stop_ids), len(ids))
    return [vocabulary.bytes_of(token) or b"" for token in ids[:end]]


def _placed(said: Said, answer: bytes, *, whole: bool) -> tuple[Said, list[Piece], Begins] | None:
    """What was said of an answer's own text, its tokens and where they begin; None where that is another text.

    White space at the ends of an answer may have been stripped: by the server, or before it was stored.
    """
    said = without_first_space(said, answer)
    for told in (said, without_last_space(said)):
        placed = (place if whole else place_beginning)([token["bytes"] for token in told], answer)
        if placed is not None:
            return told, *placed
    return None


@dataclass(frozen=True, slots=True)
class _Row:
    """What teacher and student said of one answer."""

    said: Said
    theirs: Sequence[Piece]
    ours: Sequence[bytes]  # the student's first tokens, END for the one that ends the turn
    ids: Sequence[int]  # all of them
    reader: Reader

    def compared(self, begins: Begins, before: bytes, bias: float | None) -> Aligned:
        """The arrays for the positions of `ids`, by the bytes that the teacher's tokens begin at, behind `before`."""
        starts = [0, *accumulate(map(len, self.ours))]
        head = bisect_right(starts, len(before)) - 1  # so many tokens lie before the answer
        # The next one may begin before it as well. Then the teacher's first tokens are looked at with the same bytes.
        torn = before[starts[head] :]
        edges = _edges(starts, [starts[head], *(None if at is None else at + len(before) for at in begins[1:])])
        sampled_N, alike = self._sampled(edges, torn)
        same = alike.issuperset(range(head, len(self.ours) - (self.ours[-1:] == [END])))
        boundaries = None
        if bias is not None:
            boundaries = self._boundaries(starts, bias)
            edges = [edge for place, edge in enumerate(edges) if place == 0 or boundaries.counts(*edge)]
        listings = self._listings(edges, torn, boundaries)
        chunk_N, chunk_logp_C = self._chunks([] if bias is None else edges, listings)
        return Aligned(*_table(len(self.ids), listings), sampled_N, chunk_N, chunk_logp_C, same)

    def _boundaries(self, starts: Sequence[int], bias: float) -> Boundaries:
        told = zip(self.said, self.theirs, strict=True)
        places = [Place.of(token, sampled, self.reader.ends) for token, sampled in told]
        return Boundaries(self.reader.vocabulary, places, self.theirs, self.ours, starts, b"".join(self.ours), bias)

    def _sampled(self, edges: Edges, torn: bytes) -> tuple[npt.NDArray[np.int32], set[int]]:
        """What the teacher sampled, by the student's tokens, and the places where that is the student's own."""
        sampled_N, alike = np.full(len(self.ids), ABSENT, np.int32), set()
        for own, at in edges:
            if own < len(self.ours) and at < len(self.theirs):
                ahead, piece = torn if at == 0 else b"", self.theirs[at]
                sampled_N[own] = self.reader.token(piece, ahead)
                if piece is not None and self.ours[own] == ahead + piece:
                    sampled_N[own] = self.ids[own]  # of several with the same bytes this one
                    alike.add(own)
        return sampled_N, alike

    def _listings(self, edges: Edges, torn: bytes, boundaries: Boundaries | None) -> dict[int, Listed]:
        found = {}
        for (own, at), following in zip_longest(edges, edges[1:]):
            if own < len(self.ours) and at < len(self.theirs):
                ahead, one_token = torn if at == 0 else b"", following == (own + 1, at + 1)
                but = boundaries.other_events(own, at, ahead=ahead, one_token=one_token) if boundaries else ()
                found[own] = self.reader.listed(self.said[at]["top"], ahead, but)
        return found

    def _chunks(
        self, edges: Edges, listings: Mapping[int, Listed]
    ) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float32]]:
        """Each token's chunk and each chunk's log-probability, if that is known and no list says all of it."""
        chunk_N = np.full(len(self.ids), ABSENT, np.int32)
        sums: list[float] = []
        for (own, at), (end, last) in pairwise(edges):
            logprobs = [token["logprob"] for token in self.said[at:last]]
            told = (end, last) == (own + 1, at + 1) and listings[own]
            if not told and all(logprob > UNKNOWN for logprob in logprobs):
                chunk_N[own:end] = len(sums)
                sums.append(math.fsum(logprobs))
        return chunk_N, np.array(sums, np.float32)


def _edges(ours: Sequence[int], theirs: Begins) -> Edges:
    """Pairs of tokens, by place, that begin at the same byte; the first one that does (a token may have no bytes)."""
    places: dict[int | None, int] = {}
    for at, start in enumerate(theirs):
        places.setdefault(start, at)
    return [(own, places[start]) for own, start in enumerate(ours) if start in places]


def _table(length: int, listings: Mapping[int, Listed]) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float32]]:
    """Ids and log-probabilities, as wide as the longest listing."""
    most = max(map(len, listings.values()), default=0)
    ids_NK = np.full((length, most), ABSENT, np.int32)
    logp_NK = np.full((length, most), -np.inf, np.float32)
    for at, listed in listings.items():
        for rank, (token, logp) in enumerate(listed):
            ids_NK[at, rank], logp_NK[at, rank] = token, logp
    return ids_NK, logp_NK
