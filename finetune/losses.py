"""Losses per supervised position, without reduction: the caller divides by one global token count."""

# ruff: noqa: N803, N806 - shape suffixes

import torch
from torch import Tensor
from torch.nn import functional

from finetune.rendering import IGNORED


def hard(z_NV: Tensor, label_N: Tensor) -> Tensor:
    """Cross-entropy with hard labels, -log softmax(z)[label].

    Args:
        z_NV: logits in any float type; the sum over the vocabulary is taken in float32 or wider.
        label_N: token ids.

    Returns:
        loss_N in nats.
    """
    z_NV = z_NV.to(torch.promote_types(z_NV.dtype, torch.float32))
    return functional.cross_entropy(z_NV, label_N, reduction="none")


def supervised(hidden_BTD: Tensor, labels_BT: Tensor) -> tuple[Tensor, Tensor]:
    """The hidden states that predict a supervised token, and those tokens.

    The one place where labels are shifted: position t predicts token t+1. Taking these positions before the output head
    keeps B x T x V logits from ever existing.

    Returns:
        hidden_ND and label_N, N the number of supervised tokens.
    """
    next_BS = labels_BT[:, 1:]
    keep_BS = next_BS != IGNORED
    return hidden_BTD[:, :-1][keep_BS], next_BS[keep_BS]
