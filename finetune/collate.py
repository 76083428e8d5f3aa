"""Rows → batches: which rows share a step, and how they are padded."""

# ruff: noqa: N806, N815 - shape suffixes

import random
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from finetune.rendering import IGNORED, Example

WINDOW_STEPS = 8
"""Rows of this many steps are sorted by length together: little padding, and the order stays random enough."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Padded on the right. Padding is told by position (mask 0, label IGNORED), never by id: pad may equal EOS."""

    input_ids_BT: Tensor
    attention_mask_BT: Tensor
    labels_BT: Tensor


def collate(examples: Sequence[Example], pad_id: int) -> Batch:
    """Pads examples to the longest of them."""
    longest = max(len(example.ids) for example in examples)
    input_ids_BT = torch.full((len(examples), longest), pad_id, dtype=torch.long)
    attention_mask_BT = torch.zeros((len(examples), longest), dtype=torch.long)
    labels_BT = torch.full((len(examples), longest), IGNORED, dtype=torch.long)
    for row, example in enumerate(examples):
        length = len(example.ids)
        input_ids_BT[row, :length] = torch.tensor(example.ids)
        attention_mask_BT[row, :length] = 1
        labels_BT[row, :length] = torch.tensor(example.labels)
    return Batch(input_ids_BT, attention_mask_BT, labels_BT)


def epoch_steps(lengths: Sequence[int], rows_per_step: int, *, seed: int, epoch: int) -> list[list[int]]:
    """The row numbers of each optimiser step of one epoch; each row once, rows of like length together.

    A pure function of its arguments: resuming needs no stored order. How a step is split into forward passes does not
    enter, so 1 x 8 and 8 x 1 rows make the same steps.
    """
    shuffle = random.Random(f"{seed}/{epoch}")  # noqa: S311 - an order, not a secret
    order = list(range(len(lengths)))
    shuffle.shuffle(order)
    steps = []
    window = rows_per_step * WINDOW_STEPS
    for start in range(0, len(order), window):
        near = sorted(order[start : start + window], key=lambda row: lengths[row])
        steps += [near[place : place + rows_per_step] for place in range(0, len(near), rows_per_step)]
    shuffle.shuffle(steps)
    return steps
