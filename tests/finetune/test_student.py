# ruff: noqa: N806 - shape suffixes

from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
import transformers
from toys import make_llama, make_tokenizer

from finetune.adapters import add_lora, load_adapter, save_adapter
from finetune.config import Lora, make_config
from finetune.errors import BadInput
from finetune.student import Base, load_base, load_student, output_head, save_weights, trainable


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
    with pytest.raises(BadInput, match=r"--model .*: cannot be loaded \(.*\); get its files again") as caught:
        load_base(str(tmp_path))
    assert "\n" not in str(caught.value)


def without(folder: Path, name: str, **other: torch.Tensor) -> None:
    path = folder / "model.safetensors"
    tensors = safetensors.torch.load_file(path)
    del tensors[name]
    safetensors.torch.save_file(tensors | other, path, metadata={"format": "pt"})


UP, NORM = "model.layers.0.mlp.up_proj.weight", "model.norm.weight"


@pytest.mark.parametrize(
    ("name", "other", "problem"),
    [
        (UP, {}, rf"lack 1 of the model's weights \({UP}\)"),
        ("model.embed_tokens.weight", {}, r"lack 2 of the model's weights \(lm_head\.weight, model\.embed_tokens"),
        (NORM, {NORM: torch.zeros(5)}, rf"another shape than its config\.json says \({NORM} is \(5,\), not \(32,\)\)"),
    ],
)
def test_weights_that_are_missing_or_misshaped_are_one_line(
    name: str, other: dict[str, torch.Tensor], problem: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    make_llama(tmp_path, tie_word_embeddings=True)
    capfd.readouterr()
    load_base(str(tmp_path))  # a head that shares its weights is not missing
    assert capfd.readouterr().err == ""
    without(tmp_path, name, **other)
    with pytest.raises(BadInput, match=problem) as caught:
        load_base(str(tmp_path))
    assert "\n" not in str(caught.value)
    assert capfd.readouterr().err == ""


def test_tensors_that_the_model_has_no_place_for_are_said(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    make_llama(tmp_path)
    capfd.readouterr()
    bias = "model.layers.0.self_attn.q_proj.bias"
    without(tmp_path, NORM, **{NORM: torch.ones(32), bias: torch.zeros(32)})
    load_base(str(tmp_path))
    assert f"1 tensors of its files have no place in the model: {bias}\n" in capfd.readouterr().err


def test_a_student_s_own_weights_are_all_there_or_refused(tmp_path: Path) -> None:
    config = make_config({"method": "full"})
    make_llama(tmp_path / "weights")
    load_student(tmp_path, config)
    without(tmp_path / "weights", UP)
    with pytest.raises(BadInput, match=rf"weights: its files lack 1 of the model's weights \({UP}\)"):
        load_student(tmp_path, config)


def test_tied_weights_are_written_once_though_their_shards_were_gathered_apart(tmp_path: Path) -> None:
    base = load_base(str(make_llama(tmp_path / "base", tie_word_embeddings=True)))
    save_weights(base, {name: weight.clone() for name, weight in base.model.state_dict().items()}, tmp_path / "saved")
    written = safetensors.torch.load_file(tmp_path / "saved" / "model.safetensors")
    assert "lm_head.weight" not in written
    again = load_base(str(tmp_path / "saved"))
    torch.testing.assert_close(some_logits(again, again.model), some_logits(base, base.model), rtol=0, atol=0)


def test_an_architecture_without_hidden_states_of_its_own_is_refused(tmp_path: Path) -> None:
    make_tokenizer().save_pretrained(tmp_path)
    config = transformers.Llama4TextConfig(
        vocab_size=258,
        hidden_size=32,
        intermediate_size=64,
        intermediate_size_mlp=64,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=16,
        num_local_experts=1,
    )
    transformers.Llama4ForCausalLM(config).save_pretrained(tmp_path)
    with pytest.raises(BadInput, match="Llama4ForCausalLM gives no hidden states apart from its head; not supported"):
        load_base(str(tmp_path))


def test_a_run_is_no_base(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text("{}")
    with pytest.raises(BadInput, match=r"--model .* is a run, not a model; run `finetune export .* OUT` first"):
        load_base(str(tmp_path))


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
