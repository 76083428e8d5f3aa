"""The student that leaves is the student that was trained."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from safetensors import safe_open
from toys import make_llama, make_row, write_dataset

from finetune import runs, train
from finetune.adapters import load_adapter
from finetune.config import RunConfig, make_config, read_config
from finetune.errors import BadInput
from finetune.exporting import export
from finetune.generation import greedy
from finetune.merging import merge, published_dtype
from finetune.rendering import Renderer
from finetune.student import Base, load_base, load_student

PROMPTS = ["ask", "ask xxxx", "dev 2", "Ünïcode ✓", "a\n\nb"]


def trained(folder: Path, model: Path, method: str = "lora", **lora: Any) -> Path:
    rows = [make_row(n, prompt="ask " + "x" * n, answer=str(n)) for n in range(8)]
    dataset = folder / "data"
    if not dataset.exists():
        write_dataset(dataset, {"train": rows})
    config = {
        "model": str(model),
        "method": method,
        "lora": {"rank": 2, "alpha": 8, **lora},
        "training": {"max_steps": 3},
        "optimiser": {"learning_rate": 0.05},
        "compute": {"dtype": "float32"},
    }
    run = folder / f"run-{method}"
    train(dataset, run, make_config(config))
    return run


def config_of(run: Path) -> RunConfig:
    return read_config(run / runs.CONFIG)


def prompt_ids(base: Base) -> list[tuple[int, ...]]:
    renderer = Renderer(base.tokenizer, base.stop_ids)
    return [renderer.prompt_ids([{"role": "user", "content": text}]) for text in PROMPTS]


def same_answers(base: Base, one: Any, other: Any, *, most_off: float) -> None:
    prompts = prompt_ids(base)
    for ids in prompts:
        ids_BT = torch.tensor([ids])  # noqa: N806 - shape suffix
        with torch.inference_mode():
            torch.testing.assert_close(one(ids_BT).logits, other(ids_BT).logits, rtol=0, atol=most_off)
    renderer = Renderer(base.tokenizer, base.stop_ids)
    texts = [
        [answer.text for answer in greedy(model, base, renderer, prompts, max_new_tokens=12)] for model in (one, other)
    ]
    assert texts[0] == texts[1]


@pytest.mark.parametrize("method", ["lora", "rslora", "dora", "full"])
def test_the_merged_model_answers_as_the_student_does(method: str, tiny_folder: Path, tmp_path: Path) -> None:
    run = trained(tmp_path, tiny_folder, method)
    base, student = load_student(run, config_of(run))
    merged = merge(run, config_of(run))
    assert not any("lora" in name for name, _ in merged.model.named_parameters())
    same_answers(base, student, merged.model, most_off=2e-4)
    plain = load_base(str(tiny_folder), torch.float32).model
    name = "model.layers.0.mlp.down_proj.weight"
    assert not torch.equal(plain.state_dict()[name], merged.model.state_dict()[name])


def tied(folder: Path, dtype: torch.dtype) -> Path:
    return make_llama(folder, seed=1, dtype=dtype, tie_word_embeddings=True, initializer_range=0.3)


def test_tied_weights_stay_tied_are_saved_once_and_keep_the_published_type(tmp_path: Path) -> None:
    run = trained(tmp_path, tied(tmp_path / "tied", torch.bfloat16))
    export(run, tmp_path / "out")
    with safe_open(tmp_path / "out" / "model.safetensors", "pt") as file:
        names = set(file.keys())
        assert {file.get_tensor(name).dtype for name in names} == {torch.bfloat16}
    assert "model.embed_tokens.weight" in names
    assert "lm_head.weight" not in names
    again = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "out")
    assert again.dtype == torch.bfloat16
    assert again.lm_head.weight.data_ptr() == again.model.embed_tokens.weight.data_ptr()


def test_the_merge_is_rounded_once(tmp_path: Path) -> None:
    model = tied(tmp_path / "tied", torch.bfloat16)
    run = trained(tmp_path, model)
    exact = load_adapter(load_base(str(model), torch.float32).model, run / runs.ADAPTER).merge_and_unload()
    rounded = merge(run, config_of(run)).model.state_dict()
    for name, weight in exact.state_dict().items():
        assert torch.equal(rounded[name], weight.to(torch.bfloat16)), name


@pytest.mark.filterwarnings("ignore:Model has `tie_word_embeddings=True`")  # peft's, about this very case
def test_adapted_embeddings_leave_a_tied_head_alone(tmp_path: Path) -> None:
    model = tied(tmp_path / "tied", torch.float32)
    run = trained(tmp_path, model, targets=("embed_tokens", "q_proj"))
    base, student = load_student(run, config_of(run))
    export(run, tmp_path / "out")
    again = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "out").eval()
    same_answers(base, student, again, most_off=2e-4)


def test_a_fresh_process_without_network_loads_it_and_gives_the_same_answer(tiny_folder: Path, tmp_path: Path) -> None:
    run = trained(tmp_path, tiny_folder)
    export(run, tmp_path / "out")
    base, student = load_student(run, config_of(run))
    ids = prompt_ids(base)[1]
    ours = greedy(student, base, Renderer(base.tokenizer, base.stop_ids), [ids], max_new_tokens=12)[0].text
    code = (
        "import sys; sys.modules['peft'] = None\n"
        "from transformers import AutoModelForCausalLM as M, AutoTokenizer as T\n"
        "t, m = T.from_pretrained('out'), M.from_pretrained('out')\n"
        f"p = t.apply_chat_template([{{'role': 'user', 'content': {PROMPTS[1]!r}}}], add_generation_prompt=True, "
        "return_dict=True, return_tensors='pt')\n"
        "out = m.generate(**p, max_new_tokens=12)[0, p['input_ids'].shape[1]:]\n"
        "print(repr(t.decode(out, skip_special_tokens=True)))"
    )
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == repr(ours)


def test_generation_ends_at_every_stop_token_and_takes_the_likeliest(tiny_folder: Path, tmp_path: Path) -> None:
    model = transformers.AutoModelForCausalLM.from_pretrained(tiny_folder)
    model.generation_config.eos_token_id = [7, 1]
    model.save_pretrained(tmp_path / "base")
    transformers.AutoTokenizer.from_pretrained(tiny_folder).save_pretrained(tmp_path / "base")
    export(trained(tmp_path, tmp_path / "base"), tmp_path / "out")
    settings = json.loads((tmp_path / "out" / "generation_config.json").read_text())
    assert settings["eos_token_id"] == [1, 7]
    assert not settings.get("do_sample")
    assert (tmp_path / "out" / "chat_template.jinja").exists()


def test_no_file_names_a_place_on_this_machine(tiny_folder: Path, tmp_path: Path) -> None:
    export(trained(tmp_path, tiny_folder), tmp_path / "out")
    for path in (tmp_path / "out").iterdir():
        data = path.read_bytes()
        assert str(tmp_path).encode() not in data, path
        assert str(tiny_folder.parent).encode() not in data, path
        assert path.stat().st_mode & 0o777 == 0o644, path


def test_a_base_that_is_published_quantised_or_not_there_is_refused(tiny_folder: Path, tmp_path: Path) -> None:
    config = json.loads((tiny_folder / "config.json").read_text()) | {"quantization_config": {"quant_method": "gptq"}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(BadInput, match="published weights are quantised"):
        published_dtype(str(tmp_path))
    with pytest.raises(BadInput, match=r"base model .*gone: neither a local folder"):
        published_dtype(str(tmp_path / "gone"))


def test_weights_that_are_no_numbers_do_not_leave(tiny_folder: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    run = trained(tmp_path, tiny_folder)
    path = run / "adapter" / "adapter_model.safetensors"
    weights = load_file(path)
    name = next(name for name in weights if "lora_B" in name)
    weights[name][0, 0] = float("nan")
    save_file(weights, path, metadata={"format": "pt"})
    with pytest.raises(BadInput, match="holds NaN or infinity once merged"):
        export(run, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_the_embedded_model_s_student_answers_the_same_in_bfloat16(tmp_path: Path) -> None:
    words = ["apple", "river", "stone", "cloud", "tiger", "violin", "garden", "silver"]
    rows = [make_row(number, prompt=f"word: {word}", answer=f"[{word}]") for number, word in enumerate(words)]
    dataset = write_dataset(tmp_path / "d", {"train": rows})
    settings = {"training": {"epochs": 8}, "compute": {"dtype": "float32"}}
    run = tmp_path / "run"
    train(dataset, run, make_config(settings))
    base, student = load_student(run, config_of(run))
    done = export(run, tmp_path / "out")
    assert done.dtype == "bfloat16"
    assert done.bytes < 300e6
    again = load_base(str(tmp_path / "out"), torch.bfloat16)
    renderer = Renderer(base.tokenizer, base.stop_ids)
    prompts = [renderer.prompt_ids([{"role": "user", "content": f"word: {word}"}]) for word in words]
    ours = [answer.text for answer in greedy(student, base, renderer, prompts, max_new_tokens=12)]
    theirs = [answer.text for answer in greedy(again.model, again, renderer, prompts, max_new_tokens=12)]
    assert theirs == ours
    assert ours.count("[apple]") == 1
