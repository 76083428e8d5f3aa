# ruff: noqa: N803, N806 - shape suffixes

import pytest
import torch
from torch import nn
from torch.nn import functional

from finetune import losses
from finetune.collate import padded
from finetune.losses import fused_hard, hard, supervised
from finetune.objective import Objective
from finetune.rendering import IGNORED, Renderer
from finetune.student import Base, hidden_states, output_head


def test_hard_is_minus_log_probability_of_the_label() -> None:
    z_NV = torch.tensor([[2.0, 1.0, 0.0]], dtype=torch.float64)
    expected = torch.logsumexp(z_NV, 1) - z_NV[0, 1]
    torch.testing.assert_close(hard(z_NV, torch.tensor([1])), expected, rtol=0, atol=1e-15)


def test_hard_sums_a_bfloat16_vocabulary_in_float32() -> None:
    z_NV = torch.zeros(1, 50_000, dtype=torch.bfloat16)
    assert abs(hard(z_NV, torch.tensor([7])).item() - torch.tensor(50_000.0).log().item()) < 1e-4


def test_each_position_predicts_the_next_token() -> None:
    hidden_BTD = torch.arange(2 * 4).reshape(2, 4, 1).float()
    labels_BT = torch.tensor([[IGNORED, IGNORED, 12, 13], [IGNORED, 21, IGNORED, IGNORED]])
    hidden_ND, label_N = supervised(hidden_BTD, labels_BT)
    assert label_N.tolist() == [12, 13, 21]
    assert hidden_ND.flatten().tolist() == [1.0, 2.0, 4.0]


def test_perturbing_one_position_moves_only_its_loss(base: Base, renderer: Renderer) -> None:
    example = renderer.example([{"role": "user", "content": "hello"}], "world")
    batch = padded([example], base.pad_id)
    hidden_BTD = hidden_states(base.model, batch)

    def per_token(states_BTD: torch.Tensor) -> torch.Tensor:
        states_ND, label_N = supervised(states_BTD, batch.labels_BT)
        return hard(output_head(base.model)(states_ND), label_N)

    before = per_token(hidden_BTD)
    first = example.labels.index(example.ids[len(example.ids) - example.supervised])
    for place in range(example.supervised):
        moved = hidden_BTD.clone()
        moved[0, first - 1 + place] += 1.0  # the state before token first + place
        changed = (per_token(moved) != before).nonzero().flatten().tolist()
        assert changed == [place]


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("learning_head", [False, True])
def test_the_fused_head_equals_the_plain_one_in_value_and_gradient(
    bias: bool, learning_head: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(losses, "CHUNK_LOGITS", 3 * 11)  # three positions a chunk, the last one ragged
    torch.manual_seed(0)
    head = nn.Linear(5, 11, bias=bias).double().requires_grad_(learning_head)
    label_N, found = torch.randint(11, (8,)), []
    for loss in (lambda h: fused_hard(h, head, label_N), lambda h: hard(head(h), label_N).sum()):
        hidden_ND = torch.randn(8, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(1)).requires_grad_()
        head.zero_grad()
        value = loss(hidden_ND)
        (value * 0.3).backward()
        found.append([value, hidden_ND.grad, *(weight.grad for weight in head.parameters())])
    for fused, plain in zip(*found, strict=True):
        assert (fused is None) == (plain is None)
        if plain is not None:
            torch.testing.assert_close(fused.double(), plain, rtol=1e-6, atol=1e-6)  # logits are summed in float32


def test_a_bfloat16_head_s_gradient_is_rounded_once_however_many_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    head, label_N = nn.Linear(6, 11).bfloat16(), torch.randint(3, (2000,))
    hidden_ND = (torch.randn(2000, 6) + 1).bfloat16()
    wide = nn.Linear(6, 11)
    wide.load_state_dict(head.state_dict())
    hard(wide(hidden_ND.float()), label_N).sum().backward()
    for rows in (1, 7, 2000):
        monkeypatch.setattr(losses, "CHUNK_LOGITS", rows * 11)
        head.zero_grad()
        fused_hard(hidden_ND, head, label_N).backward()
        for weight, exact in zip(head.parameters(), wide.parameters(), strict=True):
            assert weight.grad is not None
            assert exact.grad is not None
            assert weight.grad.dtype == torch.bfloat16
            off = torch.linalg.vector_norm(weight.grad.float() - exact.grad)
            assert off < 0.01 * torch.linalg.vector_norm(exact.grad)


def test_a_frozen_head_gets_no_gradient_and_no_grad_asks_for_none() -> None:
    head = nn.Linear(4, 6, bias=False)
    with torch.no_grad():
        assert fused_hard(torch.randn(2, 4), head, torch.tensor([0, 5])).requires_grad is False
    head.requires_grad_(False)
    fused_hard(torch.randn(2, 4, requires_grad=True), head, torch.tensor([0, 5])).backward()
    assert head.weight.grad is None


def test_a_head_that_is_more_than_a_linear_layer_is_run_as_it_is() -> None:
    class Doubled(nn.Linear):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return 2 * super().forward(x)

    head, hidden_ND, label_N = Doubled(4, 6), torch.randn(2, 4), torch.tensor([0, 5])
    torch.testing.assert_close(fused_hard(hidden_ND, head, label_N), hard(head(hidden_ND), label_N).sum())


@pytest.mark.parametrize("packing", [False, True])
def test_the_loss_equals_the_model_s_own(base: Base, renderer: Renderer, packing: bool) -> None:
    examples = [renderer.example([{"role": "user", "content": "q" * n}], "a" * (9 - n)) for n in (1, 4, 8)]
    batch = padded(examples, base.pad_id)
    z_BTV = base.model(input_ids=batch.input_ids_BT, attention_mask=batch.attention_mask_BT).logits
    plain = functional.cross_entropy(z_BTV[:, :-1].flatten(0, 1), batch.labels_BT[:, 1:].flatten(), reduction="sum")
    ours = Objective(base.model, base, packing=packing).loss(examples)
    torch.testing.assert_close(ours, plain, rtol=1e-6, atol=1e-5)


def test_padding_never_moves_the_loss(base: Base, renderer: Renderer) -> None:
    short = renderer.example([{"role": "user", "content": "q"}], "a")
    long = renderer.example([{"role": "user", "content": "q" * 40}], "a" * 30)
    objective = Objective(base.model, base, packing=False)
    together = objective.loss([short, long])
    torch.testing.assert_close(together, objective.loss([short]) + objective.loss([long]), rtol=1e-6, atol=1e-5)
    objective.pad_id = 17
    torch.testing.assert_close(together, objective.loss([short, long]), rtol=0, atol=0)


def test_nothing_supervised_in_a_pass_costs_nothing(base: Base) -> None:
    assert supervised(torch.zeros(1, 3, 4), torch.full((1, 3), IGNORED))[1].tolist() == []
