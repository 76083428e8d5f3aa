"""The learning rate as a pure function of how far a run is: nothing to store when a run is resumed."""

import math
from typing import Literal

Kind = Literal["cosine", "linear", "constant"]


def factor(step: float, *, total: int, warmup: int, kind: Kind) -> float:
    """What the learning rate is multiplied by at a 0-based step: up over `warmup` steps, then down towards 0.

    Cosine as in Loshchilov & Hutter 2016 (arXiv 1608.03983) without restarts; constant stays up. No step has a factor
    of 0: it would be a step paid for nothing.

    Args:
        step: the step; a run that is bounded in time passes the place that its time stands for.
        total: steps in all.
        warmup: steps of the ascent.
        kind: the shape of the descent.
    """
    if step < warmup:
        return (step + 1) / (warmup + 1)
    if kind == "constant":
        return 1.0
    done = (step - warmup) / (total - warmup)
    return 1.0 - done if kind == "linear" else 0.5 * (1.0 + math.cos(math.pi * done))
