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
from itertools import accumulate, pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

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

ABSENT = -1
"""In `ids_NK`: nothing more is listed. In `chunk_N`: in no chunk."""
Listed = list[tuple[int, float]]
"""Tokens of the student with the natural log of their probabilities, likeliest first."""


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
    chunk_N: npt.NDArray[np.int32]  # the chunk that a token is in, from 0 on; ABSENT where in none
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
    reader = _Reader(vocabulary, ends, ids[end] if ended else stop_ids[0], most, cut)
    return _compared(said, theirs, begins, ours + [END] * ended, before=before, reader=reader, ids=ids)


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
class _Reader:
    """Reads the listings of one row."""

    vocabulary: Vocabulary
    ends: Collection[bytes]  # spellings of the end of a turn
    end_id: int
    most: int | None
    cut: int | None

    def token(self, piece: Piece, ahead: bytes) -> int:
        """The student's token of a teacher's, if the bytes `ahead` stand before it; ABSENT where there is none."""
        if piece == END:
            return self.end_id
        found = None if piece is None else self.vocabulary.id_of(ahead + piece)
        return ABSENT if found is None else found

    def listed(self, top: Mapping[str, Any], torn: bytes) -> Listed:
        """The likeliest listed tokens that are one of the student's each, if the bytes `torn` stand before them."""
        pairs = zip(top["bytes"], top["logprob"], strict=True)
        likeliest = sorted((-logprob, piece is None, piece or b"") for piece, logprob in pairs if logprob > -math.inf)
        if self.cut is not None and len(likeliest) >= self.cut:
            least = likeliest[self.cut - 1][0]
            likeliest = [entry for entry in likeliest if entry[0] < least]
        found: dict[int, float] = {}
        for below, unknown, piece in likeliest[: self.most]:
            token = self.end_id if piece in self.ends else self.vocabulary.id_of(torn + piece)
            if token is not None and not unknown:
                found[token] = _either(found[token], -below) if token in found else -below
        return sorted(found.items(), key=lambda one: (-one[1], one[0]))


def _either(one: float, other: float) -> float:
    """The natural log of the sum of two probabilities, of their logs."""
    return max(one, other) + math.log1p(math.exp(-abs(one - other)))


def _compared(
    said: Said,
    theirs: Sequence[Piece],
    begins: Begins,
    ours: Sequence[bytes],
    *,
    before: bytes,
    reader: _Reader,
    ids: Sequence[int],
) -> Aligned:
    """The arrays for the positions of `ids`, of which `ours` are the first."""
    length = len(ids)
    starts = [0, *accumulate(map(len, ours))]
    head = bisect_right(starts, len(before)) - 1  # so many tokens lie before the answer
    # The next one may begin before it as well. Then the teacher's first tokens are looked at with the same bytes.
    torn = before[starts[head] :]
    edges = _edges(starts, [starts[head], *(None if at is None else at + len(before) for at in begins[1:])])
    listings: dict[int, Listed] = {}
    sampled_N = np.full(length, ABSENT, np.int32)
    alike = set()  # places where the student's own token is what was sampled
    for own, at in edges:
        if own < len(ours) and at < len(theirs):
            ahead, piece = torn if at == 0 else b"", theirs[at]
            listings[own] = reader.listed(said[at]["top"], ahead)
            sampled_N[own] = reader.token(piece, ahead)
            if piece is not None and ours[own] == ahead + piece:
                sampled_N[own] = ids[own]  # of several with the same bytes this one
                alike.add(own)
    ids_NK, logp_NK = _table(length, listings)
    chunk_N, chunk_logp_C = _chunks(length, edges, [token["logprob"] for token in said])
    same = alike.issuperset(range(head, len(ours) - (ours[-1:] == [END])))
    return Aligned(ids_NK, logp_NK, sampled_N, chunk_N, chunk_logp_C, same)


def _edges(ours: Sequence[int], theirs: Begins) -> list[tuple[int, int]]:
    """Pairs of tokens, by place, that begin at the same byte; the first one that does (a token may have no bytes)."""
    places: dict[int | None, int] = {}
    for at, start in enumerate(theirs):
        places.setdefault(start, at)
    return [(own, places[start]) for own, start in enumerate(ours) if start in places]


def _chunks(
    length: int, edges: Sequence[tuple[int, int]], logprobs: Sequence[float]
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float32]]:
    """The chunk of each of the student's tokens, and each chunk's log-probability where that is known."""
    chunk_N = np.full(length, ABSENT, np.int32)
    sums: list[float] = []
    for (begin, first), (end, last) in pairwise(edges):
        if all(logprob > UNKNOWN for logprob in logprobs[first:last]):
            chunk_N[begin:end] = len(sums)
            sums.append(math.fsum(logprobs[first:last]))
    return chunk_N, np.array(sums, np.float32)


def _table(length: int, listings: Mapping[int, Listed]) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float32]]:
    """Ids and log-probabilities, as wide as the longest listing."""
    most = max(map(len, listings.values()), default=0)
    ids_NK = np.full((length, most), ABSENT, np.int32)
    logp_NK = np.full((length, most), -np.inf, np.float32)
    for at, listed in listings.items():
        for rank, (token, logp) in enumerate(listed):
            ids_NK[at, rank], logp_NK[at, rank] = token, logp
    return ids_NK, logp_NK
