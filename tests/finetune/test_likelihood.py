"""What models make of held-out answers, recomputed here from whole distributions, token by token."""

# ruff: noqa: N806 - shape suffixes

import math
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from tellings import BYTES
from toys import CHATML, make_row, make_tokenizer, make_told_row, told_of, write_dataset

from finetune.adapters import load_adapter
from finetune.config import RunConfig, make_config
from finetune.data import Row, open_dataset
from finetune.errors import BadInput
from finetune.likelihood import Likelihood, Measured, likelihoods, measure, of_teacher
from finetune.rendering import Renderer
from finetune.runs import ADAPTER, WEIGHTS
from finetune.student import Base, output_head
from finetune.training import train

TEST = [
    make_told_row(1, prompt="one", answer="abcdef"),
    make_told_row(2, prompt="two", answer="ein ü"),
    make_told_row(3, prompt="cut", answer="abcab")
    | {"finish_reason": "length", "logprobs": told_of("abcab", end=None)},
    make_row(4, prompt="none", answer="no list"),
    make_told_row(5, prompt="other", answer="mine") | {"logprobs": told_of("yours")},
    make_told_row(6, prompt="cuts", answer="bcdefg") | {"logprobs": told_of("bcdefg", joined=[1, 3])},
    make_told_row(7, prompt="no end", answer="jihg") | {"logprobs": told_of("jihg", end=None)},
]


@pytest.fixture
def rows(tmp_path: Path) -> list[Row]:
    return open_dataset(dataset(tmp_path)).split("test")


def dataset(folder: Path) -> Path:
    train_rows = [make_row(100 + n, prompt=f"p{n}", answer=f"{n}") for n in range(4)]
    return write_dataset(folder / "data", {"train": train_rows, "test": TEST})


def trained(folder: Path, tiny_folder: Path, method: str) -> RunConfig:
    """A run whose student says other things than its base."""
    settings = {"optimiser": {"learning_rate": 0.05 if method == "lora" else 0.01}, "training": {"epochs": 2}}
    settings |= {"method": method, "compute": {"dtype": "float32"}, "batching": {"batch_size": 3}}
    config = make_config({"model": str(tiny_folder)} | settings)
    train(dataset(folder), folder / "run", config)
    return config


def plain_models(folder: Path, tiny_folder: Path, method: str) -> dict[str, Any]:
    """Base and student without anything of what is tested."""

    def load(path: Path) -> Any:
        return transformers.AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32).eval()

    if method == "full":
        return {"base": load(tiny_folder), "student": load(folder / "run" / WEIGHTS)}
    return {
        "base": load(tiny_folder),
        "student": load_adapter(load(tiny_folder), folder / "run" / ADAPTER),
    }


@torch.inference_mode()
def log_q(model: Any, row: dict[str, Any], *, ended: bool) -> list[tuple[int, list[float]]]:
    """Each token of an answer, and the logarithms of the whole distribution at its place."""
    tokenizer = make_tokenizer(CHATML)
    asked, said = row["messages"][0]["content"], row["messages"][1]["content"]
    prompt = tokenizer.encode(f"<|im_start|>user\n{asked}<|im_end|>\n<|im_start|>assistant\n")
    answer = tokenizer.encode(said) + [tokenizer.eos_token_id] * ended
    z_TV = model(input_ids=torch.tensor([prompt + answer])).logits[0].double()
    return [(token, z_TV[len(prompt) + at - 1].log_softmax(0).tolist()) for at, token in enumerate(answer)]


def listed(row: dict[str, Any], places: list[tuple[int, list[float]]]) -> tuple[float, float]:
    """Mean divergence from the lists, and share of places with the same likeliest token, by the formulas."""
    nats, alike = [], []
    for told, (_, logs) in zip(row["logprobs"], places, strict=False):
        top = {
            BYTES.by_bytes[piece or b"<|im_end|>"]: p
            for piece, p in zip(told["top"]["bytes"], told["top"]["logprob"], strict=True)
        }
        rest, left = 1 - sum(map(math.exp, top.values())), 1 - sum(math.exp(logs[token]) for token in top)
        inside = sum(math.exp(p) * (p - logs[token]) for token, p in top.items())
        nats.append(inside + rest * math.log(rest / left))
        alike.append(max(top, key=top.__getitem__) == logs.index(max(logs)))
    return sum(nats) / len(nats), sum(alike) / len(alike)


@pytest.mark.parametrize("method", ["lora", "full"])
def test_base_and_student_are_measured_as_by_whole_distributions(
    method: str, tmp_path: Path, tiny_folder: Path
) -> None:
    config = trained(tmp_path, tiny_folder, method)
    data = open_dataset(tmp_path / "data")
    found, left_out = measure(tmp_path / "run", config, data.split("test"), data.notes)
    assert left_out == {}
    assert [(one.row_id, one.seed_id) for one in found] == [(row["row_id"], row["seed_id"]) for row in TEST]
    assert [one.size for one in found] == [len(row["messages"][1]["content"].encode()) for row in TEST]
    models = plain_models(tmp_path, tiny_folder, method)
    for row, measured in zip(TEST, found, strict=True):
        ended = row["finish_reason"] != "length"
        for name, model in models.items():
            mine, places = measured.models[name], log_q(model, row, ended=ended)
            nats = [-logs[token] for token, logs in places]
            assert mine.total == pytest.approx(sum(nats), abs=1e-4)
            assert mine.tokens == len(nats)
            assert mine.end_nats == (pytest.approx(nats[-1], abs=1e-4) if ended else None)
            if row["seed_id"] in {"seed1", "seed2", "seed3", "seed7"}:
                divergence, agreement = listed(row, places)
                assert mine.divergence == pytest.approx(divergence, abs=1e-4)
                assert mine.agreement == agreement
            else:
                assert mine.divergence is mine.agreement is None
    assert all(one.models["base"] != one.models["student"] for one in found)


def test_the_teacher_s_own_is_that_of_what_it_sampled(rows: list[Row]) -> None:
    for row, told in zip(rows, TEST, strict=True):
        mine = of_teacher(row)
        if told["seed_id"] in {"seed4", "seed5"}:  # nothing, and of another text
            assert mine is None
            continue
        logprobs = [token["logprob"] for token in told["logprobs"]]
        ended = told["logprobs"][-1]["bytes"] == b""
        assert mine == Likelihood(
            pytest.approx(-sum(logprobs[:-1] if ended else logprobs), rel=1e-5),
            pytest.approx(-logprobs[-1], rel=1e-5) if ended else None,
            len(logprobs),
        )


@pytest.mark.parametrize("logprob", [-9999.0, -10000.0])
def test_a_token_whose_likelihood_the_api_did_not_give_leaves_the_teacher_s_unknown(
    logprob: float, tmp_path: Path
) -> None:
    told = told_of("abc")
    told[1] |= {"logprob": logprob}
    data = write_dataset(tmp_path / "d", {"test": [make_told_row(1, answer="abc") | {"logprobs": told}]})
    assert of_teacher(open_dataset(data).split("test")[0]) is None


def test_white_space_that_was_stripped_leaves_the_teacher_s_unknown(tmp_path: Path) -> None:
    data = write_dataset(tmp_path / "d", {"test": [make_told_row(1, answer="abc") | {"logprobs": told_of("abc\n")}]})
    assert of_teacher(open_dataset(data).split("test")[0]) is None


def test_rows_of_a_pass_do_not_feel_each_other(rows: list[Row], base: Base) -> None:
    renderer = Renderer(base.tokenizer, base.stop_ids)
    examples = renderer.rows(rows, 500).examples
    together, alone = (
        likelihoods(base.model, base, examples, batch_size=size, label="") for size in (len(examples), 1)
    )
    for one, other in zip(together, alone, strict=True):
        assert (one.nats, one.end_nats) == (
            pytest.approx(other.nats, rel=1e-5),
            pytest.approx(other.end_nats, rel=1e-4),
        )


def test_the_logits_of_all_tokens_never_exist_at_once(
    rows: list[Row], base: Base, monkeypatch: pytest.MonkeyPatch
) -> None:
    examples = Renderer(base.tokenizer, base.stop_ids).rows(rows, 500).examples
    whole = likelihoods(base.model, base, examples, batch_size=7, label="")
    most: list[int] = []
    output_head(base.model).register_forward_hook(lambda _, __, out: most.append(out.numel()))
    monkeypatch.setattr(sys.modules["finetune.losses.fused"], "CHUNK_LOGITS", 3 * len(base.tokenizer))
    chunked = likelihoods(base.model, base, examples, batch_size=7, label="")
    assert max(most) == 3 * len(base.tokenizer)
    assert [one.total for one in chunked] == pytest.approx([one.total for one in whole], rel=1e-6)


def test_likelihoods_that_are_no_numbers_are_refused(rows: list[Row], base: Base) -> None:
    output_head(base.model).weight.data[5] = math.nan
    examples = Renderer(base.tokenizer, base.stop_ids).rows(rows, 500).examples
    with pytest.raises(BadInput, match="student: the likelihood of an answer is no finite number"):
        likelihoods(base.model, base, examples, batch_size=7, label="student")


def test_rows_that_the_context_does_not_hold_are_left_out_and_counted(tmp_path: Path, tiny_folder: Path) -> None:
    config = trained(tmp_path, tiny_folder, "lora")
    rows = [make_row(1, answer="a" * 600), make_row(2, answer=""), make_row(3, answer="a" * 300)]
    data = open_dataset(write_dataset(tmp_path / "long", {"test": rows}))
    found, left_out = measure(tmp_path / "run", config, data.split("test"), data.notes)
    assert [one.seed_id for one in found] == ["seed3"]
    assert left_out == {"longer than 512 tokens": 1, "empty answer": 1}
    assert isinstance(found[0], Measured)
