"""The losses against their formulas, written out again without shared code, and against exact expectations."""

# ruff: noqa: N803, N806 - shape suffixes

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from finetune.losses import bucket, bucket_sampled, hard, tempered, topk_renormalised

V = 12
Loss = Callable[..., Tensor]
SOFT: list[Any] = [topk_renormalised, bucket, bucket_sampled]
ALL: list[Any] = [hard, *SOFT]


def teacher(seed: int, spread: float = 2.0) -> Tensor:
    return (torch.randn(V, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)) * spread).log_softmax(0)


def listed(logp_V: Tensor, k: int) -> tuple[Tensor, Tensor]:
    logp_K, ids_K = logp_V.topk(k)
    return ids_K[None], logp_K[None]


def student(seed: int) -> Tensor:
    return torch.randn(1, V, dtype=torch.float64, generator=torch.Generator().manual_seed(1000 + seed)).requires_grad_()


def label(token: int) -> Tensor:
    return torch.tensor([token])


def by_hand(name: str, z: list[float], ids: list[int], logp: list[float], y: int) -> float:
    """The formulas of the design, one number at a time."""
    norm = math.log(sum(math.exp(value - max(z)) for value in z)) + max(z)
    log_q = [value - norm for value in z]
    p = {token: math.exp(value) for token, value in zip(ids, logp, strict=True)}
    rest = 1 - sum(p.values())
    outside = 1 - sum(math.exp(log_q[token]) for token in p)
    if name == "hard":
        return -log_q[y]
    if name == "topk_renormalised":
        kept = sum(p.values())
        return sum(value / kept * (math.log(value / kept) - log_q[token]) for token, value in p.items())
    loss = sum(value * (math.log(value) - log_q[token]) for token, value in p.items())
    loss += rest * math.log(rest / outside)
    if name == "bucket_sampled" and y not in p:
        loss += math.log(outside) - log_q[y]
    return loss


@pytest.mark.parametrize("loss", ALL, ids=lambda loss: loss.__name__)
@pytest.mark.parametrize("k", [1, 4, V - 1])
@pytest.mark.parametrize("y", [0, 5, 11])
def test_the_value_is_the_formula_s(loss: Loss, k: int, y: int) -> None:
    ids_NK, logp_NK = listed(teacher(1), k)
    z_NV = student(1)
    expected = by_hand(loss.__name__, z_NV[0].tolist(), ids_NK[0].tolist(), logp_NK[0].tolist(), y)
    assert loss(z_NV, ids_NK, logp_NK, label(y)).item() == pytest.approx(expected, abs=1e-12)


def expected_gradient(loss: Loss, seed: int, k: int, **more: Any) -> tuple[Tensor, Tensor]:
    """E over y ~ p of the loss's gradient, exactly, and the gradient of KL(p‖q), q - p."""
    logp_V = teacher(seed)
    ids_NK, logp_NK = listed(logp_V, k)
    total_V = torch.zeros(V, dtype=torch.float64)
    for y in range(V):
        z_NV = student(seed)
        (slope,) = torch.autograd.grad(loss(z_NV, ids_NK, logp_NK, label(y), **more).sum(), z_NV)
        total_V += logp_V[y].exp() * slope[0]
    return total_V, student(seed)[0].softmax(0).detach() - logp_V.exp()


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("k", [1, 3, 6])
def test_bucket_sampled_has_the_gradient_of_the_full_divergence(seed: int, k: int) -> None:
    found, true = expected_gradient(bucket_sampled, seed, k)
    assert (found - true).abs().max() <= 1e-12


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("loss", [topk_renormalised, bucket])
def test_the_others_have_not(loss: Loss, seed: int) -> None:
    found, true = expected_gradient(loss, seed, 3)
    assert (found - true).abs().max() > 1e-3


def test_a_tail_weight_between_trades_one_for_the_other() -> None:
    bias = []
    for weight in (0.0, 0.5, 1.0):
        found, true = expected_gradient(bucket_sampled, 2, 3, tail_weight=weight)
        bias.append((found - true).abs().max().item())
    assert bias[1] == pytest.approx(bias[0] / 2, abs=1e-12)
    assert bias[2] <= 1e-12


def test_bucket_sampled_is_on_average_the_divergence_and_what_the_tail_s_entropy_adds() -> None:
    logp_V, z_NV = teacher(3), student(3)
    ids_NK, logp_NK = listed(logp_V, 4)
    p_V, log_q_V = logp_V.exp(), z_NV[0].log_softmax(0)
    mean = sum(p_V[y] * bucket_sampled(z_NV, ids_NK, logp_NK, label(y))[0] for y in range(V))
    tail_V = torch.ones(V, dtype=torch.bool)
    tail_V[ids_NK[0]] = False
    rest = p_V[tail_V].sum()
    entropy = -(p_V[tail_V] / rest * (p_V[tail_V] / rest).log()).sum()
    expected = (p_V * (logp_V - log_q_V)).sum() + rest * entropy
    torch.testing.assert_close(mean, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0, 4.0])
def test_tempered_s_gradient_is_the_one_of_its_formula(temperature: float) -> None:
    ids_NK, logp_NK = listed(teacher(4), 5)
    z_NV = student(4)
    ours = tempered(z_NV, ids_NK, logp_NK, label(0), temperature=temperature)
    (found,) = torch.autograd.grad(ours.sum(), z_NV)
    p_K, z_K, kept = (logp_NK[0] / temperature).softmax(0), z_NV[0, ids_NK[0]] / temperature, logp_NK.exp().sum()
    q_sum = z_NV[0].softmax(0)[ids_NK[0]].sum()
    head = temperature**2 * (p_K * (p_K.log() - z_K.log_softmax(0))).sum()
    whole = head + kept * (kept / q_sum).log() + (1 - kept) * ((1 - kept) / (1 - q_sum)).log()
    torch.testing.assert_close(ours[0], whole, rtol=0, atol=1e-12)
    (expected,) = torch.autograd.grad(whole, z_NV)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)


def test_tempered_keeps_the_size_of_its_gradient_as_the_temperature_grows() -> None:
    ids_NK, logp_NK = listed(teacher(5), 5)
    sizes = []
    for temperature in (8.0, 64.0):
        z_NV = student(5)
        tempered(z_NV, ids_NK, logp_NK, label(0), temperature=temperature).sum().backward()
        assert z_NV.grad is not None
        sizes.append(z_NV.grad.norm().item())
    assert sizes[1] == pytest.approx(sizes[0], rel=0.2)


@pytest.mark.parametrize("loss", SOFT, ids=lambda loss: loss.__name__)
def test_the_best_student_says_what_the_teacher_says(loss: Loss) -> None:
    logp_V = teacher(6)
    ids_NK, logp_NK = listed(logp_V, V)
    for y in range(V):
        z_NV = logp_V[None].clone().requires_grad_()
        found = loss(z_NV, ids_NK, logp_NK, label(y))
        (slope,) = torch.autograd.grad(found.sum(), z_NV)
        assert abs(found.item()) <= 1e-12
        assert slope.abs().max() <= 1e-12


def test_where_nothing_is_listed_only_the_label_is_left() -> None:
    z_NV, nothing, logp = student(7), torch.full((1, 3), -1), torch.full((1, 3), -torch.inf)
    empty = torch.zeros(1, 0, dtype=torch.long), torch.zeros(1, 0)
    for ids_NK, logp_NK in ((nothing, logp), empty):
        plain = hard(z_NV, ids_NK, logp_NK, label(2))
        assert topk_renormalised(z_NV, ids_NK, logp_NK, label(2)).item() == 0
        assert bucket(z_NV, ids_NK, logp_NK, label(2)).item() == pytest.approx(0, abs=1e-12)
        assert tempered(z_NV, ids_NK, logp_NK, label(2), temperature=2.0).item() == pytest.approx(0, abs=1e-12)
        torch.testing.assert_close(bucket_sampled(z_NV, ids_NK, logp_NK, label(2)), plain)
        (slope,) = torch.autograd.grad(tempered(z_NV, ids_NK, logp_NK, label(2), temperature=2.0).sum(), z_NV)
        assert slope.abs().max() == 0


@pytest.mark.parametrize("loss", ALL, ids=lambda loss: loss.__name__)
def test_absent_entries_change_nothing(loss: Loss) -> None:
    ids_NK, logp_NK = listed(teacher(8), 3)
    more_ids = torch.cat([torch.tensor([[-1]]), ids_NK, torch.tensor([[-1, -1]])], 1)
    # What stands in an absent entry's place does not matter.
    more_logp = torch.cat([torch.zeros(1, 1), logp_NK, torch.tensor([[-torch.inf, torch.nan]])], 1)
    found = []
    for ids, logp in ((ids_NK, logp_NK), (more_ids, more_logp)):
        z_NV = student(8)
        value = loss(z_NV, ids, logp, label(9))
        value.sum().backward()
        found.append((value.detach(), z_NV.grad))
    torch.testing.assert_close(*(value for value, _ in found), rtol=0, atol=1e-12)
    torch.testing.assert_close(*(slope for _, slope in found), rtol=0, atol=1e-12)


@pytest.mark.parametrize("loss", ALL, ids=lambda loss: loss.__name__)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_extremes_stay_numbers(loss: Loss, dtype: torch.dtype) -> None:
    z_V = torch.zeros(V)
    z_V[0], z_V[1] = 1e4, -1e4
    certain = torch.tensor([[0.0, -9999.0, -torch.inf]])  # R = 0; what APIs say for "impossible"
    unlikely = torch.tensor([[-1e4, -1e4, -1e4]])  # R = 1
    over = torch.log(torch.tensor([[0.5, 0.3, 0.20005]]))  # S > 1 by rounding
    for ids in ([0, 1, 2], [1, 2, 3]):
        for logp_NK in (certain, unlikely, over):
            for y in (0, 1, 5):
                z_NV = z_V.to(dtype)[None].clone().requires_grad_()
                found = loss(z_NV, torch.tensor([ids]), logp_NK, label(y))
                (slope,) = torch.autograd.grad(found.sum(), z_NV)
                assert found.isfinite().all()
                assert slope.isfinite().all()


@pytest.mark.parametrize("loss", ALL, ids=lambda loss: loss.__name__)
def test_every_token_listed_leaves_no_tail(loss: Loss) -> None:
    ids_NK, logp_NK = listed(teacher(9).float(), V)  # whose sum is 1 but for rounding
    z_NV = student(9)
    (slope,) = torch.autograd.grad(loss(z_NV, ids_NK, logp_NK, label(3)).sum(), z_NV)
    p_V = teacher(9).exp() if loss is not hard else torch.nn.functional.one_hot(label(3), V)[0].double()
    torch.testing.assert_close(slope[0], z_NV[0].softmax(0).detach() - p_V, rtol=0, atol=1e-6)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10_000), k=st.integers(1, V), spread=st.floats(0.1, 30))
def test_gradients_hold_against_finite_differences(seed: int, k: int, spread: float) -> None:
    ids_NK, logp_NK = listed(teacher(seed, spread), k)
    for loss in (hard, topk_renormalised, bucket, bucket_sampled, _tempered):
        torch.autograd.gradcheck(lambda z, loss=loss: loss(z, ids_NK, logp_NK, label(seed % V)), student(seed))


def _tempered(*arguments: Tensor) -> Tensor:
    return tempered(*arguments, temperature=2.0)


@pytest.mark.parametrize("loss", ALL, ids=lambda loss: loss.__name__)
def test_a_compiler_takes_it_whole(loss: Loss) -> None:
    ids_NK, logp_NK = listed(teacher(10), 4)
    compiled = torch.compile(loss, backend="aot_eager", fullgraph=True)
    torch.testing.assert_close(
        compiled(student(10), ids_NK, logp_NK, label(0)), loss(student(10), ids_NK, logp_NK, label(0))
    )


def test_a_vocabulary_in_bfloat16_is_summed_in_float32() -> None:
    z_NV = torch.zeros(1, 50_000, dtype=torch.bfloat16)
    none = torch.zeros(1, 0, dtype=torch.long)
    assert abs(hard(z_NV, none, none, label(7)).item() - math.log(50_000)) < 1e-4
