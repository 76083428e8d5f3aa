"""A configuration's loss over the supervised positions of a pass, with the output head in it."""

# ruff: noqa: N803, N806 - shape suffixes

from typing import Any

import torch
from torch import Tensor

from finetune import losses
from finetune.collate import Rollouts, Soft
from finetune.config import Loss
from finetune.listings import ABSENT
from finetune.losses import coefficients as forms
from finetune.losses.coefficients import Coefficients


def summed_loss(loss: Loss, hidden_ND: Tensor, head: Any, label_N: Tensor, soft: Soft | Rollouts | None) -> Tensor:
    """The sum over all positions, a scalar in nats.

    Args:
        loss: which one.
        hidden_ND: hidden states that predict a supervised token.
        head: the output layer.
        label_N: those tokens.
        soft: what the teacher said of them; None: nothing, of none of them.
    """
    kind = loss.of_lists
    if soft is None or kind == "hard":
        none_NK = label_N.new_zeros(len(label_N), 0)
        return losses.fused_sum(hidden_ND, head, forms.of_hard(none_NK, none_NK, label_N, losses.size_of(head)))
    if isinstance(soft, Rollouts):
        return _of_rollouts(kind, hidden_ND, head, label_N, soft)
    if kind == "chunks":
        return _of_chunks(loss, hidden_ND, head, label_N, soft)
    return losses.fused_sum(hidden_ND, head, coefficients(loss, kind, label_N, soft, losses.size_of(head)))


def coefficients(loss: Loss, kind: str, label_N: Tensor, soft: Soft, vocabulary: int) -> Coefficients:
    """The coefficients of each position: soft where the teacher listed anything, else those of the label."""
    listed_N = _listed(soft)
    if kind == "sampled":
        # The label is how a tokenizer cuts what was said; the tail is corrected by what was sampled.
        label_N = torch.where(listed_N & (soft.sampled_N != ABSENT), soft.sampled_N, label_N)
    given = soft.ids_NK, soft.logp_NK, label_N, vocabulary
    hard_N = 1 - (1 - loss.hard_share) * listed_N.double()
    return forms.mixed(hard_N, forms.of_hard(*given), _soft(loss, kind, soft, given))


def _soft(loss: Loss, kind: str, soft: Soft, given: tuple[Tensor, Tensor, Tensor, int]) -> Coefficients:
    if kind == "topk":
        return forms.of_topk_renormalised(*given)
    if kind == "sampled":
        weight = 1.0 if loss.tail_weight is None else loss.tail_weight
        return forms.of_bucket_sampled(*given, tail_weight=weight, sampled_N=soft.sampled_N != ABSENT)
    if loss.temperature != 1:
        return forms.of_tempered(*given, temperature=loss.temperature)
    return forms.of_bucket(*given)


def _of_rollouts(kind: str, hidden_ND: Tensor, head: Any, label_N: Tensor, sampled: Rollouts) -> Tensor:
    if kind == "reverse":
        return losses.fused_reverse_bucket(hidden_ND, head, sampled.ids_NK, sampled.logp_NK).sum()
    return losses.fused_policy_gradient(hidden_ND, head, label_N, sampled.old_log_q_N, sampled.logp_N).sum()


def _of_chunks(loss: Loss, hidden_ND: Tensor, head: Any, label_N: Tensor, soft: Soft) -> Tensor:
    """Lists where there are any, likelihoods of chunks between them, labels where there is neither.

    All in nats of the answer, so that they add up, and divided by the supervised tokens they are a mean as of any loss:
    a list counts once, and so does a chunk, which moves each of its tokens about as its label would at most. What
    begins a chunk may have both: the list says what else the teacher might have said, the likelihood how likely it was.
    """
    inside_N, listed_N = soft.chunk_N != ABSENT, _listed(soft)
    none_NK = label_N.new_zeros(int(inside_N.sum()), 0)
    hard_N = losses.fused_hard(hidden_ND[inside_N], head, none_NK, none_NK, label_N[inside_N])
    of_chunks = losses.chunk_likelihood(-hard_N, soft.chunk_N[inside_N], soft.chunk_logp_C).sum()
    of_their_labels = hard_N[~listed_N[inside_N]].sum()
    others_N = listed_N | ~inside_N
    form = coefficients(loss, "bucket", label_N, soft, losses.size_of(head))[others_N]
    of_others = losses.fused_sum(hidden_ND[others_N], head, form)
    return of_others + loss.hard_share * of_their_labels + (1 - loss.hard_share) * of_chunks


def _listed(soft: Soft) -> Tensor:
    """Whether anything is listed, listed_N."""
    return (soft.ids_NK != ABSENT).any(1)
