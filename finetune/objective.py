"""What training makes small: one forward pass → the summed loss of its supervised tokens."""

# ruff: noqa: N806 - shape suffixes

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from finetune import lora
from finetune.attention import use_segments
from finetune.collate import Batch, packed, padded
from finetune.config import Loss, RunConfig
from finetune.errors import BadInput
from finetune.losses import supervised
from finetune.rendering import IGNORED, Example
from finetune.student import Base, compute_dtype, hidden_states, output_head, plain
from finetune.supervision import summed_loss

HARD = Loss(kind="hard")


class Objective(nn.Module):
    """A model with its loss, as one module: whoever shards it gathers the head's weights for the loss, too.

    Args:
        model: the model that learns, with or without adapters.
        base: its tokenizer's padding, and its device.
        loss: what is made small in training. Otherwise it is the cross-entropy with the answers, by which runs with
            other losses compare.
        packing: lay the rows of a pass end to end, where the model's architecture allows it.
        autocast: number type to compute in, where the weights are held in a wider one.
        checkpointing: compute the activations of each layer again in the backward pass instead of keeping them.

    Raises:
        BadInput: the architecture cannot compute activations again.
    """

    def __init__(
        self,
        model: Any,
        base: Base,
        *,
        loss: Loss = HARD,
        packing: bool = True,
        autocast: torch.dtype | None = None,
        checkpointing: bool = False,
    ) -> None:
        super().__init__()
        self.model = model
        self.pad_id, self.device, self.autocast = base.pad_id, base.device, autocast
        self.made_small = loss
        self.packing = packing and use_segments(plain(model), base.stop_ids[0])
        if checkpointing:
            try:
                plain(model).activation_checkpointing_enable({"use_reentrant": False})
            except ValueError as error:
                raise BadInput(f"--gradient-checkpointing: this model cannot do it ({error})") from error

    def forward(self, batch: Batch) -> Tensor:
        """The loss in nats, summed over the supervised tokens."""
        with torch.autocast(self.device.type, dtype=self.autocast, enabled=self.autocast is not None):
            hidden_BTD = hidden_states(self.model, batch)
            hidden_ND, label_N = supervised(hidden_BTD, batch.labels_BT)
            loss = self.made_small if self.training else HARD
            return summed_loss(loss, hidden_ND, output_head(self.model), label_N, batch.soft)

    def loss(self, examples: Sequence[Example]) -> Tensor:
        """The same of some rows, a scalar; of none it is 0, with a pass of its own."""
        rows = examples or [Example(ids=(self.pad_id, self.pad_id), labels=(IGNORED, IGNORED))]
        batch = packed(rows) if self.packing else padded(rows, self.pad_id)
        summed: Tensor = self(batch.to(self.device))
        return summed


def make_objective(model: Any, base: Base, config: RunConfig, device: torch.device | None = None) -> Objective:
    """The objective that a configuration states.

    Args:
        model: the model that learns.
        base: as it was loaded.
        config: the run's.
        device: where it will be computed, if not where it was loaded.

    Raises:
        BadInput: as `Objective`.
    """
    lora.fuse(model)
    compute = compute_dtype(config, device or base.device)
    narrower = config.method == "full" and compute != torch.float32
    return Objective(
        model,
        base,
        loss=config.loss,
        packing=config.batching.packing,
        autocast=compute if narrower else None,
        checkpointing=config.compute.gradient_checkpointing,
    )
