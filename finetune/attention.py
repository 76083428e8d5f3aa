"""Attention within the rows of a packed pass: block-diagonal by construction, no mask is ever made."""

# ruff: noqa: N803, N806 - shape suffixes

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel
from transformers import AttentionInterface

NAME = "finetune_segments"
KERNELS = [SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH]
"""Not cuDNN's: it plans anew for every length that it has not seen, and each row has its own. On an H100 that was most
of a step (benchmarks/LOG.md)."""
SAME = 2e-2
"""Relative difference of hidden states that rounding explains, bfloat16 included."""
HARMLESS = frozenset({"position_ids", "output_attentions", "use_cache", "cache_position", "deterministic"})
"""What models pass along that does not change what is attended to (scores that are asked for are not given)."""


def segment_attention(
    module: Any,
    q_BHTE: Tensor,
    k_BGTE: Tensor,
    v_BGTE: Tensor,
    mask: Tensor | None,
    *,
    segments: tuple[int, ...],
    scaling: float | None = None,
    dropout: float = 0.0,
    sliding_window: int | None = None,
    is_causal: bool | None = None,
    **more: Any,
) -> tuple[Tensor, None]:
    """Causal attention of each segment with itself; a transformers attention function.

    Args:
        module: the attention layer.
        q_BHTE: queries, B = 1, H heads of size E.
        k_BGTE: keys; G heads, each shared by H / G heads of the queries.
        v_BGTE: values.
        mask: there must be none.
        segments: lengths that add up to T.
        scaling: of the scores.
        dropout: on the scores.
        sliding_window: how many tokens back a token sees, itself included.
        is_causal: whether a token sees those before it only; None leaves it to the layer.
        more: of a model that wants more (caps, sinks, biases, chosen keys).

    Returns:
        The attended values in the order (B, T, H, E), and no scores.

    Raises:
        NotImplementedError: the layer attends in a way that this does not compute.
    """
    causal = getattr(module, "is_causal", True) if is_causal is None else is_causal
    asked = [name for name, value in more.items() if value is not None and name not in HARMLESS]
    if mask is not None or not causal or asked:
        raise NotImplementedError(f"packed attention knows no {', '.join(asked) or 'mask of another shape'}")
    groups = q_BHTE.shape[1] // k_BGTE.shape[1]
    if groups > 1:
        k_BGTE, v_BGTE = (x.repeat_interleave(groups, dim=1) for x in (k_BGTE, v_BGTE))
    parts = zip(*(torch.split(x, list(segments), dim=2) for x in (q_BHTE, k_BGTE, v_BGTE)), strict=True)
    attended = []
    with sdpa_kernel(KERNELS):
        for q, k, v in parts:
            windowed = sliding_window is not None and q.shape[2] > sliding_window
            mask = _window(q.shape[2], sliding_window, q.device) if windowed and sliding_window else None
            attended.append(
                functional.scaled_dot_product_attention(
                    q, k, v, attn_mask=mask, is_causal=mask is None, scale=scaling, dropout_p=dropout
                )
            )
    return torch.cat(attended, dim=2).transpose(1, 2), None


def _window(length: int, window: int, device: torch.device) -> Tensor:
    back_TT = torch.arange(length, device=device)[:, None] - torch.arange(length, device=device)[None, :]
    return (back_TT >= 0) & (back_TT < window)


AttentionInterface.register(NAME, segment_attention)


def use_segments(model: Any, token: int) -> bool:
    """Switches a model to packed passes if, tried on it, a packed row comes out as it does alone.

    Architectures with another kind of memory than attention (state spaces), sinks, or caps on the scores do not pass;
    they stay as they are.

    Args:
        model: a transformers causal language model, in use for training only from here on (but see `by_mask`).
        token: any id to try it with.

    Returns:
        Whether it did.
    """
    # Chunks are in the mask that is never made, and the rows tried are shorter than one.
    if getattr(model.config.get_text_config(), "attention_chunk_size", None):
        return False
    before = model.config._attn_implementation  # noqa: SLF001 - transformers has no other reading of it
    try:
        alone, packed = _try(model, token)
    except (TypeError, ValueError, RuntimeError, NotImplementedError, AttributeError):
        alone, packed = torch.zeros(1), torch.full((1,), torch.inf)
    if torch.linalg.vector_norm(alone - packed) <= SAME * torch.linalg.vector_norm(alone):
        return True
    model.set_attn_implementation(before)
    return False


@contextmanager
def by_mask(model: Any) -> Iterator[None]:
    """A model that was switched to packed passes takes padded ones and keeps a cache, for the length of the context."""
    switched = model.config._attn_implementation == NAME  # noqa: SLF001 - as above
    if switched:
        model.set_attn_implementation("sdpa")  # whoever takes an attention function takes torch's
    try:
        yield
    finally:
        if switched:
            model.set_attn_implementation(NAME)


@torch.no_grad()
def _try(model: Any, token: int) -> tuple[Tensor, Tensor]:
    decoder, device = model.get_decoder(), next(model.parameters()).device
    vocabulary = model.get_input_embeddings().num_embeddings
    first, second = ((token + torch.arange(length, device=device) * 7) % vocabulary for length in (5, 9))
    where = [torch.arange(len(ids), device=device) for ids in (first, second)]
    alone = [decoder(input_ids=ids[None], use_cache=False).last_hidden_state for ids in (first, second)]
    model.set_attn_implementation(NAME)
    packed = decoder(
        input_ids=torch.cat([first, second])[None],
        position_ids=torch.cat(where)[None],
        use_cache=False,
        segments=(len(first), len(second)),
    ).last_hidden_state
    return torch.cat(alone, dim=1).float(), packed.float()
