"""What the base says of the answers of each pair: preference training starts from it and stays near to it."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch

from finetune.batching import passes_of
from finetune.config import Batching
from finetune.distributed import World
from finetune.errors import BadInput
from finetune.objective import PairObjective
from finetune.preference import Pair


@torch.no_grad()
def with_reference(
    objective: PairObjective, pairs: Sequence[Pair], batching: Batching, world: World, *, sharded: bool
) -> list[Pair]:
    """The pairs with log π(chosen) - log π(rejected) of the model as it is now; every process takes part.

    Taken once, packed or padded as the steps will be, so that before the first step no pair has a reward.

    Args:
        objective: with the base, or with adapters that were not trained yet.
        pairs: of a split.
        batching: the run's.
        world: the processes.
        sharded: whether the model is in shards over them.

    Raises:
        BadInput: some log-probability is no number; in all processes.
    """
    objective.eval()
    order = sorted(range(len(pairs)), key=lambda number: pairs[number].length)
    lengths = [pairs[number].length for number in order]
    passes = passes_of(
        lengths,
        rank=world.rank,
        processes=world.size,
        batch_size=batching.batch_size,
        most_tokens=batching.batch_size * max(lengths, default=0) if objective.packing else None,
        equally_many=sharded,
    )
    mine = [0.0] * len(pairs)
    for places in passes:
        numbers = [order[place] for place in places]
        found = objective.margins([pairs[number] for number in numbers])
        for number, margin in zip(numbers, found.tolist(), strict=True):
            mine[number] = margin
    if sharded:
        module: Any = objective
        module.reshard()  # no backward pass does it
    margins = world.total(*mine)
    if not torch.tensor(margins).isfinite().all():
        raise BadInput("--model: it gives the answers of a pair no finite log-probability; give --dtype float32")
    return [replace(pair, reference=margin) for pair, margin in zip(pairs, margins, strict=True)]
