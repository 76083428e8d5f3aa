"""The real 135M model learns on a GPU as it does on a CPU."""

from contextlib import nullcontext
from pathlib import Path

import pytest
import safetensors.torch
import torch
from configs import config

from finetune import evaluate, runs, train
from finetune.config import EMBEDDED
from finetune.errors import Stopped
from finetune.objective import Objective
from finetune.rendering import Renderer
from finetune.student import load_base

MODEL_MB = 135e6 * 2 / 1e6
"""The weights alone, in bfloat16."""


def losses(run: Path) -> list[float]:
    return [line["loss"] for line in runs.read_lines(run / runs.METRICS) if "loss" in line]


def falls(run: Path) -> bool:
    found = losses(run)
    return sum(found[-3:]) < 0.5 * sum(found[:3])


def test_20_steps_in_bfloat16_make_the_loss_fall(trained: Path) -> None:
    facts = runs.read_facts(trained)
    assert (facts.device, facts.dtype, facts.steps, facts.packed) == ("cuda", "bfloat16", 20, True)
    assert falls(trained)


def test_peak_memory_is_what_torch_allocated(trained: Path) -> None:
    peaks = [line["memory_mb"] for line in runs.read_lines(trained / runs.METRICS) if "loss" in line]
    assert len(peaks) == 20
    assert peaks == sorted(peaks)
    assert peaks[0] > MODEL_MB
    assert peaks[-1] <= torch.cuda.max_memory_allocated() / 1e6


def test_evaluate_runs_on_it(trained: Path) -> None:
    report = evaluate(trained)
    assert {"base", "teacher", "student"} <= set(report["arms"])
    assert report["arms"]["teacher"]["score"] == 1.0
    assert report["arms"]["student"]["score"] > report["arms"]["base"]["score"]
    assert (trained / "report.html").exists()


@pytest.mark.parametrize("method", ["dora", "full"])
def test_other_methods_learn(method: str, words: Path, tmp_path: Path) -> None:
    train(words, tmp_path / "run", config(method))
    found = losses(tmp_path / "run")
    assert found[-1] < 0.8 * found[0]


def test_a_base_in_4_bits_learns(words: Path, tmp_path: Path) -> None:
    pytest.importorskip("bitsandbytes", reason="bitsandbytes is not installed: pip install -e '.[qlora]'")
    train(words, tmp_path / "run", config("qlora"))
    assert falls(tmp_path / "run")


def test_stopping_and_going_on_equals_going_through(
    words: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # In float32: attention's backward pass adds up in no fixed order here, so not to the bit.
    settings = config(steps=10, dtype="float32")
    train(words, tmp_path / "whole", settings)
    wishes = iter([False] * 4 + [True])
    with monkeypatch.context() as patch:
        patch.setattr("finetune.training.stop_on_signals", lambda: nullcontext(lambda: next(wishes)))
        with pytest.raises(Stopped, match="stopped after step 5 of 10"):
            train(words, tmp_path / "parts", settings)
    train(words, tmp_path / "parts", settings)
    assert losses(tmp_path / "parts") == pytest.approx(losses(tmp_path / "whole"), rel=1e-3)
    whole, parts = (
        safetensors.torch.load_file(tmp_path / name / runs.ADAPTER / "adapter_model.safetensors")
        for name in ("whole", "parts")
    )
    for name, weight in whole.items():
        torch.testing.assert_close(parts[name], weight, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(("dtype", "most"), [(torch.float32, 1e-4), (torch.bfloat16, 2e-2)])
def test_the_packed_loss_is_the_padded_one(dtype: torch.dtype, most: float) -> None:
    base = load_base(EMBEDDED, dtype)
    renderer = Renderer(base.tokenizer, base.stop_ids)
    rows = [
        renderer.example([{"role": "user", "content": "Count. " * (1 + 5 * number)}], "one two three " * (3 - number))
        for number in range(3)
    ]
    with torch.no_grad():
        padded = Objective(base.model, base, packing=False).loss(rows)
        packing = Objective(base.model, base, packing=True)
        packed = packing.loss(rows)
    assert packing.packing
    assert packed.item() == pytest.approx(padded.item(), rel=most)
