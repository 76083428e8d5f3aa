# ruff: noqa: N803, N806 - shape suffixes

import torch
from torch.nn import functional

from finetune.collate import collate
from finetune.loop import summed_loss
from finetune.losses import hard, supervised
from finetune.rendering import IGNORED, Renderer
from finetune.student import Base, hidden_states, logits


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
    batch = collate([example], base.pad_id)
    hidden_BTD = hidden_states(base.model, batch.input_ids_BT, batch.attention_mask_BT)

    def per_token(states_BTD: torch.Tensor) -> torch.Tensor:
        states_ND, label_N = supervised(states_BTD, batch.labels_BT)
        return hard(logits(base.model, states_ND), label_N)

    before = per_token(hidden_BTD)
    first = example.labels.index(example.ids[len(example.ids) - example.supervised])
    for place in range(example.supervised):
        moved = hidden_BTD.clone()
        moved[0, first - 1 + place] += 1.0  # the state before token first + place
        changed = (per_token(moved) != before).nonzero().flatten().tolist()
        assert changed == [place]


def test_the_loss_equals_the_model_s_own(base: Base, renderer: Renderer) -> None:
    examples = [renderer.example([{"role": "user", "content": "q" * n}], "a" * (9 - n)) for n in (1, 4, 8)]
    batch = collate(examples, base.pad_id)
    z_BTV = base.model(input_ids=batch.input_ids_BT, attention_mask=batch.attention_mask_BT).logits
    plain = functional.cross_entropy(z_BTV[:, :-1].flatten(0, 1), batch.labels_BT[:, 1:].flatten(), reduction="sum")
    torch.testing.assert_close(summed_loss(base.model, examples, base.pad_id), plain, rtol=1e-6, atol=1e-5)


def test_padding_never_moves_the_loss(base: Base, renderer: Renderer) -> None:
    short = renderer.example([{"role": "user", "content": "q"}], "a")
    long = renderer.example([{"role": "user", "content": "q" * 40}], "a" * 30)
    together = summed_loss(base.model, [short, long], base.pad_id)
    alone = summed_loss(base.model, [short], base.pad_id) + summed_loss(base.model, [long], base.pad_id)
    torch.testing.assert_close(together, alone, rtol=1e-6, atol=1e-5)
    other_pad = summed_loss(base.model, [short, long], 17)
    torch.testing.assert_close(together, other_pad, rtol=0, atol=0)
