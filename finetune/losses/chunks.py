"""Where teacher and student cut a text otherwise: the likelihood of the pieces that both begin and end together.

Approximate likelihood matching (Minixhofer et al. 2025, arXiv 2503.20083): it needs no more of a teacher than the
logarithms of what it sampled, and so fits an API.
"""

# ruff: noqa: N803, N806 - shape suffixes

import torch
from torch import Tensor

TAU = 100.0
"""Temperature of the two outcomes; with a large one the loss cares for the ratio of likelihoods, however small."""
LEAST = 1e-4
"""Nats below 0 that a chunk's log-likelihood is held to: the slope of log(1 - e^x) has no end at 0."""


def chunk_likelihood(log_q_N: Tensor, chunk_N: Tensor, logp_C: Tensor, *, tau: float = TAU) -> Tensor:
    """τ times the binary divergence KL(e^(a/τ) ‖ e^(b/τ)): a the teacher's log-likelihood of a chunk, b the student's.

    The paper's binary cross-entropy less what no student can change, and times τ: its slope by b tends to a/b - 1 for a
    large τ, so that a chunk which the student finds much less likely moves each of its tokens as its label would (by -1
    nat a nat), and one that both find equally likely moves none.

    Args:
        log_q_N: the student's logarithm of each of its tokens.
        chunk_N: the chunk that it is in; -1 for none.
        logp_C: a, of each chunk.
        tau: τ.

    Returns:
        loss_C, in nats; 0 where b = a.
    """
    inside_N = chunk_N >= 0
    zeros_C = torch.zeros(len(logp_C), dtype=log_q_N.dtype, device=log_q_N.device)
    b_C = zeros_C.index_add(0, chunk_N[inside_N], log_q_N[inside_N]).clamp(max=-LEAST) / tau
    a_C = logp_C.to(b_C.dtype).clamp(max=-LEAST) / tau
    of_others_C = torch.log(torch.expm1(a_C) / torch.expm1(b_C))
    return tau * (a_C.exp() * (a_C - b_C) - torch.expm1(a_C) * of_others_C)
