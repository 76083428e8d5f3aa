"""What training makes small: one forward pass → the summed loss of its supervised tokens, or of its pairs."""

# ruff: noqa: N806 - shape suffixes

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from finetune import lora
from finetune.attention import use_segments
from finetune.collate import Batch, packed, padded, row_of
from finetune.config import DEFAULT_BETA, Loss, RunConfig
from finetune.errors import BadInput
from finetune.losses import dpo, fused_hard, margins, supervised
from finetune.preference import Pair
from finetune.rendering import IGNORED, Example
from finetune.student import Base, compute_dtype, hidden_states, output_head, plain
from finetune.supervision import summed_loss

HARD = Loss(kind="hard")


class Objective(nn.Module):
    """A model with its loss on rows, as one module: whoever shards it gathers the head's weights for the loss, too.

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

    takes = "rows"
    measures: tuple[str, ...] = ("loss",)

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
        with self._in_its_type():
            hidden_ND, label_N = supervised(hidden_states(self.model, batch), batch.labels_BT)
            loss = self.made_small if self.training else HARD
            return summed_loss(loss, hidden_ND, output_head(self.model), label_N, batch.soft)

    def loss(self, rows: Sequence[Any]) -> Tensor:
        """The same of some of what it takes, a scalar; of none it is 0, with a pass of its own."""
        return self._run(rows or [self._nothing])

    def sums(self, rows: Sequence[Any]) -> Tensor:
        """Each of `measures`, summed over some of what it takes, sums_M; the loss, the first, has a gradient."""
        return self.loss(rows)[None]

    def _run(self, rows: Sequence[Example]) -> Tensor:
        batch = packed(rows) if self.packing else padded(rows, self.pad_id)
        found: Tensor = self(batch.to(self.device))
        return found

    def _in_its_type(self) -> torch.autocast:
        return torch.autocast(self.device.type, dtype=self.autocast, enabled=self.autocast is not None)

    @property
    def _nothing(self) -> Example:
        return Example(ids=(self.pad_id, self.pad_id), labels=(IGNORED, IGNORED))


class PairObjective(Objective):
    """The same of pairs: direct preference optimisation, against the reference that each pair brings along."""

    takes = "pairs"
    measures = ("loss", "reward_accuracy", "reward_margin")

    def forward(self, batch: Batch) -> Tensor:
        """The margin log π(chosen) - log π(rejected) of each pair, margin_P; its answers are rows side by side."""
        with self._in_its_type():
            hidden_ND, label_N = supervised(hidden_states(self.model, batch), batch.labels_BT)
            none_NK = label_N.new_zeros(len(label_N), 0)
            loss_N = fused_hard(hidden_ND, output_head(self.model), none_NK, none_NK, label_N)
        return margins(loss_N, row_of(batch), batch.rows // 2)

    def margins(self, pairs: Sequence[Pair]) -> Tensor:
        """The same of some pairs; of none it is empty, with a pass of its own."""
        answers = [answer for pair in pairs for answer in (pair.chosen, pair.rejected)]
        return self._run(answers or [self._nothing] * 2)[: len(pairs)]

    def loss(self, rows: Sequence[Pair]) -> Tensor:
        """The loss in nats, summed over some pairs, a scalar."""
        return self.sums(rows)[0]

    def sums(self, rows: Sequence[Pair]) -> Tensor:
        """Loss; pairs in which the chosen answer has the larger reward β·log(π/reference); by how much it has.

        Equal rewards are half a pair: before the first step all are, and the share is that of guessing.
        """
        margin_P, beta = self.margins(rows), self.made_small.beta or DEFAULT_BETA
        reference_P = margin_P.new_tensor([pair.reference for pair in rows])
        reward_P = beta * (margin_P.detach() - reference_P)
        right_P = (reward_P.sign() + 1) / 2
        return torch.stack([dpo(margin_P, reference_P, beta=beta).sum(), right_P.sum(), reward_P.sum()])


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
    kind = PairObjective if config.loss.kind == "dpo" else Objective
    compute = compute_dtype(config, device or base.device)
    narrower = config.method == "full" and compute != torch.float32
    return kind(
        model,
        base,
        loss=config.loss,
        packing=config.batching.packing,
        autocast=compute if narrower else None,
        checkpointing=config.compute.gradient_checkpointing,
    )
