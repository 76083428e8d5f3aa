# ruff: noqa: N806 - shape suffixes

from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
import transformers

from finetune.adapters import add_lora, load_adapter, save_adapter
from finetune.config import Lora
from finetune.errors import BadInput
from finetune.student import Base, load_base, output_head, trainable


def some_logits(base: Base, model: Any) -> torch.Tensor:
    ids_BT = torch.tensor([[5, 6, 7]])
    z_BTV: torch.Tensor = model(input_ids=ids_BT, attention_mask=torch.ones_like(ids_BT)).logits
    return z_BTV


def test_adapters_sit_on_every_linear_layer_but_the_head(base: Base) -> None:
    names = trainable(add_lora(base.model, Lora(rank=2), seed=0))
    layers = {name.split(".lora_")[0].rsplit(".", 1)[1] for name in names}
    assert layers == {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"}
    assert all("lora_" in name for name in names)


def test_adapters_learn_in_float32_on_bfloat16_weights(tiny_folder: Path) -> None:
    base = load_base(str(tiny_folder), torch.bfloat16)
    model = add_lora(base.model, Lora(rank=2), seed=0)
    assert {weight.dtype for weight in trainable(model).values()} == {torch.float32}
    assert next(base.model.parameters()).dtype == torch.bfloat16


def test_targets_that_match_nothing_are_refused(base: Base) -> None:
    with pytest.raises(BadInput, match=r"lora\.targets: \('nowhere',\) match no linear layer"):
        add_lora(base.model, Lora(targets=("nowhere",)), seed=0)


def test_the_seed_makes_the_start(tiny_folder: Path) -> None:
    def first(seed: int) -> torch.Tensor:
        model = add_lora(load_base(str(tiny_folder), torch.float32).model, Lora(rank=2), seed=seed)
        return next(weight for name, weight in trainable(model).items() if "lora_A" in name)

    assert torch.equal(first(3), first(3))
    assert not torch.equal(first(3), first(4))


def test_a_saved_adapter_loads_and_can_be_switched_off(base: Base, tiny_folder: Path, tmp_path: Path) -> None:
    plain = some_logits(base, base.model)
    model = add_lora(base.model, Lora(rank=2), seed=0)
    with torch.no_grad():
        for weight in trainable(model).values():
            weight.add_(0.1)
    adapted = some_logits(base, model)
    save_adapter(model, tmp_path / "adapter")
    save_adapter(model, tmp_path / "adapter")  # an older one is replaced
    again = load_adapter(load_base(str(tiny_folder), torch.float32).model, tmp_path / "adapter")
    torch.testing.assert_close(some_logits(base, again), adapted, rtol=0, atol=0)
    assert not torch.allclose(adapted, plain)
    with again.disable_adapter():
        torch.testing.assert_close(some_logits(base, again), plain, rtol=0, atol=0)
    assert [path.name for path in tmp_path.iterdir()] == ["adapter"]


def test_a_missing_or_damaged_adapter_is_one_clear_error(base: Base, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no trained adapter"):
        load_adapter(base.model, tmp_path)
    model = add_lora(base.model, Lora(rank=2), seed=0)
    save_adapter(model, tmp_path / "adapter")
    weights = tmp_path / "adapter" / "adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-64])
    with pytest.raises(BadInput, match="adapter cannot be loaded"):
        load_adapter(model.unload(), tmp_path / "adapter")


def test_an_adapter_that_lacks_a_layer_is_refused(base: Base, tiny_folder: Path, tmp_path: Path) -> None:
    save_adapter(add_lora(base.model, Lora(rank=2), seed=0), tmp_path / "adapter")
    weights = tmp_path / "adapter" / "adapter_model.safetensors"
    tensors = safetensors.torch.load_file(weights)
    del tensors[next(iter(tensors))]
    safetensors.torch.save_file(tensors, weights)
    with pytest.raises(BadInput, match=r"adapter cannot be loaded .*missing adapter keys"):
        load_adapter(load_base(str(tiny_folder), torch.float32).model, tmp_path / "adapter")


def test_stop_tokens_are_the_tokenizer_s_and_the_model_s(tiny_folder: Path, tmp_path: Path) -> None:
    model = transformers.AutoModelForCausalLM.from_pretrained(tiny_folder)
    model.generation_config.eos_token_id = [7, 1]
    model.save_pretrained(tmp_path)
    transformers.AutoTokenizer.from_pretrained(tiny_folder).save_pretrained(tmp_path)
    assert load_base(str(tmp_path)).stop_ids == (1, 7)


def test_no_model_there_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"--model .*neither a local folder nor a loadable hub id") as caught:
        load_base(str(tmp_path))
    assert "\n" not in str(caught.value)


def test_a_head_whose_logits_are_changed_afterwards_is_refused(tmp_path: Path, tiny_folder: Path) -> None:
    tokenizer = transformers.AutoTokenizer.from_pretrained(tiny_folder)
    config = transformers.Gemma2Config(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=16,
        final_logit_softcapping=0.1,
    )
    transformers.Gemma2ForCausalLM(config).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    with pytest.raises(BadInput, match="scaled or capped"):
        load_base(str(tmp_path))


def test_the_head_takes_any_number_of_positions(base: Base) -> None:
    assert output_head(base.model)(torch.zeros(3, 32)).shape == (3, base.model.config.vocab_size)
