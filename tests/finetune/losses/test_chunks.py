"""Likelihoods of pieces of text that teacher and student cut otherwise."""

# ruff: noqa: N806 - shape suffixes

import math

import pytest
import torch
from torch import Tensor

from finetune.losses import chunk_likelihood

CHUNK_N = torch.tensor([0, 0, 1, -1, 2, 2, 2])
LOG_Q_N = torch.tensor([-0.5, -1.0, -0.2, -9.0, -3.0, -0.1, -0.4], dtype=torch.float64)


def by_hand(a: float, b: float, tau: float) -> float:
    teacher, student = math.exp(a / tau), math.exp(b / tau)
    return tau * (teacher * math.log(teacher / student) + (1 - teacher) * math.log((1 - teacher) / (1 - student)))


@pytest.mark.parametrize("tau", [1.0, 100.0])
def test_each_chunk_s_loss_is_the_divergence_of_two_outcomes(tau: float) -> None:
    logp_C = torch.tensor([-1.0, -0.3, -4.0], dtype=torch.float64)
    found_C = chunk_likelihood(LOG_Q_N, CHUNK_N, logp_C, tau=tau)
    expected = [by_hand(a, b, tau) for a, b in zip(logp_C.tolist(), [-1.5, -0.2, -3.5], strict=True)]
    torch.testing.assert_close(found_C, torch.tensor(expected, dtype=torch.float64), rtol=0, atol=1e-12)


def test_it_is_nothing_where_the_likelihoods_agree() -> None:
    log_q_N = LOG_Q_N.clone().requires_grad_()
    agreed_C = torch.tensor([-1.5, -0.2, -3.5], dtype=torch.float64)
    loss_C = chunk_likelihood(log_q_N, CHUNK_N, agreed_C)
    assert loss_C.abs().max() < 1e-12
    loss_C.sum().backward()
    assert log_q_N.grad is not None
    assert log_q_N.grad.abs().max() < 1e-12


def test_its_slope_is_that_of_a_nat_where_the_student_is_far_below_and_0_where_they_agree() -> None:
    log_q_N = torch.tensor([-12.0, -2.0], dtype=torch.float64, requires_grad=True)
    loss_C = chunk_likelihood(log_q_N, torch.tensor([0, 1]), torch.tensor([-0.1, -2.0], dtype=torch.float64))
    (grad_N,) = torch.autograd.grad(loss_C.sum(), log_q_N)
    assert grad_N.tolist() == pytest.approx([-1, 0], abs=0.06)
    assert loss_C.tolist() == pytest.approx([12, 0], abs=1)


def test_a_token_moves_its_own_chunk_only_and_one_outside_moves_nothing() -> None:
    logp_C = torch.tensor([-1.0, -0.3, -4.0], dtype=torch.float64)
    before = chunk_likelihood(LOG_Q_N, CHUNK_N, logp_C)
    for place, chunk in enumerate(CHUNK_N.tolist()):
        moved_N = LOG_Q_N.clone()
        moved_N[place] -= 0.5
        changed = (chunk_likelihood(moved_N, CHUNK_N, logp_C) != before).nonzero().flatten().tolist()
        assert changed == ([] if chunk < 0 else [chunk])


def test_gradients_hold_against_finite_differences() -> None:
    logp_C = torch.tensor([-1.0, -0.3, -4.0], dtype=torch.float64)
    log_q_N = LOG_Q_N.clone().requires_grad_()
    torch.autograd.gradcheck(lambda q: chunk_likelihood(q, CHUNK_N, logp_C, tau=2.0), log_q_N)


@pytest.mark.parametrize("log_q", [0.0, -1e-12, -1e4])
@pytest.mark.parametrize("logp", [0.0, -1e4])
def test_certainty_and_impossibility_stay_numbers(log_q: float, logp: float) -> None:
    log_q_N: Tensor = torch.tensor([log_q], requires_grad=True)
    loss_C = chunk_likelihood(log_q_N, torch.tensor([0]), torch.tensor([logp]))
    loss_C.sum().backward()
    assert loss_C.isfinite().all()
    assert log_q_N.grad is not None
    assert log_q_N.grad.isfinite().all()
