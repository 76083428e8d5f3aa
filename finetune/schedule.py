"""The learning rate as a pure function of the step: nothing to store when a run is resumed."""

import math
from typing import Literal


def factor(step: int, *, total: int, warmup: int, kind: Literal["cosine", "linear"]) -> float:
    """What the learning rate is multiplied by at a 0-based step: up over `warmup` steps, then down towards 0.

    Cosine as in Loshchilov & Hutter 2016 (arXiv 1608.03983) without restarts. No step has a factor of 0: it would be a
    step paid for nothing.
    """
    if step < warmup:
        return (step + 1) / (warmup + 1)
    done = (step - warmup) / (total - warmup)
    return 1.0 - done if kind == "linear" else 0.5 * (1.0 + math.cos(math.pi * done))
