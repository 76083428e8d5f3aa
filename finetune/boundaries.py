"""Where a teacher may be compared with a student that cuts otherwise: which boundaries count, and which listed tokens.

What a model says up to a boundary has the probability of that text *and* of a boundary there. Where both models have
one, their texts are the same and the two events are not: after `light` a teacher may go on with `house`, for which the
student has `lighthouse`, so that some of the texts which the teacher has in mind have no boundary of the student's
there (tokenisation bias, Phan et al. 2024, arXiv 2410.09303). What the API listed on both sides tells how many:

- of what it listed behind the boundary, what the student would join to its token before it;
- of what it listed beside the token before the boundary, what goes on where that one ends, though the student parts.

If either is more than `BIASED` of the teacher's probability, the boundary does not count: the pieces on both sides are
compared as one, and what was listed there is not learnt. Below it a log-likelihood is off by 0.1 nats at most for each
of the two, as far as the API listed what matters. Threshold and joining are those of approximate likelihood matching
(Minixhofer et al. 2025, arXiv 2503.20083, "outcome chunk debiasing"). There a boundary counts where white space, which
no token goes over, is likelier than the threshold, and both likelihoods are multiplied by how likely it is: that takes
whole distributions, the teacher's and the student's.

At a boundary that counts, a listed token is another event for the student where it begins other texts with that token,
too. Such tokens are left to the bucket, which stays true whatever is put into it:

- what begins the text itself, unless both say that as one token: its share is in the likelihood of the chunk;
- what begins other listed tokens that the student parts there (`2` beside `2023` where digits stand alone).

What stays biased, accepted because no API tells it: another listed token that the student would have joined to what
came next (` light` where it says ` lighthouse`); what was not listed; and what the student would have cut otherwise
further left than its last token.
"""

import math
from bisect import bisect_right
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice, takewhile
from typing import Any

from finetune.placing import END, UNKNOWN, Piece
from finetune.token_bytes import Vocabulary

BIASED = 0.1
"""Probability that may belong to texts without the boundary."""


@dataclass(frozen=True, slots=True)
class Place:
    """What is known of a place, of the sampled token too; without the end of the turn."""

    p: Mapping[bytes, float]  # each token's probability
    ordered: Sequence[bytes]  # what begins with a token stands right behind it

    @classmethod
    def of(cls, token: Mapping[str, Any], sampled: Piece, ends: Collection[bytes]) -> "Place":
        """The place of a teacher's token, of what was said there and the token's bytes.

        Args:
            token: an item of a row's `logprobs`.
            sampled: its bytes in the answer.
            ends: the teacher's spellings of the end of a turn.
        """
        found: dict[bytes, float] = {}
        for piece, logprob in zip(token["top"]["bytes"], token["top"]["logprob"], strict=True):
            if piece and piece not in ends and logprob > UNKNOWN:
                found[piece] = found.get(piece, 0.0) + math.exp(logprob)
        if sampled is not None and sampled != END and token["logprob"] > UNKNOWN:
            found.setdefault(sampled, math.exp(token["logprob"]))
        return cls(found, sorted(found))

    def longer(self, piece: bytes) -> Iterator[bytes]:
        """The tokens that begin with one and go on."""
        behind = islice(self.ordered, bisect_right(self.ordered, piece), None)
        return takewhile(lambda other: other.startswith(piece), behind)


@dataclass(frozen=True, slots=True)
class Boundaries:
    """Those that teacher and student have in common in one answer."""

    vocabulary: Vocabulary  # the student's
    places: Sequence[Place]
    theirs: Sequence[Piece]  # the teacher's tokens
    ours: Sequence[bytes]  # the student's
    starts: Sequence[int]  # the byte of `text` that each of the student's begins at
    text: bytes  # what they spell together
    bias: float

    def counts(self, own: int, at: int) -> bool:
        """Whether the boundary before the student's token `own` and the teacher's `at` does; neither is the first."""
        last, before = self.ours[own - 1], self.theirs[at - 1]
        here = self.theirs[at] if at < len(self.theirs) else None  # the text itself has the boundary
        behind = self.places[at].p if at < len(self.theirs) else {}
        joined = [p for piece, p in behind.items() if piece != here and self.vocabulary.goes_on(last, piece)]
        if math.fsum(joined) > self.bias:
            return False
        return before is None or before == END or self._in_longer(last, before, self.places[at - 1]) <= self.bias

    def other_events(self, own: int, at: int, *, ahead: bytes, one_token: bool) -> frozenset[bytes]:
        """Which of the tokens listed at a boundary that counts are other events for the student, by their bytes.

        Args:
            own: the student's token behind the boundary.
            at: the teacher's.
            ahead: what stands before the teacher's token in the student's.
            one_token: both have one token up to the next boundary that counts.
        """
        place, sampled, start = self.places[at], self.theirs[at] or b"", self.starts[own]
        found = set()
        for piece in place.p:
            whole = ahead + piece
            begins_it = self.text.startswith(whole, start) or sampled.startswith(piece)
            if (begins_it and not one_token) or self._in_longer(whole, piece, place) > self.bias:
                found.add(piece)
        return frozenset(found)

    def _in_longer(self, own: bytes, piece: bytes, place: Place) -> float:
        """Of what begins with a token, the share in longer ones that the student parts behind `own` all the same."""
        parted = [other for other in place.longer(piece) if not self.vocabulary.goes_on(own, other[len(piece) :])]
        more = math.fsum(place.p[other] for other in parted)
        return more / (more + place.p.get(piece, 0.0)) if more else 0.0
