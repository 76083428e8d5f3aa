"""Losses at tokens that the student itself sampled, y ~ q: the reverse divergence KL(q‖p), per position.

The student is taught where it goes, not where its teacher would have gone. Each position counts by itself: what a token
does to those after it is not counted.
"""

# ruff: noqa: N803, N806 - shape suffixes

from typing import Any

import torch
from torch import Tensor

from finetune.losses.coefficients import Listed
from finetune.losses.fused import fused_hard, recomputed
from finetune.losses.plain import log_rest

LEAST_REST = 1e-6
"""R is held to it from below: that is what rounding leaves of it, and what it weighs is log(1/R)."""


def policy_gradient(log_q_N: Tensor, old_log_q_N: Tensor, logp_N: Tensor) -> Tensor:
    """-(q(y)/q_old(y))·A with A = log p(y) - log q_old(y), a constant: its mean gradient over y ~ q_old is KL's.

    Importance sampling as in https://github.com/thinking-machines-lab/tinker-cookbook (recipes/distillation), which
    puts the negative of the divergence at each token in the place of the advantage.

    Args:
        log_q_N: the student's logarithm of each token, which is learnt.
        old_log_q_N: what it was when the token was sampled.
        logp_N: the teacher's.

    Returns:
        loss_N. Where q is still q_old it is log q(y) - log p(y), whose mean is the divergence.
    """
    advantage_N = (logp_N - old_log_q_N).detach()
    return -(log_q_N - old_log_q_N.detach()).exp() * advantage_N


def reverse_bucket(z_NV: Tensor, ids_NK: Tensor, logp_NK: Tensor) -> Tensor:
    """Σ_K q·log(q/p) + (1-Q)·log((1-Q)/R): all tokens that the teacher did not list as one.

    It is at most KL(q‖p), and equal to it where all are listed. A truncated divergence does better than the sampled
    token alone (arXiv 2603.25562). There both sides are made to sum to 1 over K, which never moves what the student has
    outside of it; here that is one outcome more, and every logit has a gradient.

    Args:
        z_NV: logits, in any float type.
        ids_NK: the tokens that the teacher listed, -1 where there are fewer. They must not depend on the sampled one.
        logp_NK: their natural logarithms.

    Returns:
        loss_N in nats; 0 where nothing is listed.
    """
    z_NV = z_NV.to(torch.promote_types(z_NV.dtype, torch.float32))
    listed = Listed.of(ids_NK, logp_NK, z_NV.shape[1])
    log_q_NV = z_NV.log_softmax(1)
    log_q_NK = log_q_NV.gather(1, listed.ids_NK)
    logp_NK = listed.logp_NK.masked_fill(~listed.there_NK, 0.0).to(z_NV.dtype)
    of_listed_NK = log_q_NK.exp() * (log_q_NK - logp_NK)
    # Where every token is listed, or none, there is no tail.
    some_N = listed.any_N & (listed.there_NK.sum(1) < z_NV.shape[1])
    log_rest_N = log_rest(log_q_NV, listed.ids_NK, some_N)
    of_rest_N = log_rest_N.exp() * (log_rest_N - listed.rest_N.clamp(min=LEAST_REST).log().to(z_NV.dtype))
    return of_listed_NK.masked_fill(~listed.there_NK, 0.0).sum(1) + of_rest_N.masked_fill(~some_N, 0.0)


def fused_policy_gradient(hidden_ND: Tensor, head: Any, label_N: Tensor, old_log_q_N: Tensor, logp_N: Tensor) -> Tensor:
    """`policy_gradient` of the labels under `head(hidden_ND)`, loss_N."""
    none_NK = label_N.new_zeros(len(label_N), 0)
    return policy_gradient(-fused_hard(hidden_ND, head, none_NK, none_NK, label_N), old_log_q_N, logp_N)


def fused_reverse_bucket(hidden_ND: Tensor, head: Any, ids_NK: Tensor, logp_NK: Tensor) -> Tensor:
    """`reverse_bucket(head(hidden_ND), …)`, loss_N; N x V logits never exist at once.

    A chunk's logits are computed again in the backward pass: what they are multiplied with depends on themselves, so no
    coefficients are there before.
    """

    def of_chunk(hidden_ND: Tensor, ids_NK: Tensor, logp_NK: Tensor) -> Tensor:
        return reverse_bucket(head(hidden_ND), ids_NK, logp_NK)

    return recomputed(of_chunk, head, hidden_ND, ids_NK, logp_NK)
