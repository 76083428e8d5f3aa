"""Hidden states → log probabilities of given tokens and of the likeliest ones."""

# ruff: noqa: N803, N806 - shape suffixes

from typing import Any

import torch
from torch import Tensor

from finetune.serving.rows import Scored

CHUNK_ELEMENTS = 1 << 24
"""Logits at once: 64 MB of float32, whatever the vocabulary and however long the prompt."""


def prompt_scores(head: Any, hidden_TD: Tensor, ids_T: Tensor, top: int) -> tuple[tuple[Scored, ...] | None, ...]:
    """Scores each token of a prompt but the first; the head runs over a chunk of positions at a time.

    Args:
        head: hidden states → logits.
        hidden_TD: of the prompt, unpadded.
        ids_T: the prompt.
        top: how many of the likeliest tokens to list at each position; the own token comes last if not among them.
    """
    positions: list[tuple[Scored, ...] | None] = [None]
    step = max(1, CHUNK_ELEMENTS // head.weight.shape[0])
    for start in range(0, len(ids_T) - 1, step):
        hidden_ND = hidden_TD[start : start + step][: len(ids_T) - 1 - start]
        ids_N = ids_T[start + 1 : start + 1 + len(hidden_ND)]
        positions += [(*best, *_unless_in(best, own)) for own, best in scored(head(hidden_ND).float(), ids_N, top)]
    return tuple(positions)


def _unless_in(best: tuple[Scored, ...], own: Scored) -> tuple[Scored, ...]:
    return () if any(one.id == own.id for one in best) else (own,)


def scored(logits_NV: Tensor, ids_N: Tensor, top: int) -> list[tuple[Scored, tuple[Scored, ...]]]:
    """The given token and the `top` likeliest ones, best first, of each position.

    Args:
        logits_NV: float32.
        ids_N: the given tokens.
        top: how many to list.
    """
    total_N1 = logits_NV.logsumexp(dim=-1, keepdim=True)
    own_N1 = logits_NV.gather(-1, ids_N[:, None])
    ranks = (logits_NV >= own_N1).sum(dim=-1).tolist()
    own = (own_N1 - total_N1)[:, 0].tolist()
    best_NK, best_ids_NK = logits_NV.topk(top, dim=-1) if top else (own_N1[:, :0], ids_N[:, None][:, :0])
    best, best_ids = (best_NK - total_N1).tolist(), best_ids_NK.tolist()
    return [
        (Scored(token, own[n], ranks[n]), tuple(map(Scored, best_ids[n], best[n], range(1, top + 1))))
        for n, token in enumerate(ids_N.tolist())
    ]


def any_nan(logits_BV: Tensor) -> bool:
    """Whether the model computed what is no number."""
    return bool(torch.isnan(logits_BV).any())
