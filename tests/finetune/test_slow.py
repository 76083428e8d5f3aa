"""The real 135M model, and a real kill: minutes together, so they are marked slow."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from toys import make_row, write_dataset

from finetune import evaluate, generate, runs, train
from finetune.config import EMBEDDED, make_config
from finetune.rendering import Renderer
from finetune.student import load_base

pytestmark = pytest.mark.slow

COMMAND = "from finetune.cli import main; main()"
KILLED_AT_13 = f"""
import os, signal
from finetune import loop

record = loop.Loop._record

def die(self, progress, *rest):
    record(self, progress, *rest)
    if progress.step == 13:
        os.kill(os.getpid(), signal.SIGKILL)

loop.Loop._record = die
{COMMAND}
"""


def run_process(code: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", code, *map(str, arguments)]
    root = Path(__file__).parents[2]
    environment = os.environ | {"PYTHONPATH": str(root)}
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False)


def test_a_killed_run_goes_on_to_the_same_bits(toy_dataset: Path, tiny_folder: Path, tmp_path: Path) -> None:
    # 6 steps an epoch and a checkpoint every 10: the kill falls in the middle of an epoch and between checkpoints.
    settings = ("--model", tiny_folder, "--epochs", 4, "--learning-rate", 0.02)
    whole = run_process(COMMAND, "train", toy_dataset, "--out", tmp_path / "whole", *settings)
    assert whole.returncode == 0, whole.stderr
    killed = run_process(KILLED_AT_13, "train", toy_dataset, "--out", tmp_path / "parts", *settings)
    assert killed.returncode == -signal.SIGKILL
    assert len([line for line in runs.read_lines(tmp_path / "parts" / runs.METRICS) if "loss" in line]) == 13
    rest = run_process(COMMAND, "train", toy_dataset, "--out", tmp_path / "parts", *settings)
    assert rest.returncode == 0, rest.stderr
    assert "going on after step 10 of 24" in rest.stderr
    one, two = ((tmp_path / name / "adapter" / "adapter_model.safetensors").read_bytes() for name in ("whole", "parts"))
    assert one == two


def test_the_command_line_prints_no_warning(toy_dataset: Path, tiny_folder: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    for arguments in (
        ("train", toy_dataset, "--out", run, "--model", tiny_folder, "--max-steps", 1),
        ("evaluate", run, "--limit", 2, "--max-new-tokens", 2),
        ("generate", run, "hello", "--max-new-tokens", 2),
    ):
        done = run_process(COMMAND, *arguments)
        assert done.returncode == 0, done.stderr
        assert "warn" not in done.stderr.lower()
        assert not done.stderr.startswith("[transformers]")


def test_the_embedded_model_s_template_and_end_of_turn() -> None:
    base = load_base(EMBEDDED)
    assert base.pad_id == base.stop_ids[0] == base.tokenizer.convert_tokens_to_ids("<|im_end|>")
    renderer = Renderer(base.tokenizer, base.stop_ids)
    example = renderer.example([{"role": "user", "content": "2 + 2?"}], "4")
    assert base.tokenizer.decode(example.ids[-example.supervised :]) == "4<|im_end|>"
    assert renderer.with_instruction([{"role": "user", "content": "q"}], "Do.")[0]["role"] == "system"


def test_the_embedded_model_learns_to_answer_and_stop(tmp_path: Path) -> None:
    words = ["apple", "river", "stone", "cloud", "tiger", "violin", "garden", "silver"]
    rows = [make_row(number, prompt=f"word: {word}", answer=f"[{word}]") for number, word in enumerate(words)]
    test = [make_row(100, prompt="word: window", answer="[window]", reference="[window]")]
    dataset = write_dataset(tmp_path / "d", {"train": rows, "test": test})
    facts = train(dataset, tmp_path / "run", make_config({"training": {"epochs": 8}}))
    assert facts.train_loss is not None
    assert facts.train_loss < 0.2
    assert generate(tmp_path / "run", ["word: apple"], max_new_tokens=20) == ["[apple]"]
    arms = evaluate(tmp_path / "run")["arms"]
    assert (arms["base"]["score"], arms["student"]["score"], arms["student"]["unfinished"]) == (0.0, 1.0, 0)
