"""Low-rank adapters in training: one function for base and adapter, which keeps what it must and no more.

peft computes an adapter in the adapter's own number type, float32: every layer then keeps a float32 copy of its input
for the backward pass. Here both are computed in the base's type, and layers that share an input share what is kept.
"""

# ruff: noqa: N803, N806 - shape suffixes

from collections.abc import Callable
from typing import Any

import torch
from peft.tuners.lora import Linear
from torch import Tensor, nn
from torch.nn import functional


def fuse(model: Any) -> int:
    """Switches the adapters of a model that will be trained; those that are more than W + s · B A stay peft's.

    Returns:
        How many it switched.
    """
    layers = [module for module in model.modules() if type(module) is Linear and _is_plain(module)]
    for layer in layers:
        setattr(layer, "forward", _fused(layer))  # noqa: B010 - mypy knows no other way to replace a method
    return len(layers)


def _is_plain(layer: Any) -> bool:
    base = layer.get_base_layer()
    return (
        type(base) is nn.Linear
        and not base.weight.requires_grad
        and layer.active_adapters == ["default"]
        and not layer.lora_variant
        and not layer.lora_bias["default"]
        and isinstance(layer.lora_dropout["default"], nn.Identity)
    )


def _fused(layer: Any) -> Callable[..., Tensor]:
    base, scale = layer.get_base_layer(), float(layer.scaling["default"])
    a, b, plain = layer.lora_A["default"], layer.lora_B["default"], layer.forward

    def forward(x: Tensor, *arguments: Any, **more: Any) -> Tensor:
        if layer.disable_adapters or layer.merged:
            switched_off: Tensor = plain(x, *arguments, **more)
            return switched_off
        y: Tensor = _LoraLinear.apply(x, base.weight, base.bias, a.weight, b.weight, scale)  # type: ignore[no-untyped-call]
        return y

    return forward


class _LoraLinear(torch.autograd.Function):
    """y = x Wᵀ + bias + s · (x Aᵀ) Bᵀ, with W and bias frozen."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, w_OD: Tensor, bias_O: Tensor | None, *adapter: Any) -> Tensor:
        """Keeps x, x Aᵀ and the weights."""
        a_RD, b_OR, scale = adapter
        x_ND = x.reshape(-1, x.shape[-1])
        down_NR = x_ND @ a_RD.to(x.dtype).T
        y_NO = functional.linear(x_ND, w_OD, bias_O)
        y_NO.addmm_(down_NR, b_OR.to(x.dtype).T, alpha=scale)
        ctx.save_for_backward(x, down_NR, w_OD, a_RD, b_OR)
        ctx.scale = scale
        return y_NO.view(*x.shape[:-1], -1)

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> Any:
        """∇B = s ∇yᵀ (x Aᵀ); ∇A = s (∇y B)ᵀ x; ∇x = ∇y W + s (∇y B) A."""
        x, down_NR, w_OD, a_RD, b_OR = ctx.saved_tensors
        slope_NO, x_ND = slope.reshape(-1, slope.shape[-1]), x.reshape(-1, x.shape[-1])
        up_NR = (slope_NO @ b_OR.to(slope.dtype)).mul_(ctx.scale)
        of_b = (slope_NO.T @ down_NR).to(b_OR.dtype).mul_(ctx.scale)
        of_a = (up_NR.T @ x_ND).to(a_RD.dtype)
        of_x = None
        if ctx.needs_input_grad[0]:
            of_x = (slope_NO @ w_OD).addmm_(up_NR, a_RD.to(slope.dtype)).view_as(x)
        return of_x, None, None, of_a, of_b, None
