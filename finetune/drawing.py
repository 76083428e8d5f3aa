"""A chance between 0 and 1 → the token whose share of the line holds it."""

# ruff: noqa: N803, N806 - shape suffixes

import torch
from torch import Tensor


def drawn(p_BV: Tensor, chance_B: Tensor) -> Tensor:
    """The token of each row, shape (B,), by the inverse of the cumulated distribution.

    Args:
        p_BV: probabilities, in double precision; a row needs no exact sum of 1, and has one above 0.
        chance_B: evenly distributed over [0, 1), in double precision.
    """
    ends_BV = p_BV.cumsum(1)
    ends_B1 = ends_BV[:, -1:]
    # A chance that rounding puts at the very end would be no token's.
    place_B1 = torch.minimum(chance_B[:, None] * ends_B1, torch.nextafter(ends_B1, torch.zeros_like(ends_B1)))
    return torch.searchsorted(ends_BV, place_B1, right=True)[:, 0]
