"""In small worlds a student that cuts otherwise, and says just what its teacher says, is left alone."""

# ruff: noqa: N806 - shape suffixes

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from tellings import listing

from finetune.alignment import Aligned, align
from finetune.boundaries import BIASED
from finetune.collate import Soft, soft_of
from finetune.config import Loss
from finetune.rendering import IGNORED, Example
from finetune.supervision import summed_loss
from finetune.token_bytes import Vocabulary

LENGTH = 4  # tokens of the teacher's in a text; then it ends
Prefix = tuple[int, ...]


@dataclass(frozen=True)
class World:
    """A teacher whose next token depends on its last one, and a student that takes the longest of its tokens."""

    following: Mapping[str, Mapping[str, float]]
    student: tuple[str, ...]
    listed: int = 3  # tokens that the API lists, the likeliest

    @property
    def end(self) -> int:
        return len(self.student)

    @property
    def vocabulary(self) -> Vocabulary:
        pieces = [token.encode() for token in self.student]
        return Vocabulary(dict(enumerate(pieces)), {piece: at for at, piece in enumerate(pieces)}, sorted(pieces))

    def texts(self, said: tuple[str, ...] = (), p: float = 1.0) -> Iterator[tuple[tuple[str, ...], float]]:
        """Every text, as the teacher says it, with its probability."""
        if len(said) == LENGTH:
            yield said, p
            return
        for token, chance in self.following[said[-1] if said else ""].items():
            yield from self.texts((*said, token), p * chance)

    def told(self, said: tuple[str, ...]) -> list[dict[str, Any]]:
        """What the API gives of a text."""
        found = []
        for last, token in zip(["", *said], said, strict=False):
            chances = sorted(self.following[last].items(), key=lambda one: -one[1])[: self.listed]
            top = [(other.encode(), math.log(p)) for other, p in chances]
            found.append(listing(token.encode(), math.log(self.following[last][token]), top))
        return [*found, listing(b"</s>", 0.0, [(b"</s>", 0.0)])]

    def ids(self, said: tuple[str, ...]) -> list[int]:
        """The student's tokens of a text, with the end."""
        found, rest = [], "".join(said)
        while rest:
            piece = max((token for token in self.student if rest.startswith(token)), key=len)
            found.append(self.student.index(piece))
            rest = rest.removeprefix(piece)
        return [*found, self.end]

    def same_student(self) -> tuple[dict[Prefix, int], torch.Tensor]:
        """Where each beginning of a text stands, and log q there, log_q_PV: of texts it is the teacher's p."""
        weights: dict[Prefix, list[float]] = defaultdict(lambda: [0.0] * (self.end + 1))
        for said, p in self.texts():
            ids = self.ids(said)
            for place, token in enumerate(ids):
                weights[tuple(ids[:place])][token] += p
        q_PV = torch.tensor(list(weights.values()), dtype=torch.float64)
        return {prefix: at for at, prefix in enumerate(weights)}, (q_PV / q_PV.sum(1, keepdim=True)).clamp(1e-30).log()

    def mean_gradient(self, kind: str, bias: float | None) -> float:
        """The largest entry of a loss's mean gradient by that student's logits, over all texts."""
        places, log_q_PV = self.same_student()
        head = torch.nn.Linear(len(places), self.end + 1, bias=False, dtype=torch.float64)
        head.weight.data = log_q_PV.T.contiguous()
        total_VP = torch.zeros_like(head.weight)
        for said, p in self.texts():
            ids = self.ids(said)
            found = align(self.told(said), ids, self.vocabulary, stop_ids=[self.end], most=None, bias=bias)
            assert isinstance(found, Aligned)
            soft = soft_of([Example((0, *ids), (IGNORED, *ids), found)])
            assert isinstance(soft, Soft)
            rows = [places[tuple(ids[:place])] for place in range(len(ids))]
            hidden_NP = torch.eye(len(places), dtype=torch.float64)[rows]
            loss = summed_loss(Loss.model_validate({"kind": kind}), hidden_NP, head, torch.tensor(ids), soft)
            total_VP += p * torch.autograd.grad(loss, head.weight)[0]
        return total_VP.abs().max().item()


LETTERS_AND_PAIRS = World(  # as with digits that a teacher has in groups; it never says `a`, `b` for `ab`
    {
        "": {"a": 0.3, "b": 0.3, "ab": 0.4},
        "a": {"a": 0.6, "ab": 0.4},
        "b": {"a": 0.4, "b": 0.3, "ab": 0.3},
        "ab": {"a": 0.1, "b": 0.5, "ab": 0.4},
    },
    student=("a", "b"),
)
PAIRS_AND_LETTERS = World(  # as with words that a teacher has in pieces, which are likely where they begin only
    {
        "": {"a": 0.1, "b": 0.5, "c": 0.4},
        "a": {"a": 0.1, "b": 0.6, "c": 0.3},
        "b": {"a": 0.1, "b": 0.5, "c": 0.4},
        "c": {"a": 0.1, "b": 0.6, "c": 0.3},
    },
    student=("a", "b", "c", "ab"),
    listed=2,
)
LIKELY_PIECES = World(PAIRS_AND_LETTERS.following, PAIRS_AND_LETTERS.student, listed=3)
exact = pytest.mark.parametrize("world", [LETTERS_AND_PAIRS, PAIRS_AND_LETTERS], ids=["finer", "coarser"])


@exact
def test_such_a_student_is_not_moved_by_what_means_the_same_to_both(world: World) -> None:
    assert sum(p for _, p in world.texts()) == pytest.approx(1)
    assert world.mean_gradient("chunks", BIASED) < 1e-6


@exact
def test_every_list_as_it_is_spelt_would_move_it_and_so_would_every_common_boundary(world: World) -> None:
    assert world.mean_gradient("bucket", None) > 0.02
    assert world.mean_gradient("chunks", 1.0) > 0.02


def test_what_is_left_of_the_bias_is_of_other_listed_tokens_that_the_student_would_have_joined() -> None:
    assert 1e-6 < LIKELY_PIECES.mean_gradient("chunks", BIASED) < LIKELY_PIECES.mean_gradient("bucket", None)
