"""Every weight trained on several GPUs: parameters, gradients and moments in shards (FSDP2, arXiv 2304.11277)."""

import torch
from torch.distributed.fsdp import FSDPModule, MixedPrecisionPolicy, fully_shard

from finetune.objective import Objective
from finetune.student import plain


def shard(objective: Objective, device: torch.device) -> None:
    """Shards an objective's model over all processes, one decoder layer at a time, in place.

    A model that is held by the CPU comes to the GPUs in shards, so none of them has to hold it whole.

    Gradients are summed, not averaged: the loss is already divided by the tokens of all processes.
    """
    compute, objective.autocast = objective.autocast, None
    policy = MixedPrecisionPolicy(param_dtype=compute, reduce_dtype=torch.float32)
    for layer in plain(objective.model).get_decoder().layers:
        fully_shard(layer, mp_policy=policy)
    # The root holds embeddings and head; one forward of it covers the loss, which reads the head's weights.
    fully_shard(objective, mp_policy=policy)
    for module in objective.modules():
        if isinstance(module, FSDPModule):
            module.set_gradient_divide_factor(1.0)
            module.set_force_sum_reduction_for_comms(True)  # gloo knows no other
    objective.device = device
