# ruff: noqa: N806 - shape suffixes

from pathlib import Path
from typing import Any

import pytest
import torch

from finetune import lora
from finetune.adapters import add_lora
from finetune.config import Lora, Method
from finetune.objective import Objective
from finetune.rendering import Renderer
from finetune.student import Base, load_base, trainable


def make(folder: Path, *, fused: bool, method: Method = "lora", dtype: torch.dtype = torch.float32) -> tuple[Base, Any]:
    base = load_base(str(folder), dtype)
    model = add_lora(base.model, Lora(rank=3, alpha=5), seed=1, method=method)
    torch.manual_seed(7)
    with torch.no_grad():
        for weight in trainable(model).values():
            weight.add_(torch.randn_like(weight) * 0.1)  # B starts at 0, where A has no gradient
    return base, (model, lora.fuse(model) if fused else 0)


def gradients(base: Base, model: Any, *, checkpointing: bool = False) -> tuple[float, dict[str, torch.Tensor]]:
    renderer = Renderer(base.tokenizer, base.stop_ids)
    examples = [renderer.example([{"role": "user", "content": "q" * n}], "a" * (n + 1)) for n in (2, 5, 9)]
    objective = Objective(model, base, checkpointing=checkpointing).train()
    loss = objective.loss(examples)
    loss.backward()  # type: ignore[no-untyped-call]
    grads = {name: weight.grad for name, weight in trainable(model).items() if weight.grad is not None}
    return loss.item(), grads


@pytest.mark.parametrize("method", ["lora", "rslora"])
@pytest.mark.parametrize("checkpointing", [False, True])
def test_the_fused_adapter_equals_peft_s_in_loss_and_gradients(
    method: Method, checkpointing: bool, tiny_folder: Path
) -> None:
    found = []
    for fused in (True, False):
        base, (model, switched) = make(tiny_folder, fused=fused, method=method)
        assert switched == (14 if fused else 0)  # seven layers in each of two blocks
        found.append(gradients(base, model, checkpointing=checkpointing))
    assert found[0][0] == pytest.approx(found[1][0], rel=1e-5)
    assert found[0][1].keys() == found[1][1].keys()
    for name, grad in found[0][1].items():
        torch.testing.assert_close(grad, found[1][1][name], rtol=1e-3, atol=1e-5)


def test_on_bfloat16_weights_the_adapters_and_their_gradients_stay_float32(tiny_folder: Path) -> None:
    base, (model, switched) = make(tiny_folder, fused=True, dtype=torch.bfloat16)
    assert switched
    plain_base, (plain, _) = make(tiny_folder, fused=False)
    (loss, grads), (plain_loss, plain_grads) = gradients(base, model), gradients(plain_base, plain)
    assert loss == pytest.approx(plain_loss, rel=0.02)
    assert {grad.dtype for grad in grads.values()} == {torch.float32}
    flat, plain_flat = (torch.cat([grad.flatten() for grad in found.values()]) for found in (grads, plain_grads))
    assert torch.nn.functional.cosine_similarity(flat, plain_flat, dim=0) > 0.99


def test_gradients_hold_against_finite_differences() -> None:
    torch.manual_seed(0)
    x, w, bias, a, b = (torch.randn(*shape, dtype=torch.float64) for shape in ((2, 3, 4), (5, 4), (5,), (2, 4), (5, 2)))

    def layer(x: torch.Tensor, a: torch.Tensor, b: torch.Tensor) -> Any:
        return lora._LoraLinear.apply(x, w, bias, a, b, 0.7)  # type: ignore[no-untyped-call]

    assert torch.autograd.gradcheck(layer, [tensor.requires_grad_() for tensor in (x, a, b)])


def test_switched_off_adapters_give_the_base(base: Base, tiny_folder: Path) -> None:
    ids_BT = torch.tensor([[5, 6, 7]])
    plain = base.model(input_ids=ids_BT).logits
    _, (model, _) = make(tiny_folder, fused=True)
    assert not torch.allclose(model(input_ids=ids_BT).logits, plain)
    with model.disable_adapter():
        torch.testing.assert_close(model(input_ids=ids_BT).logits, plain)


def test_dora_stays_peft_s(tiny_folder: Path) -> None:
    _, (_, switched) = make(tiny_folder, fused=True, method="dora")
    assert switched == 0
