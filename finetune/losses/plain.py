"""Losses per position over whole logits, without reduction: the caller divides by one global token count.

All take (z_NV, ids_NK, logp_NK, label_N) and return loss_N in nats: z_NV logits in any float type (sums over the
vocabulary are taken in float32 or wider); ids_NK the tokens that the teacher listed, -1 where there are fewer;
logp_NK their natural logarithms at temperature 1; label_N the token that it sampled. Plain torch: autograd
differentiates them, torch.compile compiles them, and vmap and float64 are fine.
"""

# ruff: noqa: N803, N806 - shape suffixes

import torch
from torch import Tensor

from finetune.losses.coefficients import (
    Coefficients,
    of_bucket,
    of_bucket_sampled,
    of_hard,
    of_tempered,
    of_topk_renormalised,
)


def hard(z_NV: Tensor, ids_NK: Tensor, logp_NK: Tensor, label_N: Tensor) -> Tensor:
    """Cross-entropy with the label, -log q(label); what the teacher listed does not matter."""
    return value(z_NV, of_hard(ids_NK, logp_NK, label_N, z_NV.shape[1]))


def topk_renormalised(z_NV: Tensor, ids_NK: Tensor, logp_NK: Tensor, label_N: Tensor) -> Tensor:
    """Loss A, Σ_K (p/S)·log((p/S)/q): as if the teacher never said anything else. Biased; 0 where nothing is listed."""
    return value(z_NV, of_topk_renormalised(ids_NK, logp_NK, label_N, z_NV.shape[1]))


def bucket(z_NV: Tensor, ids_NK: Tensor, logp_NK: Tensor, label_N: Tensor) -> Tensor:
    """Loss C, Σ_K p·log(p/q) + R·log(R/(1-Q)): all unlisted tokens as one; 0 where nothing is listed."""
    return value(z_NV, of_bucket(ids_NK, logp_NK, label_N, z_NV.shape[1]))


def bucket_sampled(
    z_NV: Tensor, ids_NK: Tensor, logp_NK: Tensor, label_N: Tensor, *, tail_weight: float = 1.0
) -> Tensor:
    """Loss D, C + w·1[y not in K]·(log(1-Q) - log q(y)): at w = 1 its mean gradient over y ~ p is that of KL(p‖q).

    By the chain rule of the divergence E[D] = KL(p‖q) + R·H(p outside K), which makes it unbiased from k tokens. K must
    not depend on y. Where nothing is listed it is w·hard.

    Args:
        z_NV: logits.
        ids_NK: listed tokens.
        logp_NK: their logarithms.
        label_N: the token that the teacher sampled, from p itself.
        tail_weight: w from 0 (C) to 1 (D): the smaller, the less variance and the more bias.
    """
    return value(z_NV, of_bucket_sampled(ids_NK, logp_NK, label_N, z_NV.shape[1], tail_weight=tail_weight))


def tempered(z_NV: Tensor, ids_NK: Tensor, logp_NK: Tensor, label_N: Tensor, *, temperature: float) -> Tensor:
    """T²·KL(softmax_K(log p / T) ‖ softmax_K(z / T)) + S·log(S/Q) + R·log(R/(1-Q)).

    Ratios within K are known at any temperature, the tail's are not: it stays one bucket at temperature 1.
    """
    return value(z_NV, of_tempered(ids_NK, logp_NK, label_N, z_NV.shape[1], temperature=temperature))


def value(z_NV: Tensor, coefficients: Coefficients) -> Tensor:
    """The loss that coefficients describe, loss_N."""
    z_NV = z_NV.to(torch.promote_types(z_NV.dtype, torch.float32))
    form = coefficients.to(z_NV.dtype)
    log_q_NV = z_NV.log_softmax(1)
    loss_N = form.constant_N - (form.c_NM * log_q_NV.gather(1, form.ids_NM)).sum(1)
    if form.b_N is not None:
        loss_N = loss_N + form.b_N * log_rest(log_q_NV, form.outside_NK, form.b_N)
    return loss_N + of_listed(log_q_NV.gather(1, form.outside_NK), form)


def of_listed(log_q_NK: Tensor, form: Coefficients) -> Tensor:
    """Σ w·logsumexp_K(log q / T), a term of few numbers."""
    total_N = form.constant_N.new_zeros(len(log_q_NK))
    if form.w_NT is None or form.listed_NK is None or not log_q_NK.shape[1]:
        return total_N
    # A row without a list has no weight either; its entries count here so that 0 · -inf never arises.
    counts_NK = form.listed_NK | ~form.listed_NK.any(1, keepdim=True)
    log_q_NK = log_q_NK.masked_fill(~counts_NK, -torch.inf)
    for place, temperature in enumerate(form.temperatures):
        total_N = total_N + form.w_NT[:, place] * (log_q_NK / temperature).logsumexp(1)
    return total_N


def log_rest(log_q_NV: Tensor, outside_NK: Tensor, b_N: Tensor) -> Tensor:
    """log(1 - Q) by the logits outside K; where b is 0, which it may be because nothing is outside, any number."""
    kept_NK = log_q_NV.gather(1, outside_NK)
    left_out_NK = torch.where(b_N[:, None] == 0, kept_NK, -torch.inf)
    return log_q_NV.scatter(1, outside_NK, left_out_NK).logsumexp(1)
