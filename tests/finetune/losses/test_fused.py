"""The head fused with a loss = the loss of the head's logits, in value and gradient, chunk by chunk."""

# ruff: noqa: N803, N806 - shape suffixes

import importlib
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode

from finetune.collate import padded
from finetune.losses import (
    bucket,
    bucket_sampled,
    fused,
    fused_bucket,
    fused_bucket_sampled,
    fused_hard,
    fused_sum,
    fused_tempered,
    fused_topk_renormalised,
    hard,
    supervised,
    tempered,
    topk_renormalised,
)
from finetune.losses.coefficients import of_bucket_sampled, of_hard
from finetune.objective import Objective
from finetune.rendering import IGNORED, Renderer
from finetune.student import Base, hidden_states, output_head

fused_module = importlib.import_module("finetune.losses.fused")  # its name is a function's, too
FORMS: dict[str, Any] = {"hard": of_hard, "bucket_sampled": of_bucket_sampled}


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
        none_NK = torch.zeros(len(label_N), 0, dtype=torch.long)
        return hard(output_head(base.model)(states_ND), none_NK, none_NK, label_N)

    before = per_token(hidden_BTD)
    first = example.labels.index(example.ids[len(example.ids) - example.supervised])
    for place in range(example.supervised):
        moved = hidden_BTD.clone()
        moved[0, first - 1 + place] += 1.0  # the state before token first + place
        changed = (per_token(moved) != before).nonzero().flatten().tolist()
        assert changed == [place]


PAIRS: dict[str, tuple[Any, Any]] = {
    "hard": (fused_hard, hard),
    "topk_renormalised": (fused_topk_renormalised, topk_renormalised),
    "bucket": (fused_bucket, bucket),
    "bucket_sampled": (fused_bucket_sampled, bucket_sampled),
    "half_a_tail": (partial(fused_bucket_sampled, tail_weight=0.5), partial(bucket_sampled, tail_weight=0.5)),
    "tempered": (partial(fused_tempered, temperature=3.0), partial(tempered, temperature=3.0)),
}
POSITIONS, VOCABULARY = 8, 11


def targets(k: int = 4, vocabulary: int = VOCABULARY, positions: int = POSITIONS) -> tuple[Tensor, Tensor, Tensor]:
    """Lists of up to k tokens, one of them empty and one whole; labels within and without."""
    torch.manual_seed(3)
    logp_NK, ids_NK = torch.randn(positions, vocabulary).mul(2).log_softmax(1).topk(k)
    ids_NK[1, 2:], logp_NK[1, 2:] = -1, -torch.inf
    ids_NK[2], logp_NK[2] = -1, -torch.inf
    return ids_NK, logp_NK, torch.randint(vocabulary, (positions,))


@pytest.fixture
def ragged_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three positions a chunk, the last one ragged."""
    monkeypatch.setattr(fused_module, "CHUNK_LOGITS", 3 * VOCABULARY)


@pytest.mark.usefixtures("ragged_chunks")
@pytest.mark.parametrize("name", PAIRS)
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("learning_head", [False, True])
@pytest.mark.parametrize("asked", ["sum", "each"])
def test_the_fused_head_equals_the_plain_one_in_value_and_gradient(
    name: str, bias: bool, learning_head: bool, asked: str
) -> None:
    torch.manual_seed(0)
    head = nn.Linear(5, VOCABULARY, bias=bias).double().requires_grad_(learning_head)
    given, found = targets(), []
    share_N = torch.full((POSITIONS,), 0.3) if asked == "sum" else torch.rand(POSITIONS)
    for loss in (lambda h: PAIRS[name][0](h, head, *given), lambda h: PAIRS[name][1](head(h), *given)):
        hidden_ND = torch.randn(8, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(1)).requires_grad_()
        head.zero_grad()
        loss_N = loss(hidden_ND)
        (loss_N * share_N).sum().backward()
        found.append([loss_N, hidden_ND.grad, *(weight.grad for weight in head.parameters())])
    same(*found)


@pytest.mark.usefixtures("ragged_chunks")
@pytest.mark.parametrize("name", ["hard", "bucket_sampled"])
@pytest.mark.parametrize("learning_head", [False, True])
def test_the_sum_is_that_of_all_positions_in_value_and_gradient(name: str, learning_head: bool) -> None:
    torch.manual_seed(0)
    head = nn.Linear(5, VOCABULARY).double().requires_grad_(learning_head)
    form, found = FORMS[name](*targets(), VOCABULARY), []
    for loss in (lambda h: fused_sum(h, head, form), lambda h: fused(h, head, form).sum()):
        hidden_ND = torch.randn(8, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(1)).requires_grad_()
        head.zero_grad()
        value = loss(hidden_ND)
        (value * 0.3).backward()
        found.append([value, hidden_ND.grad, *(weight.grad for weight in head.parameters())])
    same(*found)


@pytest.mark.parametrize("learning_head", [False, True])
def test_each_position_s_gradient_is_computed_in_the_type_of_its_logits(learning_head: bool) -> None:
    torch.manual_seed(0)
    head = nn.Linear(64, VOCABULARY, bias=False).requires_grad_(learning_head)
    given, found, seen = targets(), [], set[torch.dtype]()

    class Watch(TorchDispatchMode):
        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            if func is torch.ops.aten.mm.default:
                seen.add(args[0].dtype)
            return func(*args, **(kwargs or {}))

    for loss in (fused_sum, lambda *of: fused(*of).sum()):
        hidden_ND = torch.randn(8, 64, generator=torch.Generator().manual_seed(1)).requires_grad_()
        head.zero_grad()
        with Watch():
            with torch.autocast("cpu", dtype=torch.bfloat16):
                value = loss(hidden_ND, head, of_bucket_sampled(*given, VOCABULARY))
            value.backward()
        found.append([value.detach(), hidden_ND.grad])
    assert seen == {torch.bfloat16}
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other)


def same(ours: list[Tensor | None], plain: list[Tensor | None]) -> None:
    for fused_one, plain_one in zip(ours, plain, strict=True):
        assert (fused_one is None) == (plain_one is None)
        if plain_one is not None:
            torch.testing.assert_close(fused_one, plain_one, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", PAIRS)
@pytest.mark.parametrize("vocabulary", [50, 5000])
def test_in_float32_they_differ_by_less_than_1e_5(name: str, vocabulary: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fused_module, "CHUNK_LOGITS", 7 * vocabulary)
    torch.manual_seed(0)
    head, hidden_ND = nn.Linear(16, vocabulary), torch.randn(32, 16)
    given = targets(20, vocabulary, 32)
    ours, plain = PAIRS[name][0](hidden_ND, head, *given), PAIRS[name][1](head(hidden_ND), *given)
    torch.testing.assert_close(ours, plain, rtol=1e-5, atol=1e-5)


@pytest.mark.usefixtures("ragged_chunks")
@pytest.mark.parametrize("name", PAIRS)
@pytest.mark.parametrize("size", [30.0, 1e3, 1e4])
def test_a_student_that_is_certain_has_the_numbers_of_the_plain_loss(name: str, size: float) -> None:
    """What is outside the list may be too unlikely for a float32."""
    torch.manual_seed(0)
    head, found = nn.Linear(5, VOCABULARY).requires_grad_(False), []
    ids_NK, logp_NK, label_N = targets()
    likely_ND = torch.randn(POSITIONS, 5)
    for loss in (lambda h: PAIRS[name][0](h, head, ids_NK, logp_NK, label_N), None):
        hidden_ND = (likely_ND * size).requires_grad_()
        loss_N = loss(hidden_ND) if loss else PAIRS[name][1](head(hidden_ND), ids_NK, logp_NK, label_N)
        loss_N.sum().backward()
        assert hidden_ND.grad is not None
        found.append((loss_N.detach(), hidden_ND.grad))
    for ours, plain in zip(*found, strict=True):
        assert ours.isfinite().all()
        torch.testing.assert_close(ours, plain, rtol=1e-4, atol=1e-4)


def test_a_bfloat16_head_s_gradient_is_rounded_once_however_many_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    head, label_N = nn.Linear(6, 11).bfloat16(), torch.randint(3, (2000,))
    none_NK = torch.zeros(2000, 0, dtype=torch.long)
    form = of_hard(none_NK, none_NK, label_N, 11)
    hidden_ND = (torch.randn(2000, 6) + 1).bfloat16()
    wide = nn.Linear(6, 11)
    wide.load_state_dict(head.state_dict())
    hard(wide(hidden_ND.float()), none_NK, none_NK, label_N).sum().backward()
    for rows in (1, 7, 2000):
        monkeypatch.setattr(fused_module, "CHUNK_LOGITS", rows * 11)
        for loss in (fused_sum, lambda *given: fused(*given).sum()):
            head.zero_grad()
            loss(hidden_ND, head, form).backward()
            for weight, exact in zip(head.parameters(), wide.parameters(), strict=True):
                assert weight.grad is not None
                assert exact.grad is not None
                assert weight.grad.dtype == torch.bfloat16
                off = torch.linalg.vector_norm(weight.grad.float() - exact.grad)
                assert off < 0.01 * torch.linalg.vector_norm(exact.grad)


@pytest.mark.parametrize("name", PAIRS)
def test_a_frozen_head_gets_no_gradient_and_no_grad_asks_for_none(name: str) -> None:
    head = nn.Linear(4, VOCABULARY, bias=False)
    with torch.no_grad():
        assert PAIRS[name][0](torch.randn(8, 4), head, *targets()).requires_grad is False
    head.requires_grad_(False)
    PAIRS[name][0](torch.randn(8, 4, requires_grad=True), head, *targets()).sum().backward()
    assert head.weight.grad is None


@pytest.mark.usefixtures("ragged_chunks")
@pytest.mark.parametrize("name", PAIRS)
def test_a_head_that_is_more_than_a_linear_layer_is_run_as_it_is(name: str) -> None:
    class Adapted(nn.Linear):
        def __init__(self) -> None:
            super().__init__(4, VOCABULARY)
            self.a, self.b = nn.Linear(4, 2, bias=False), nn.Linear(2, VOCABULARY, bias=False)

        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x) + self.b(self.a(x))

    torch.manual_seed(0)
    head, hidden_ND, found = Adapted(), torch.randn(8, 4), []
    for loss in (
        lambda: PAIRS[name][0](hidden_ND, head, *targets()),
        lambda: PAIRS[name][1](head(hidden_ND), *targets()),
    ):
        head.zero_grad()
        loss_N = loss()
        loss_N.sum().backward()
        found.append([loss_N, *(weight.grad for weight in head.parameters())])
    for ours, plain in zip(*found, strict=True):
        torch.testing.assert_close(ours, plain, rtol=1e-5, atol=1e-5)


def test_the_logits_of_all_positions_never_exist_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fused_module, "CHUNK_LOGITS", 2**16)
    head = nn.Linear(8, 4096, bias=False).requires_grad_(False)
    hidden_ND = torch.randn(512, 8, requires_grad=True)
    sizes: list[int] = []

    class Watch(TorchDispatchMode):
        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            out = func(*args, **(kwargs or {}))
            sizes.extend(one.numel() for one in (out if isinstance(out, tuple) else (out,)) if isinstance(one, Tensor))
            return out

    given = targets(20, 4096, 512)
    with Watch():
        fused_bucket_sampled(hidden_ND, head, *given).sum().backward()
    assert max(sizes) <= 2**16


def test_a_compiler_lets_the_fused_head_pass() -> None:
    head, hidden_ND, given = nn.Linear(5, VOCABULARY).requires_grad_(False), torch.randn(8, 5), targets()
    compiled = torch.compile(fused_bucket_sampled, backend="aot_eager")
    torch.testing.assert_close(compiled(hidden_ND, head, *given), fused_bucket_sampled(hidden_ND, head, *given))


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
