"""A student that is no longer numbers is refused before it is measured or kept: it must not replace a good one."""

import math
from pathlib import Path
from typing import Any

import torch

from finetune.distributed import World
from finetune.errors import BadInput
from finetune.shards import own
from finetune.student import trainable


def require_finite(where: str, what: str, *values: float) -> None:
    """Refuses what is infinite or no number.

    Args:
        where: run and step, for the message.
        what: the values, in words.
        values: equal in all processes.

    Raises:
        BadInput: some value is not finite.
    """
    if not all(map(math.isfinite, values)):
        mend = "give a lower --learning-rate or --dtype float32, and another --out"
        raise BadInput(f"{where}: {what} teaches nothing; {mend}")


def require_finite_weights(where: str, model: Any, world: World) -> None:
    """Refuses learning weights that are infinite or no numbers; every process takes part, each looks at its shards.

    Raises:
        BadInput: some weight of some process is not finite; in all of them.
    """
    weights = trainable(model).values()
    finite = all(bool(torch.isfinite(own(weight.detach())).all()) for weight in weights)
    (bad,) = world.most(float(not finite))
    require_finite(where, "a student with weights that are infinite or no numbers", math.inf if bad else 0.0)


def step_of(folder: Path, step: int) -> str:
    """How a message names a step of a run."""
    return f"{folder}: step {step}"
