"""Direct preference optimisation (Rafailov et al. 2023, arXiv 2305.18290)."""

# ruff: noqa: N803, N806, RUF002 - shape suffixes; the paper's letters

import torch
from torch import Tensor
from torch.nn import functional


def dpo(margin_P: Tensor, reference_P: Tensor, *, beta: float) -> Tensor:
    """-log σ(β·(margin - reference)): chosen answers get likelier beside rejected ones than the reference has them.

    Args:
        margin_P: log π(chosen) - log π(rejected), in nats, of the model that learns.
        reference_P: the same of the model that it is not to leave far behind.
        beta: β; the larger, the nearer the two stay.

    Returns:
        loss_P, in nats; log 2 where both margins are the same.
    """
    return -functional.logsigmoid(beta * (margin_P - reference_P))


def margins(loss_N: Tensor, row_N: Tensor, pairs: int) -> Tensor:
    """margin_P, log π(chosen) - log π(rejected), from the tokens of the answers.

    Args:
        loss_N: -log π of each token.
        row_N: the answer that it is in: chosen and rejected of pair p are 2p and 2p + 1.
        pairs: P.

    Returns:
        Sums over whole answers, in float64: their difference is small beside them.
    """
    sign_N = 2 * (row_N % 2) - 1
    zeros_P = torch.zeros(pairs, dtype=torch.float64, device=loss_N.device)
    return zeros_P.index_add(0, row_N // 2, sign_N * loss_N.double())
