"""The loss on pairs = the paper's formula on whole logits, in value and gradient."""

# ruff: noqa: N803, N806 - shape suffixes

import importlib
import math

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from finetune.losses import dpo, fused_hard, margins

fused_module = importlib.import_module("finetune.losses.fused")  # its name is a function's, too
VOCABULARY, BETA = 11, 0.3
ANSWERS = [3, 1, 2, 4, 5, 5]  # tokens of chosen and rejected, three pairs
ROW_N = torch.arange(len(ANSWERS)).repeat_interleave(torch.tensor(ANSWERS))
POSITIONS = len(ROW_N)


def plain(logits_NV: Tensor, label_N: Tensor, reference_R: Tensor) -> Tensor:
    """As the paper writes it, an answer after the other, from whole logits and both log-probabilities of the base."""
    log_q_N = functional.log_softmax(logits_NV, dim=1)[torch.arange(len(label_N)), label_N]
    said = [log_q_N[row == ROW_N].sum() for row in range(len(ANSWERS))]
    losses = []
    for chosen in range(0, len(ANSWERS), 2):
        ratio_chosen = said[chosen] - reference_R[chosen]
        ratio_rejected = said[chosen + 1] - reference_R[chosen + 1]
        losses.append(-torch.log(torch.sigmoid(BETA * ratio_chosen - BETA * ratio_rejected)))
    return torch.stack(losses)


@pytest.mark.parametrize("learning_head", [False, True])
def test_it_is_the_paper_s_formula_on_whole_logits_in_value_and_gradient(
    learning_head: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fused_module, "CHUNK_LOGITS", 3 * VOCABULARY)  # chunks that end within answers
    torch.manual_seed(0)
    head = nn.Linear(5, VOCABULARY).double().requires_grad_(learning_head)
    label_N, reference_R = torch.randint(VOCABULARY, (POSITIONS,)), -8 * torch.rand(len(ANSWERS)).double()
    none_NK, pairs = label_N.new_zeros(POSITIONS, 0), len(ANSWERS) // 2

    def ours(hidden_ND: Tensor) -> Tensor:
        loss_N = fused_hard(hidden_ND, head, none_NK, none_NK, label_N)
        return dpo(margins(loss_N, ROW_N, pairs), reference_R[::2] - reference_R[1::2], beta=BETA)

    found = []
    for loss in (ours, lambda hidden_ND: plain(head(hidden_ND), label_N, reference_R)):
        hidden_ND = torch.randn(POSITIONS, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
        hidden_ND.requires_grad_()
        head.zero_grad()
        loss_P = loss(hidden_ND)
        (loss_P * torch.tensor([1.0, 0.2, 3.0])).sum().backward()
        found.append([loss_P.detach(), hidden_ND.grad, *(weight.grad for weight in head.parameters())])
    for mine, theirs in zip(*found, strict=True):
        assert (mine is None) == (theirs is None)
        if mine is not None:
            torch.testing.assert_close(mine, theirs, rtol=1e-10, atol=1e-12)


def test_its_slope_is_beta_times_the_probability_of_being_wrong() -> None:
    margin_P = torch.tensor([-2.0, 0.0, 5.0, 4000.0], dtype=torch.float64, requires_grad=True)
    dpo(margin_P, torch.ones(4).double(), beta=BETA).sum().backward()
    wrong_P = 1 / (1 + torch.exp(BETA * (margin_P.detach() - 1)))
    assert margin_P.grad is not None
    torch.testing.assert_close(margin_P.grad, -BETA * wrong_P)


def test_a_model_that_is_its_reference_has_a_loss_of_log_2() -> None:
    margin_P = torch.tensor([-300.0, 7.5])
    assert dpo(margin_P, margin_P.clone(), beta=BETA).tolist() == pytest.approx([math.log(2)] * 2)


def test_an_answer_s_tokens_enter_the_margin_of_its_own_pair_alone() -> None:
    loss_N = torch.rand(POSITIONS)
    before_P = margins(loss_N, ROW_N, 3)
    for place in range(POSITIONS):
        moved_N = loss_N.clone()
        moved_N[place] += 1
        change_P = margins(moved_N, ROW_N, 3) - before_P
        expected_P = torch.zeros(3).double()
        expected_P[ROW_N[place] // 2] = -1 if ROW_N[place] % 2 == 0 else 1
        torch.testing.assert_close(change_P, expected_P, atol=1e-6, rtol=0)
