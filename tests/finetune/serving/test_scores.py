# ruff: noqa: N806 - shape suffixes

from collections.abc import Sequence

import pytest
import torch

from finetune.serving import scores
from finetune.serving.rows import Scored
from finetune.serving.scores import any_nan, prompt_scores, scored


class Head(torch.nn.Linear):
    """Remembers the largest chunk that it was given."""

    most = 0

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        self.most = max(self.most, hidden.numel() // hidden.shape[-1])
        return super().forward(hidden)


def flat(positions: Sequence[tuple[Scored, ...] | None], what: str) -> list[float]:
    return [getattr(one, what) for found in positions[1:] for one in found or ()]


@pytest.fixture
def head() -> Head:
    torch.manual_seed(0)
    return Head(8, 50, bias=False)


@torch.inference_mode()
def test_chunks_give_what_one_pass_gives(head: Head, monkeypatch: pytest.MonkeyPatch) -> None:
    hidden_TD, ids_T = torch.randn(23, 8), torch.randint(0, 50, (23,))
    whole = prompt_scores(head, hidden_TD, ids_T, 3)
    assert head.most == 22
    head.most = 0
    monkeypatch.setattr(scores, "CHUNK_ELEMENTS", 50 * 4)
    pieces = prompt_scores(head, hidden_TD, ids_T, 3)
    assert flat(pieces, "id") == flat(whole, "id")
    assert flat(pieces, "rank") == flat(whole, "rank")
    assert flat(pieces, "logprob") == pytest.approx(flat(whole, "logprob"), abs=1e-5)
    assert head.most == 4  # 22 = 5 · 4 + 2


@torch.inference_mode()
def test_a_prompt_of_one_token_has_nothing_that_is_predicted(head: Head) -> None:
    assert prompt_scores(head, torch.randn(1, 8), torch.tensor([3]), 2) == (None,)


def test_a_token_that_is_not_listed_ranks_behind_those_that_are_though_as_likely() -> None:
    logits_NV = torch.tensor([[2.0, 1.0, 1.0, 1.0, 0.0]])
    for token, rank in enumerate([1, 4, 4, 4, 5]):
        [(own, best)] = scored(logits_NV, torch.tensor([token]), 2)
        assert own.rank == rank
        assert [one.rank for one in best] == [1, 2]
        assert own.rank > 2 or own in best


def test_what_is_no_number_is_seen() -> None:
    assert any_nan(torch.tensor([[0.0, float("nan")]]))
    assert not any_nan(torch.tensor([[0.0, float("-inf")]]))
