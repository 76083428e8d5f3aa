"""Logits → the next token of each row, by each row's own parameters."""

# ruff: noqa: N803, N806 - shape suffixes

from collections.abc import Sequence

import torch
from torch import Tensor

from finetune.drawing import drawn
from finetune.serving.rows import Sampling

GREEDY_BELOW = 1e-5
"""Temperatures from which on the likeliest token has all of the probability in double precision anyway."""


def choose(logits_BV: Tensor, samplings: Sequence[Sampling], draws: Sequence[float]) -> list[int]:
    """The next token of each row.

    Args:
        logits_BV: of the position, float32.
        samplings: how, row by row.
        draws: evenly distributed over [0, 1), one per row; the same draw takes the same token.
    """
    ids = logits_BV.argmax(dim=-1).tolist()
    for row, (sampling, draw) in enumerate(zip(samplings, draws, strict=True)):
        if sampling.temperature >= GREEDY_BELOW:
            p_V = probabilities(logits_BV[row], sampling)
            ids[row] = int(drawn(p_V[None], p_V.new_tensor([draw])))
    return ids


def probabilities(logits_V: Tensor, sampling: Sampling) -> Tensor:
    """What each token is drawn with, in double precision: softmax at the temperature, then min_p, top_k, top_p."""
    p_V = torch.softmax(logits_V.double() / sampling.temperature, dim=-1)
    if sampling.min_p > 0:
        p_V = p_V.where(p_V >= sampling.min_p * p_V.max(), 0.0)
    if sampling.top_k > 0 or sampling.top_p < 1:
        sorted_V, order_V = p_V.sort(descending=True, stable=True)
        if sampling.top_k > 0:
            sorted_V[sampling.top_k :] = 0.0
        if sampling.top_p < 1:
            before_V = sorted_V.cumsum(-1) - sorted_V
            before_V[0] = -1.0  # the likeliest stays, however small top_p is
            sorted_V = sorted_V.where(before_V < sampling.top_p * sorted_V.sum(), 0.0)
        p_V = torch.zeros_like(p_V).scatter(-1, order_V, sorted_V)
    return p_V / p_V.sum()
