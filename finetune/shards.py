"""Tensors in shards over several processes, and whole ones."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor
from torch.distributed.tensor import DTensor, distribute_tensor


def whole(tensor: Tensor) -> Tensor:
    """A tensor with all its shards; every process must ask for it."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def own(tensor: Tensor) -> Tensor:
    """The part of a tensor that this process holds."""
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


def gathered(tensors: Iterable[tuple[str, Tensor]], *, keep: bool) -> dict[str, Tensor]:
    """Named tensors, whole and on the CPU; every process must ask for them, one is enough to keep them.

    One after the other: a GPU that holds a shard of a model has no room for all of it.

    Args:
        tensors: name and tensor, in the same order in every process.
        keep: whether this process wants them; else it gets none.
    """
    found = {}
    for name, tensor in tensors:
        complete = whole(tensor.detach())
        if keep:
            found[name] = complete.cpu().contiguous()
    return found


def like(tensor: Tensor | None, other: Tensor) -> Tensor:
    """A whole tensor put where another is: on its device, in shards as that is.

    Args:
        tensor: of the first process, from which the shards come; the others need not have it, and then get room for it
            where there are no shards.
        other: what it becomes like.
    """
    if isinstance(other, DTensor):
        source = torch.empty(other.shape, dtype=other.dtype) if tensor is None else tensor
        found: Any = distribute_tensor(source.to(other.device), other.device_mesh, other.placements)
        return torch.as_tensor(found)
    return (
        torch.empty(other.shape, dtype=other.dtype, device=other.device) if tensor is None else tensor.to(other.device)
    )
