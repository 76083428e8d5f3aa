"""Rows → tensors of one forward pass: padded, or packed end to end."""

# ruff: noqa: N806, N815 - shape suffixes

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from finetune.alignment import Aligned
from finetune.rendering import IGNORED, Example
from finetune.rollout import Rollout


@dataclass(frozen=True, slots=True)
class Soft:
    """What the teacher said of the N supervised tokens of a pass, rows in their order; C chunks."""

    ids_NK: Tensor  # -1 where absent: also where a row has no soft labels
    logp_NK: Tensor
    sampled_N: Tensor  # what the teacher sampled, where that may be learnt from; -1 elsewhere
    chunk_N: Tensor  # -1: in none
    chunk_logp_C: Tensor


@dataclass(frozen=True, slots=True)
class Rollouts:
    """What student and teacher said of the N tokens of a pass that the student sampled, rows in their order."""

    old_log_q_N: Tensor
    logp_N: Tensor
    ids_NK: Tensor  # -1 where absent
    logp_NK: Tensor


@dataclass(frozen=True, slots=True)
class Batch:
    """One forward pass.

    Padded: on the right, told by position (mask 0, label IGNORED), never by id: pad may equal EOS. Packed: B is 1, and
    there is no padding and no mask; `segments` are the rows' lengths, and positions begin anew with each row.
    """

    input_ids_BT: Tensor
    labels_BT: Tensor
    position_ids_BT: Tensor
    attention_mask_BT: Tensor | None = None
    segments: tuple[int, ...] | None = None
    soft: Soft | Rollouts | None = None

    @property
    def rows(self) -> int:
        """Rows in it."""
        return len(self.input_ids_BT) if self.segments is None else len(self.segments)

    def to(self, device: torch.device) -> "Batch":
        """The same on another device."""
        mask = None if self.attention_mask_BT is None else self.attention_mask_BT.to(device)
        return replace(
            self,
            input_ids_BT=self.input_ids_BT.to(device),
            labels_BT=self.labels_BT.to(device),
            position_ids_BT=self.position_ids_BT.to(device),
            attention_mask_BT=mask,
            soft=None if self.soft is None else _moved(self.soft, device),
        )


def _moved(soft: Soft | Rollouts, device: torch.device) -> Soft | Rollouts:
    there: dict[str, Any] = {field.name: getattr(soft, field.name).to(device) for field in fields(soft)}
    return replace(soft, **there)


def row_of(batch: Batch) -> Tensor:
    """row_N: the row that each supervised token of a pass is in, in the order of `losses.supervised`."""
    row_R = torch.arange(batch.rows)
    if batch.segments is None:
        row_BT = row_R[:, None].expand(batch.labels_BT.shape)
    else:
        row_BT = row_R.repeat_interleave(torch.tensor(batch.segments))[None]
    return row_BT.to(batch.labels_BT.device)[:, 1:][batch.labels_BT[:, 1:] != IGNORED]


def padded(examples: Sequence[Example], pad_id: int) -> Batch:
    """Examples filled up to the longest of them."""
    longest = max(len(example.ids) for example in examples)
    input_ids_BT = torch.full((len(examples), longest), pad_id, dtype=torch.long)
    attention_mask_BT = torch.zeros((len(examples), longest), dtype=torch.long)
    labels_BT = torch.full((len(examples), longest), IGNORED, dtype=torch.long)
    for row, example in enumerate(examples):
        length = len(example.ids)
        input_ids_BT[row, :length] = torch.tensor(example.ids)
        attention_mask_BT[row, :length] = 1
        labels_BT[row, :length] = torch.tensor(example.labels)
    position_ids_BT = torch.arange(longest).expand(len(examples), -1)
    return Batch(input_ids_BT, labels_BT, position_ids_BT, attention_mask_BT, soft=soft_of(examples))


def packed(examples: Sequence[Example]) -> Batch:
    """Examples end to end in one row; the last token of one never predicts the first of the next."""
    ids = [token for example in examples for token in example.ids]
    labels = [label for example in examples for label in (IGNORED, *example.labels[1:])]
    segments = tuple(len(example.ids) for example in examples)
    position_ids_T = torch.cat([torch.arange(length) for length in segments])
    return Batch(
        torch.tensor([ids]), torch.tensor([labels]), position_ids_T[None], segments=segments, soft=soft_of(examples)
    )


def soft_of(examples: Sequence[Example]) -> Soft | Rollouts | None:
    """The soft labels of a pass's supervised tokens; None where no row has any. All rows are sampled, or none is."""
    sampled = [example.soft for example in examples if isinstance(example.soft, Rollout)]
    if sampled:
        return _rollouts(sampled)
    parts = [example.soft if isinstance(example.soft, Aligned) else None for example in examples]
    if not any(parts):
        return None
    rows = sum(example.supervised for example in examples)
    wide = max(part.ids_NK.shape[1] for part in parts if part)
    ids_NK, logp_NK = torch.full((rows, wide), -1), torch.full((rows, wide), -torch.inf)
    sampled_N, chunk_N = torch.full((rows,), -1), torch.full((rows,), -1)
    chunks: list[Tensor] = []
    start = begun = 0
    for example, part in zip(examples, parts, strict=True):
        here = slice(start, start := start + example.supervised)
        if part is None:
            continue
        listed = part.ids_NK.shape[1]
        ids_NK[here, :listed] = torch.from_numpy(part.ids_NK).long()
        logp_NK[here, :listed] = torch.from_numpy(part.logp_NK)
        sampled_N[here] = torch.from_numpy(part.sampled_N).long()
        chunk_N[here] = torch.from_numpy(np.where(part.chunk_N < 0, -1, part.chunk_N + begun)).long()
        chunks.append(torch.from_numpy(part.chunk_logp_C))
        begun += len(part.chunk_logp_C)
    return Soft(ids_NK, logp_NK, sampled_N, chunk_N, torch.cat(chunks))


def _rollouts(parts: Sequence[Rollout]) -> Rollouts:
    scores = [part.scores for part in parts]
    return Rollouts(
        torch.from_numpy(np.concatenate([part.old_log_q_N for part in parts])),
        torch.from_numpy(np.concatenate([one.logp_N for one in scores])),
        torch.from_numpy(np.concatenate([one.ids_NK for one in scores])).long(),
        torch.from_numpy(np.concatenate([one.logp_NK for one in scores])),
    )
