"""Tensors in shards over several processes, and whole ones."""

from typing import Any

import torch
from torch import Tensor
from torch.distributed.tensor import DTensor, distribute_tensor


def whole(tensor: Tensor) -> Tensor:
    """A tensor with all its shards; every process must ask for it."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def like(tensor: Tensor, other: Tensor) -> Tensor:
    """A whole tensor put where another is: on its device, in shards as it is."""
    if isinstance(other, DTensor):
        found: Any = distribute_tensor(tensor.to(other.device), other.device_mesh, other.placements)
        return torch.as_tensor(found)
    return tensor.to(other.device)
