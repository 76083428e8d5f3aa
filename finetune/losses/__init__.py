"""Losses of a student against its teacher (docs/design/014-soft-labels.md)."""

from finetune.losses.chunks import chunk_likelihood
from finetune.losses.fused import (
    fused,
    fused_bucket,
    fused_bucket_sampled,
    fused_hard,
    fused_sum,
    fused_tempered,
    fused_topk_renormalised,
    size_of,
)
from finetune.losses.on_policy import fused_policy_gradient, fused_reverse_bucket, policy_gradient, reverse_bucket
from finetune.losses.plain import bucket, bucket_sampled, hard, tempered, topk_renormalised
from finetune.losses.preference import dpo, margins
from finetune.losses.shifting import supervised

__all__ = [
    "bucket",
    "bucket_sampled",
    "chunk_likelihood",
    "dpo",
    "fused",
    "fused_bucket",
    "fused_bucket_sampled",
    "fused_hard",
    "fused_policy_gradient",
    "fused_reverse_bucket",
    "fused_sum",
    "fused_tempered",
    "fused_topk_renormalised",
    "hard",
    "margins",
    "policy_gradient",
    "reverse_bucket",
    "size_of",
    "supervised",
    "tempered",
    "topk_renormalised",
]
