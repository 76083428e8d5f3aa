"""The loss of a pass with soft labels: the right numbers at the right positions, however the rows are laid out."""

# ruff: noqa: N803, N806 - shape suffixes

import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from toys import told_of

from finetune import losses
from finetune.alignment import Aligned, align
from finetune.boundaries import BIASED
from finetune.collate import Soft, packed, padded, row_of, soft_of
from finetune.config import Loss
from finetune.objective import Objective
from finetune.rendering import IGNORED, Example, Renderer
from finetune.student import Base
from finetune.supervision import summed_loss
from finetune.token_bytes import Vocabulary

KINDS = [
    Loss(kind="topk"),
    Loss(kind="bucket"),
    Loss(kind="bucket", temperature=2.0),
    Loss(kind="bucket", hard_share=0.3),
    Loss(kind="sampled"),
    Loss(kind="sampled", tail_weight=0.4),
    Loss(kind="chunks"),
    Loss(kind="chunks", hard_share=0.3),
]
NAMES = [f"{loss.kind}-{loss.tail_weight}-{loss.temperature}-{loss.hard_share}" for loss in KINDS]


def taught(
    renderer: Renderer, base: Base, answer: str, seed: int, *, end: bytes | None = b"", joined: Sequence[int] = ()
) -> Example:
    """An example with what a random teacher said of it, some of whose tokens are those of two bytes, by place."""
    example = renderer.example([{"role": "user", "content": "q" * (1 + seed % 5)}], answer)
    ids = [label for label in example.labels if label != IGNORED]
    said = told_of(answer, seed=seed, end=end, joined=joined)
    found = align(said, ids, Vocabulary.of(base.tokenizer), stop_ids=base.stop_ids, most=5, bias=BIASED)
    assert isinstance(found, Aligned)
    return replace(example, soft=found)


@pytest.fixture
def rows(renderer: Renderer, base: Base) -> list[Example]:
    answers = ["abc", "a longer answer 12", "7", "jih\n\nx", "hard labels only", "no end"]
    joined: dict[int, list[int]] = {1: [1, 6, 9, 16], 3: [0]}
    found = [taught(renderer, base, answer, seed, joined=joined.get(seed, ())) for seed, answer in enumerate(answers)]
    found[4] = replace(found[4], soft=None)
    found[5] = taught(renderer, base, answers[5], 5, end=None)
    return found


@pytest.mark.parametrize("loss", KINDS, ids=NAMES)
@pytest.mark.parametrize("packing", [False, True])
def test_rows_together_are_the_sum_of_rows_alone_in_any_order(
    base: Base, rows: list[Example], loss: Loss, packing: bool
) -> None:
    objective = Objective(base.model, base, loss=loss, packing=packing)
    alone = {number: objective.loss([row]).item() for number, row in enumerate(rows)}
    order = list(range(len(rows)))
    for seed in range(3):
        random.Random(seed).shuffle(order)  # noqa: S311 - an order, not a secret
        together = objective.loss([rows[number] for number in order]).item()
        assert together == pytest.approx(sum(alone.values()), rel=1e-5)
    assert objective.loss(rows[:3]).item() == pytest.approx(sum(alone[number] for number in range(3)), rel=1e-5)


@pytest.mark.parametrize("loss", KINDS, ids=NAMES)
def test_another_row_s_probabilities_would_give_another_loss(base: Base, rows: list[Example], loss: Loss) -> None:
    objective = Objective(base.model, base, loss=loss)
    same_length = [row for row in rows if row.supervised == rows[0].supervised]
    swapped = replace(rows[0], soft=replace(aligned_of(rows[0]), logp_NK=aligned_of(rows[0]).logp_NK[::-1].copy()))
    swapped = replace(
        swapped, soft=replace(aligned_of(swapped), chunk_logp_C=aligned_of(rows[0]).chunk_logp_C[::-1].copy())
    )
    assert same_length
    assert objective.loss([swapped]).item() != pytest.approx(objective.loss([rows[0]]).item(), rel=1e-3)


def aligned_of(row: Example) -> Aligned:
    assert row.soft is not None
    return row.soft


def by_position(loss: Loss, z_NV: Tensor, label_N: Tensor, soft: Soft) -> Tensor:
    """The design's losses, position by position, by the plain functions."""
    given: Any = soft.ids_NK, soft.logp_NK, label_N
    hard_N = losses.hard(z_NV, *given)
    if loss.kind == "topk":
        soft_N = losses.topk_renormalised(z_NV, *given)
    elif loss.kind == "sampled":
        weight = 1.0 if loss.tail_weight is None else loss.tail_weight
        drawn_N = torch.where(soft.sampled_N >= 0, soft.sampled_N, label_N)
        with_tail_N = losses.bucket_sampled(z_NV, soft.ids_NK, soft.logp_NK, drawn_N, tail_weight=weight)
        soft_N = torch.where(soft.sampled_N >= 0, with_tail_N, losses.bucket(z_NV, *given))
    elif loss.temperature != 1:
        soft_N = losses.tempered(z_NV, *given, temperature=loss.temperature)
    else:
        soft_N = losses.bucket(z_NV, *given)
    listed_N = (soft.ids_NK >= 0).any(1)
    mixed_N = loss.hard_share * hard_N + (1 - loss.hard_share) * soft_N
    return torch.where(listed_N, mixed_N, hard_N)


@pytest.mark.parametrize("loss", KINDS[:6], ids=NAMES[:6])
def test_each_position_has_its_loss_and_where_nothing_is_listed_the_label_s(rows: list[Example], loss: Loss) -> None:
    soft = soft_of(rows)
    assert soft is not None
    label_N = torch.tensor([label for row in rows for label in row.labels[1:] if label != IGNORED])
    torch.manual_seed(1)
    head = nn.Linear(16, 300)
    hidden_ND = torch.randn(len(label_N), 16, requires_grad=True)
    ours = summed_loss(loss, hidden_ND, head, label_N, soft)
    plain = by_position(loss, head(hidden_ND), label_N, soft).sum()
    torch.testing.assert_close(ours, plain, rtol=1e-5, atol=1e-4)
    grads = [torch.autograd.grad(one, hidden_ND, retain_graph=True)[0] for one in (ours, plain)]
    torch.testing.assert_close(*grads, rtol=1e-4, atol=1e-5)


def test_the_tail_is_corrected_by_what_was_sampled_though_the_label_is_cut_otherwise(base: Base) -> None:
    vocabulary = Vocabulary.of(base.tokenizer)
    newlines, one = vocabulary.by_bytes[b"\n\n"], vocabulary.by_bytes[b"\n"]
    said = [token | {"bytes": b"\n"} for token in told_of("ab", end=None)]  # two, where a tokenizer has one for both
    found = align(said, [newlines, base.stop_ids[0]], vocabulary, stop_ids=base.stop_ids, most=5)
    assert isinstance(found, Aligned)
    assert found.sampled_N.tolist() == [one, -1]
    soft = soft_of([Example((1, newlines, base.stop_ids[0]), (IGNORED, newlines, base.stop_ids[0]), found)])
    assert isinstance(soft, Soft)
    head, hidden_ND = nn.Linear(16, 300), torch.randn(2, 16)
    label_N, drawn_N = torch.tensor([newlines, base.stop_ids[0]]), torch.tensor([one, base.stop_ids[0]])
    ours = summed_loss(Loss(kind="sampled"), hidden_ND, head, label_N, soft)
    plain_N = losses.bucket_sampled(head(hidden_ND), soft.ids_NK, soft.logp_NK, drawn_N)
    torch.testing.assert_close(ours, plain_N.sum(), rtol=1e-5, atol=1e-5)


def by_formula(loss: Loss, z_NV: Tensor, label_N: Tensor, soft: Soft) -> Tensor:
    """The loss of lists and chunks together, in plain Python, term by term."""
    total, log_q_NV = z_NV.new_zeros(()), z_NV.log_softmax(1)
    chunks: dict[int, list[Tensor]] = {}
    for ids, logp, label, chunk, log_q in zip(soft.ids_NK, soft.logp_NK, label_N, soft.chunk_N, log_q_NV, strict=True):
        listed = {int(token): p.double() for token, p in zip(ids, logp, strict=True) if token >= 0}
        soft_share = 1 - loss.hard_share if listed or chunk >= 0 else 0
        total = total - (1 - soft_share) * log_q[label]
        if chunk >= 0:
            chunks.setdefault(int(chunk), []).append(log_q[label])
        if listed:
            rest = 1 - sum(p.exp() for p in listed.values())
            others = torch.stack([log_q[token] for token in range(len(log_q)) if token not in listed]).logsumexp(0)
            total = total + soft_share * sum(p.exp() * (p - log_q[token]) for token, p in listed.items())
            total = total + soft_share * rest * (rest.log() - others)
    for chunk, parts in chunks.items():
        teacher, student = (soft.chunk_logp_C[chunk].double() / 100).exp(), (sum(parts) / 100).exp()  # type: ignore[union-attr]
        divergence = teacher * (teacher / student).log() + (1 - teacher) * ((1 - teacher) / (1 - student)).log()
        total = total + (1 - loss.hard_share) * 100 * divergence
    return total


@pytest.mark.parametrize("loss", KINDS[6:], ids=NAMES[6:])
@pytest.mark.parametrize("learns", [False, True])
def test_lists_and_chunks_together_have_the_value_and_the_gradients_of_their_formulas(
    rows: list[Example], loss: Loss, learns: bool
) -> None:
    soft = soft_of(rows)
    assert isinstance(soft, Soft)
    inside_N, listed_N = soft.chunk_N >= 0, (soft.ids_NK >= 0).any(1)
    kinds = [listed_N & ~inside_N, listed_N & inside_N, ~listed_N & inside_N, ~listed_N & ~inside_N]
    assert all(kind.any() for kind in kinds)
    label_N = torch.tensor([label for row in rows for label in row.labels[1:] if label != IGNORED])
    torch.manual_seed(1)
    head = nn.Linear(16, 300).double().requires_grad_(learns)
    hidden_ND = torch.randn(len(label_N), 16, dtype=torch.float64, requires_grad=True)
    ours = summed_loss(loss, hidden_ND, head, label_N, soft)
    plain = by_formula(loss, head(hidden_ND), label_N, soft)
    torch.testing.assert_close(ours, plain, rtol=1e-9, atol=1e-9)
    wanted = [hidden_ND, *(head.parameters() if learns else ())]
    for one, other in zip(torch.autograd.grad(ours, wanted), torch.autograd.grad(plain, wanted), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("packing", [False, True])
def test_no_chunk_crosses_rows(base: Base, rows: list[Example], packing: bool) -> None:
    batch = packed(rows) if packing else padded(rows, base.pad_id)
    assert isinstance(batch.soft, Soft)
    owners: dict[int, set[int]] = {}
    for chunk, row in zip(batch.soft.chunk_N.tolist(), row_of(batch).tolist(), strict=True):
        owners.setdefault(chunk, set()).add(row)
    del owners[-1]
    assert all(len(of) == 1 for of in owners.values())
    assert sorted(owners) == list(range(len(batch.soft.chunk_logp_C)))
    assert {row for of in owners.values() for row in of} == {1, 3}


def test_with_the_teacher_s_own_tokens_chunks_learn_as_the_bucket_does(base: Base, rows: list[Example]) -> None:
    alike = [rows[place] for place in (0, 2, 5)]
    assert all((aligned_of(row).chunk_N == -1).all() for row in alike)
    of_each = [
        Objective(base.model, base, loss=Loss(kind=kind), packing=False).loss(alike).item()
        for kind in ("chunks", "bucket")
    ]
    assert of_each[0] == pytest.approx(of_each[1], rel=1e-6)


def test_the_end_of_turn_has_its_list_where_the_api_gave_it_and_its_label_where_not(
    base: Base, rows: list[Example]
) -> None:
    stop = base.stop_ids[0]
    for row, ended in ((rows[0], True), (rows[5], False)):
        assert row.labels[-1] == stop
        assert bool((aligned_of(row).ids_NK[-1] >= 0).any()) is ended
    soft = soft_of([rows[5]])
    assert soft is not None
    head, hidden_1D = nn.Linear(16, 300), torch.randn(1, 16)
    last = Soft(soft.ids_NK[-1:], soft.logp_NK[-1:], soft.sampled_N[-1:], soft.chunk_N[-1:], soft.chunk_logp_C)
    ours = summed_loss(Loss(kind="bucket"), hidden_1D, head, torch.tensor([stop]), last)
    torch.testing.assert_close(ours, -head(hidden_1D).log_softmax(1)[0, stop])


def test_out_of_training_the_loss_is_the_answers_cross_entropy(base: Base, rows: list[Example]) -> None:
    objective = Objective(base.model, base, loss=Loss(kind="bucket"))
    soft, looked = objective.loss(rows).item(), objective.eval().loss(rows).item()
    hard = sum(objective.loss([replace(row, soft=None)]).item() for row in rows)
    assert looked == pytest.approx(hard, rel=1e-5)
    assert looked != pytest.approx(soft, rel=1e-2)


def test_lists_of_other_lengths_share_a_pass(base: Base, rows: list[Example]) -> None:
    wide, narrow = aligned_of(rows[1]), aligned_of(rows[0])
    short = replace(rows[0], soft=replace(narrow, ids_NK=narrow.ids_NK[:, :2], logp_NK=narrow.logp_NK[:, :2]))
    soft = padded([rows[1], short], base.pad_id).soft
    assert soft is not None
    assert soft.ids_NK.shape == (rows[1].supervised + short.supervised, wide.ids_NK.shape[1])
    assert (soft.ids_NK[rows[1].supervised :, 2:] == -1).all()
    assert np.isneginf(soft.logp_NK[rows[1].supervised :, 2:].numpy()).all()
