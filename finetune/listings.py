"""A teacher's listing of a place → the student's tokens that it names."""

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from finetune.placing import END, Piece
from finetune.token_bytes import Vocabulary

ABSENT = -1
"""No token; nothing more is listed; in no chunk."""
Listed = list[tuple[int, float]]
"""Tokens of the student with the natural log of their probabilities, likeliest first."""


@dataclass(frozen=True, slots=True)
class Reader:
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

    def listed(self, top: Mapping[str, Any], torn: bytes, but: Collection[bytes]) -> Listed:
        """The likeliest listed tokens that are one of the student's each, if the bytes `torn` stand before them."""
        pairs = zip(top["bytes"], top["logprob"], strict=True)
        likeliest = sorted((-logprob, piece is None, piece or b"") for piece, logprob in pairs if logprob > -math.inf)
        if self.cut is not None and len(likeliest) >= self.cut:
            least = likeliest[self.cut - 1][0]
            likeliest = [entry for entry in likeliest if entry[0] < least]
        found: dict[int, float] = {}
        for below, unknown, piece in likeliest[: self.most]:
            token = self.end_id if piece in self.ends else self.vocabulary.id_of(torn + piece)
            if token is not None and not unknown and piece not in but:
                found[token] = _either(found[token], -below) if token in found else -below
        return sorted(found.items(), key=lambda one: (-one[1], one[0]))


def _either(one: float, other: float) -> float:
    """The natural log of the sum of two probabilities, of their logs."""
    return max(one, other) + math.log1p(math.exp(-abs(one - other)))
