"""Which hidden state predicts which token: the one place where labels are shifted."""

# ruff: noqa: N803, N806 - shape suffixes

from torch import Tensor

from finetune.rendering import IGNORED


def supervised(hidden_BTD: Tensor, labels_BT: Tensor) -> tuple[Tensor, Tensor]:
    """The hidden states that predict a supervised token, and those tokens.

    Position t predicts token t+1. Taking these positions before the output head keeps B x T x V logits from ever
    existing.

    Returns:
        hidden_ND and label_N, N the number of supervised tokens.
    """
    next_BS = labels_BT[:, 1:]
    keep_BS = next_BS != IGNORED
    return hidden_BTD[:, :-1][keep_BS], next_BS[keep_BS]
