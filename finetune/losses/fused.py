"""The output head and the loss in one: N x V logits never exist at once.

The gradient is taken in the forward pass, chunk by chunk, from the coefficients of the loss (`coefficients.py`):
∇z = a·q + b·(q outside K, to sum 1) - c + …, ∇hidden = ∇z W, and ∇W = ∇zᵀ hidden only where the head learns.
"""

# ruff: noqa: N803, N806 - shape suffixes

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from finetune.losses import coefficients as forms
from finetune.losses.coefficients import Coefficients
from finetune.losses.plain import of_listed, value

CHUNK_LOGITS = 2**24
"""Logits of a chunk: 64 MB in float32."""
TINY = 1e-30
"""Probability, beside the likeliest token's, below which 1 - Q is computed from logarithms: float32 ends at 1e-38."""
Head = Sequence[Any]
"""weight_VD and bias_V or None."""


def fused_hard(hidden_ND: Tensor, head: Any, ids_NK: Tensor, logp_NK: Tensor, label_N: Tensor) -> Tensor:
    """`hard(head(hidden_ND), …)`, loss_N."""
    return fused(hidden_ND, head, forms.of_hard(ids_NK, logp_NK, label_N, size_of(head)))


def fused_topk_renormalised(hidden_ND: Tensor, head: Any, ids_NK: Tensor, logp_NK: Tensor, label_N: Tensor) -> Tensor:
    """`topk_renormalised(head(hidden_ND), …)`, loss_N."""
    return fused(hidden_ND, head, forms.of_topk_renormalised(ids_NK, logp_NK, label_N, size_of(head)))


def fused_bucket(hidden_ND: Tensor, head: Any, ids_NK: Tensor, logp_NK: Tensor, label_N: Tensor) -> Tensor:
    """`bucket(head(hidden_ND), …)`, loss_N."""
    return fused(hidden_ND, head, forms.of_bucket(ids_NK, logp_NK, label_N, size_of(head)))


def fused_bucket_sampled(
    hidden_ND: Tensor, head: Any, ids_NK: Tensor, logp_NK: Tensor, label_N: Tensor, *, tail_weight: float = 1.0
) -> Tensor:
    """`bucket_sampled(head(hidden_ND), …)`, loss_N."""
    form = forms.of_bucket_sampled(ids_NK, logp_NK, label_N, size_of(head), tail_weight=tail_weight)
    return fused(hidden_ND, head, form)


def fused_tempered(
    hidden_ND: Tensor, head: Any, ids_NK: Tensor, logp_NK: Tensor, label_N: Tensor, *, temperature: float
) -> Tensor:
    """`tempered(head(hidden_ND), …)`, loss_N."""
    return fused(hidden_ND, head, forms.of_tempered(ids_NK, logp_NK, label_N, size_of(head), temperature=temperature))


def fused(hidden_ND: Tensor, head: Any, form: Coefficients) -> Tensor:
    """The loss of every position, loss_N; equal to `value(head(hidden_ND), form)` but for rounding.

    Args:
        hidden_ND: hidden states.
        head: the output layer; one that is more than a linear layer (with adapters, say) is run as it is, in chunks.
        form: the loss.
    """
    return _fused(hidden_ND, head, form, summed=False)


def fused_sum(hidden_ND: Tensor, head: Any, form: Coefficients) -> Tensor:
    """The sum of `fused`, a scalar. Where the head learns it costs a matrix product less."""
    return _fused(hidden_ND, head, form, summed=True)


def size_of(head: Any) -> int:
    """Tokens of the vocabulary."""
    return int(head.weight.shape[0])


def _fused(hidden_ND: Tensor, head: Any, form: Coefficients, *, summed: bool) -> Tensor:
    if type(head) is not torch.nn.Linear:
        loss_N = recomputed(lambda hidden, part: value(head(hidden), part), head, hidden_ND, form)
        return loss_N.sum() if summed else loss_N
    weights = [head.weight, head.bias]
    if not torch.is_grad_enabled():  # autograd asks for the gradients of leaves all the same
        weights = [None if weight is None else weight.detach() for weight in weights]
    return _run_apart(hidden_ND, *weights, form.to(_wide(hidden_ND)), summed)


def recomputed(of_chunk: Callable[..., Tensor], head: Any, hidden_ND: Tensor, *given: Any) -> Tensor:
    """A loss of every position, loss_N, in chunks whose logits are computed again in the backward pass.

    Args:
        of_chunk: some positions of `hidden_ND` and `given` → their losses.
        head: the output layer.
        hidden_ND: hidden states.
        given: what else there is of every position.
    """
    parts = [
        checkpoint(of_chunk, hidden_ND[rows], *(one[rows] for one in given), use_reentrant=False)
        for rows in _chunks(len(hidden_ND), size_of(head))
    ]
    return torch.cat(parts) if parts else hidden_ND.new_zeros(0, dtype=_wide(hidden_ND))


def _chunks(positions: int, vocabulary: int) -> list[slice]:
    """The positions whose logits are computed together."""
    rows = max(1, CHUNK_LOGITS // vocabulary)
    return [slice(start, start + rows) for start in range(0, positions, rows)]


class _Fused(torch.autograd.Function):
    @staticmethod
    def forward(  # noqa: PLR0917 - autograd's
        ctx: Any, hidden_ND: Tensor, weight_VD: Tensor, bias_V: Tensor | None, form: Coefficients, summed: bool
    ) -> Tensor:
        """The losses and, where one number scales them all or no weight learns, the gradients of what needs one."""
        ctx.needed, ctx.form, ctx.summed = ctx.needs_input_grad[:3], form, summed
        ctx.at_once = summed or not any(ctx.needed[1:])
        kind = hidden_ND.device.type
        ctx.autocast = kind, torch.get_autocast_dtype(kind), torch.is_autocast_enabled(kind)
        head = weight_VD, bias_V
        grads = _Gradients(hidden_ND, head, ctx.needed if ctx.at_once else ())
        loss_N = _run(hidden_ND, head, form, grads)
        ctx.save_for_backward(*(grads.found if ctx.at_once else (hidden_ND, *head)))
        return loss_N.sum() if summed else loss_N

    @staticmethod
    def backward(ctx: Any, outer: Tensor) -> Any:
        """The gradients, times what is asked of the sum or of each position."""
        if ctx.at_once:
            of_hidden, *of_weights = ctx.saved_tensors
            scaled = None if of_hidden is None else of_hidden * (outer if ctx.summed else outer[:, None])
            return scaled, *(None if grad is None else grad * outer for grad in of_weights), None, None
        hidden_ND, *head = ctx.saved_tensors
        grads = _Gradients(hidden_ND, head, ctx.needed)
        device, dtype, enabled = ctx.autocast
        with torch.autocast(
            device, dtype=dtype, enabled=enabled
        ):  # autograd leaves it, and the logits were computed so
            _run(hidden_ND, head, ctx.form, grads, outer)
        return *grads.found, None, None


_run_apart: Callable[..., Tensor] = torch.compiler.disable(_Fused.apply)  # type: ignore[no-untyped-call]
"""A compiled model goes around it: its gradient is its own."""


class _Gradients:
    """Where the gradients of the head's inputs are added up."""

    def __init__(self, hidden_ND: Tensor, head: Head, needed: Sequence[bool]) -> None:
        weight_VD, bias_V = head
        wants = [*needed, False, False, False][:3]
        self.any = any(wants)
        self._dtype = weight_VD.dtype
        self._hidden = torch.zeros_like(hidden_ND) if wants[0] else None
        self._of_weight = _zeros(weight_VD) if wants[1] else None
        self._of_bias = _zeros(bias_V) if wants[2] and bias_V is not None else None

    def add(self, rows: slice, slope_NV: Tensor, hidden_ND: Tensor, weight_VD: Tensor) -> None:
        """Those of some positions."""
        if self._hidden is not None:
            self._hidden[rows] = slope_NV @ weight_VD
        if self._of_weight is not None:
            self._of_weight += slope_NV.T @ hidden_ND
        if self._of_bias is not None:
            self._of_bias += slope_NV.sum(0, dtype=self._of_bias.dtype)

    @property
    def found(self) -> tuple[Tensor | None, ...]:
        """Of hidden states, weight and bias; None where none was asked for."""
        weights = (self._of_weight, self._of_bias)
        return self._hidden, *(None if grad is None else grad.to(self._dtype) for grad in weights)


def _wide(tensor: Tensor) -> torch.dtype:
    return torch.promote_types(tensor.dtype, torch.float32)


def _zeros(weight: Tensor) -> Tensor:
    """Where chunks are added up: at least in float32, as a bfloat16 sum of many stops growing."""
    return torch.zeros_like(weight, dtype=_wide(weight))


def _run(hidden_ND: Tensor, head: Head, form: Coefficients, grads: _Gradients, outer_N: Tensor | None = None) -> Tensor:
    """The losses, and their gradients added to `grads`, each position's times `outer_N`."""
    weight_VD, bias_V = head
    weight = weight_VD.to(hidden_ND.dtype)  # wider where every weight learns
    bias = None if bias_V is None else bias_V.to(hidden_ND.dtype)
    losses = [torch.zeros(0, dtype=_wide(hidden_ND), device=hidden_ND.device)]
    for rows in _chunks(len(hidden_ND), len(weight)):

        def logits(rows: slice = rows) -> Tensor:
            return functional.linear(hidden_ND[rows], weight, bias).to(_wide(hidden_ND))

        loss_N, slope_NV = _loss_and_slope(logits, form[rows], slope=grads.any)
        losses.append(loss_N)
        if slope_NV is not None:
            if outer_N is not None:
                slope_NV.mul_(outer_N[rows, None])
            grads.add(rows, slope_NV.to(weight.dtype), hidden_ND[rows], weight)
    return torch.cat(losses)


def _loss_and_slope(logits: Callable[[], Tensor], form: Coefficients, *, slope: bool) -> tuple[Tensor, Tensor | None]:
    """loss_N and ∇z_NV of a chunk, with one exponential for each logit: q and 1 - Q are sums of the same numbers."""
    z_NV = logits()
    z_NV.sub_(z_NV.amax(1, keepdim=True))
    z_NM = z_NV.gather(1, form.ids_NM)
    q_NV = z_NV.exp_()  # times `norm`
    norm_N1 = q_NV.sum(1, keepdim=True)
    log_q_NM, share_N1 = z_NM - norm_N1.log(), form.a_N[:, None] / norm_N1
    log_q_NK = log_q_NM[:, :-1]
    loss_N = form.constant_N - (form.c_NM * log_q_NM).sum(1) + of_listed(log_q_NK, form)
    if form.b_N is None:
        scale_N1 = share_N1
    else:
        b_N1 = form.b_N[:, None]
        q_NV.scatter_(1, form.outside_NK, torch.where(b_N1 == 0, z_NM[:, :-1].exp(), 0.0))
        rest_N1 = q_NV.sum(1, keepdim=True)
        if bool((rest_N1 < TINY).any()):
            return _by_logarithms(logits(), form, slope=slope)
        loss_N += form.b_N * (rest_N1 / norm_N1).log()[:, 0]
        scale_N1 = share_N1 + b_N1 / rest_N1
    if not slope:
        return loss_N, None
    slope_NV = q_NV.mul_(scale_N1)
    if form.b_N is not None:
        slope_NV.scatter_(1, form.outside_NK, share_N1 * z_NM[:, :-1].exp())
    slope_NV.scatter_add_(1, form.ids_NM, -form.c_NM)
    if form.w_NT is not None:
        slope_NV.scatter_add_(1, form.outside_NK, _slope_of_listed(log_q_NK, form))
    return loss_N, slope_NV


def _by_logarithms(z_NV: Tensor, form: Coefficients, *, slope: bool) -> tuple[Tensor, Tensor | None]:
    """The same where what is outside K is too unlikely for anything but its logarithm: slower, and seldom."""
    with torch.enable_grad():
        z_NV = z_NV.detach().requires_grad_()
        loss_N = value(z_NV, form)
        slope_NV = torch.autograd.grad(loss_N.sum(), z_NV)[0] if slope else None
    return loss_N.detach(), slope_NV


def _slope_of_listed(log_q_NK: Tensor, form: Coefficients) -> Tensor:
    with torch.enable_grad():
        log_q_NK = log_q_NK.detach().requires_grad_()
        (slope_NK,) = torch.autograd.grad(of_listed(log_q_NK, form).sum(), log_q_NK)
    return slope_NK
