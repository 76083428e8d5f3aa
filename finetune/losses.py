"""Losses per supervised position, without reduction: the caller divides by one global token count."""

# ruff: noqa: N803, N806 - shape suffixes

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from finetune.rendering import IGNORED

CHUNK_LOGITS = 2**24
"""Logits of a chunk: 64 MB in float32."""


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


def fused_hard(hidden_ND: Tensor, head: Any, label_N: Tensor) -> Tensor:
    """The sum of `hard` over all positions, with the output head inside: N x V logits never exist at once.

    Equal to `hard(head(hidden_ND), label_N).sum()` but for rounding. The gradient is taken in the forward pass, chunk
    by chunk: ∇z = softmax(z) - onehot(label), ∇hidden = ∇z W, and ∇W = ∇zᵀ hidden only where the head learns.

    Args:
        hidden_ND: hidden states of the supervised positions.
        head: the output layer; anything but a plain linear one is run whole.
        label_N: token ids.

    Returns:
        A scalar in nats.
    """
    if type(head) is not torch.nn.Linear:
        return hard(head(hidden_ND), label_N).sum()
    weights = [head.weight, head.bias]
    if not torch.is_grad_enabled():  # autograd asks for the gradients of leaves all the same
        weights = [None if weight is None else weight.detach() for weight in weights]
    total: Tensor = _FusedHard.apply(hidden_ND, *weights, label_N)  # type: ignore[no-untyped-call]
    return total


class _FusedHard(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, hidden_ND: Tensor, weight_VD: Tensor, bias_V: Tensor | None, label_N: Tensor) -> Tensor:
        """The sum, and the gradients of what needs one."""
        needed = ctx.needs_input_grad
        grads = [
            torch.zeros_like(hidden_ND) if needed[0] else None,
            _zeros(weight_VD) if needed[1] else None,
            _zeros(bias_V) if needed[2] and bias_V is not None else None,
        ]
        weight = weight_VD.to(hidden_ND.dtype)  # wider where every weight learns
        bias = None if bias_V is None else bias_V.to(hidden_ND.dtype)
        total = torch.zeros((), dtype=torch.float32, device=hidden_ND.device)
        rows = max(1, CHUNK_LOGITS // len(weight))
        for start in range(0, len(label_N), rows):
            here, label_N1 = slice(start, start + rows), label_N[start : start + rows, None]
            z_NV = functional.linear(hidden_ND[here], weight, bias).float()
            norm_N1 = z_NV.logsumexp(1, keepdim=True)
            total += (norm_N1 - z_NV.gather(1, label_N1)).sum()
            if any(grad is not None for grad in grads):
                slope_NV = z_NV.sub_(norm_N1).exp_()
                slope_NV.scatter_add_(1, label_N1, torch.full_like(norm_N1, -1.0))
                _add_gradients(grads, here, slope_NV.to(weight.dtype), weight, hidden_ND[here])
        ctx.save_for_backward(grads[0], *(None if grad is None else grad.to(weight_VD.dtype) for grad in grads[1:]))
        return total

    @staticmethod
    def backward(ctx: Any, outer: Tensor) -> Any:
        """The stored gradients, times what is asked of the sum."""
        return (*(None if grad is None else grad * outer for grad in ctx.saved_tensors), None)


def _zeros(weight: Tensor) -> Tensor:
    """Where chunks are added up: at least in float32, as a bfloat16 sum of many stops growing."""
    return torch.zeros_like(weight, dtype=torch.promote_types(weight.dtype, torch.float32))


def _add_gradients(
    grads: list[Tensor | None], here: slice, slope_NV: Tensor, weight_VD: Tensor, hidden_ND: Tensor
) -> None:
    of_hidden, of_weight, of_bias = grads
    if of_hidden is not None:
        of_hidden[here] = slope_NV @ weight_VD
    if of_weight is not None:
        of_weight += slope_NV.T @ hidden_ND
    if of_bias is not None:
        of_bias += slope_NV.sum(0, dtype=of_bias.dtype)
