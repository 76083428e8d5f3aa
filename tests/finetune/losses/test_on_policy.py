# ruff: noqa: N803, N806 - shape suffixes
"""Losses at tokens that the student sampled, against the divergence that they stand for."""

import sys

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from finetune.losses import fused_policy_gradient, fused_reverse_bucket, policy_gradient, reverse_bucket

V = 30


def logits(positions: int = 1, *, seed: int = 0, spread: float = 2.0, vocabulary: int = V) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(positions, vocabulary, generator=generator, dtype=torch.float64) * spread


def divergence(z_NV: Tensor, logp_NV: Tensor) -> Tensor:
    """KL(q‖p)."""
    log_q_NV = z_NV.log_softmax(1)
    return (log_q_NV.exp() * (log_q_NV - logp_NV)).sum(1)


def gradient(loss_N: Tensor, z_NV: Tensor) -> Tensor:
    (slope_NV,) = torch.autograd.grad(loss_N.sum(), z_NV)
    return slope_NV


def test_policy_gradient_has_the_divergence_s_gradient_in_the_mean_over_what_the_student_samples() -> None:
    z_NV, logp_NV = logits(seed=1).requires_grad_(), logits(seed=2).log_softmax(1)
    log_q_NV = z_NV.log_softmax(1)
    every_y = policy_gradient(log_q_NV[0], log_q_NV[0].detach(), logp_NV[0])
    expected = gradient((log_q_NV[0].exp().detach() * every_y).sum()[None], z_NV)
    wanted = gradient(divergence(z_NV, logp_NV), z_NV)
    assert (expected - wanted).abs().max() <= 1e-12


def test_policy_gradient_is_weighted_by_how_much_likelier_the_token_became() -> None:
    # Sampled from an older student, its mean over y ~ q_old is that of the newer one.
    z_NV, old_NV, logp_NV = logits(seed=1).requires_grad_(), logits(seed=3), logits(seed=2).log_softmax(1)
    log_q_V, old_V = z_NV.log_softmax(1)[0], old_NV.log_softmax(1)[0]
    mean = (old_V.exp() * policy_gradient(log_q_V, old_V, logp_NV[0])).sum()
    wanted = -(log_q_V.exp() * (logp_NV[0] - old_V)).sum()
    torch.testing.assert_close(mean, wanted, rtol=1e-12, atol=0)


def test_policy_gradient_s_value_is_the_divergence_s_at_the_token() -> None:
    log_q_N, logp_N = torch.tensor([-1.0, -0.5]), torch.tensor([-3.0, -0.25])
    assert policy_gradient(log_q_N, log_q_N, logp_N).tolist() == [2.0, -0.25]


def test_reverse_bucket_is_the_whole_divergence_where_every_token_is_listed() -> None:
    z_NV, logp_NV = logits(4, seed=1).requires_grad_(), logits(4, seed=2).log_softmax(1)
    ids_NK = torch.stack([torch.randperm(V) for _ in range(4)])
    loss_N = reverse_bucket(z_NV, ids_NK, logp_NV.gather(1, ids_NK))
    wanted_N = divergence(z_NV, logp_NV)
    torch.testing.assert_close(loss_N, wanted_N, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(gradient(loss_N, z_NV), gradient(wanted_N, z_NV), rtol=1e-10, atol=1e-12)


@given(seed=st.integers(0, 1000), k=st.integers(1, V - 1), spread=st.floats(0.1, 6))
def test_reverse_bucket_is_a_lower_bound_that_is_nought_only_where_both_agree(seed: int, k: int, spread: float) -> None:
    z_NV, logp_NV = logits(3, seed=seed, spread=spread), logits(3, seed=seed + 1, spread=spread).log_softmax(1)
    listed = logp_NV.topk(k)
    loss_N = reverse_bucket(z_NV, listed.indices, listed.values)
    if logp_NV.gather(1, listed.indices).exp().sum(1).max() < 1 - 1e-6:  # else R is held up, which bounds it lower
        assert (loss_N >= -1e-9).all()
    assert (loss_N <= divergence(z_NV, logp_NV) + 1e-9).all()  # R is 1 - S: of a small one few digits are left
    assert reverse_bucket(logp_NV, listed.indices, listed.values).abs().max() < 2e-5


def test_reverse_bucket_moves_tokens_that_the_teacher_did_not_list() -> None:
    # Renormalised over the listed ones alone it would not.
    z_NV, logp_NV = logits(seed=1).requires_grad_(), logits(seed=2, spread=4).log_softmax(1)
    listed = logp_NV.topk(3)
    slope_NV = gradient(reverse_bucket(z_NV, listed.indices, listed.values), z_NV)
    outside_NV = torch.ones_like(slope_NV, dtype=torch.bool).scatter(1, listed.indices, False)
    assert (slope_NV[outside_NV] > 0).all()  # the student has more there than the teacher


def test_reverse_bucket_holds_against_finite_differences() -> None:
    logp_NV = logits(2, seed=2).log_softmax(1)
    listed = logp_NV.topk(4)
    ids_NK = listed.indices.clone()
    ids_NK[1, 3] = -1
    z_NV = logits(2, seed=1).requires_grad_()
    assert torch.autograd.gradcheck(lambda z: reverse_bucket(z, ids_NK, listed.values), z_NV)


def test_absent_entries_change_nothing() -> None:
    z_NV, logp_NV = logits(seed=1), logits(seed=2).log_softmax(1)
    listed = logp_NV.topk(3)
    padded = [torch.nn.functional.pad(given, (0, 2), value=-1) for given in (listed.indices, listed.values)]
    plain = reverse_bucket(z_NV, listed.indices, listed.values)
    torch.testing.assert_close(reverse_bucket(z_NV, *padded), plain)
    nothing = reverse_bucket(z_NV, torch.full((1, 2), -1), torch.zeros(1, 2))
    assert nothing.tolist() == [0.0]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("sure_of", [0, V - 1])  # of a listed token, and of none
@pytest.mark.parametrize("k", [1, 5, V])
def test_extremes_stay_finite(dtype: torch.dtype, sure_of: int, k: int) -> None:
    z_NV = torch.full((1, V), -1e4, dtype=dtype)
    z_NV[0, sure_of] = 1e4
    z_NV.requires_grad_()
    logp_NK = torch.tensor([[0.0, *[-9999.0] * (k - 1)]])  # servers write -9999 where there is no probability at all
    loss_N = reverse_bucket(z_NV, torch.arange(k)[None], logp_NK)
    assert torch.isfinite(loss_N).all()
    assert torch.isfinite(gradient(loss_N, z_NV)).all()


@pytest.mark.parametrize("learns", [True, False])
@pytest.mark.parametrize("chunk", [1, 3, 100])  # positions
def test_the_fused_heads_equal_the_plain_ones(learns: bool, chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules["finetune.losses.fused"], "CHUNK_LOGITS", chunk * V)  # a function has its name
    head = nn.Linear(8, V, bias=False, dtype=torch.float64).requires_grad_(learns)
    hidden_ND = logits(7, seed=3, vocabulary=8).requires_grad_()
    logp_NV, label_N = logits(7, seed=2).log_softmax(1), torch.arange(7)
    listed = logp_NV.topk(4)
    old_N, logp_N = logp_NV[:, 5], logp_NV[:, 6]
    weights_N = torch.arange(1.0, 8.0, dtype=torch.float64)
    log_q_N = head(hidden_ND).log_softmax(1).gather(1, label_N[:, None])[:, 0]
    pairs = [
        (
            fused_reverse_bucket(hidden_ND, head, listed.indices, listed.values),
            reverse_bucket(head(hidden_ND), listed.indices, listed.values),
        ),
        (
            fused_policy_gradient(hidden_ND, head, label_N, old_N, logp_N),
            policy_gradient(log_q_N, old_N, logp_N),
        ),
    ]
    for mine_N, plain_N in pairs:
        torch.testing.assert_close(mine_N, plain_N)
        inputs = [hidden_ND, *([head.weight] if learns else [])]
        mine, plain = (torch.autograd.grad((one @ weights_N), inputs) for one in (mine_N, plain_N))
        for one, other in zip(mine, plain, strict=True):
            torch.testing.assert_close(one, other)
    assert head.weight.grad is None


def test_no_positions_have_no_loss() -> None:
    head = nn.Linear(8, V)
    assert fused_reverse_bucket(torch.zeros(0, 8), head, torch.zeros(0, 2).long(), torch.zeros(0, 2)).shape == (0,)
