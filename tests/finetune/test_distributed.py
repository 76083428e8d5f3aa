"""Two real processes over gloo, started as a user starts them, against one."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch

from finetune import runs
from finetune.distributed import World

pytestmark = pytest.mark.slow

CLOCKS = {"seconds", "tokens_per_s", "total_tokens_per_s", "memory_mb"}


def train(processes: int, *arguments: object) -> subprocess.CompletedProcess[str]:
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    command = [*(torchrun if processes > 1 else [sys.executable]), "-m", "finetune", "train", *map(str, arguments)]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2]), "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False, timeout=100)


def curve(run: Path) -> list[dict[str, Any]]:
    lines = runs.read_lines(run / runs.METRICS)
    return [{name: value for name, value in line.items() if name not in CLOCKS} for line in lines]


def student(run: Path) -> dict[str, torch.Tensor]:
    return safetensors.torch.load_file(next(run.glob("*/*model.safetensors")))


SETTINGS = ("--epochs", 2, "--dtype", "float32", "--batch-size", 2, "--grad-accum", 3, "--seed", 5)


@pytest.mark.parametrize(
    ("method", "steps", "more"),
    [
        ("lora", 8, ("--no-packing",)),
        ("full", 8, ()),
        # 22 rows in steps of 21: the last step has 1, and a process none.
        ("lora", 4, ("--batch-size", 3, "--grad-accum", 7)),
        ("full", 4, ("--batch-size", 3, "--grad-accum", 7)),
    ],
)
def test_two_processes_train_the_student_of_one(
    method: str, steps: int, more: tuple[object, ...], toy_dataset: Path, tiny_folder: Path, tmp_path: Path
) -> None:
    settings = (*SETTINGS, "--model", tiny_folder, "--method", method, "--learning-rate", 0.01, *more)
    for processes in (1, 2):
        done = train(processes, toy_dataset, "--out", tmp_path / str(processes), *settings)
        assert done.returncode == 0, done.stderr
        assert done.stdout.count("trained") == 1  # one process talks
    one, two = curve(tmp_path / "1"), curve(tmp_path / "2")
    assert len(one) == len(two) == steps + 3
    for mine, theirs in zip(one, two, strict=True):
        assert mine == pytest.approx(theirs, rel=1e-4)
    assert runs.read_facts(tmp_path / "2").processes == 2
    weights = student(tmp_path / "2")
    for name, weight in student(tmp_path / "1").items():
        torch.testing.assert_close(weights[name], weight, rtol=1e-3, atol=1e-4)


# The last one stops right after a look at dev, which leaves the shards' root whole unless it is told not to.
@pytest.mark.parametrize(("method", "more"), [("lora", ()), ("full", ()), ("full", ("--dev-every", 3))])
def test_a_run_goes_on_with_another_number_of_processes(
    method: str, more: tuple[object, ...], toy_dataset: Path, tiny_folder: Path, tmp_path: Path
) -> None:
    settings = ("--model", tiny_folder, "--method", method, "--learning-rate", 0.01, *SETTINGS, *more)
    done = train(1, toy_dataset, "--out", tmp_path / "whole", *settings)
    assert done.returncode == 0, done.stderr
    stop = tmp_path / "sitecustomize.py"
    stop.write_text(STOP_AFTER_3)
    environment = {"PYTHONPATH": f"{tmp_path}:{Path(__file__).parents[2]}", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "finetune"]
    first = subprocess.run(
        [*command, "train", str(toy_dataset), "--out", str(tmp_path / "parts"), *map(str, settings)],
        env=os.environ | environment, capture_output=True, text=True, check=False, timeout=100,
    )  # fmt: skip
    assert first.returncode != 0
    assert "stopped after step 3 of 8" in first.stderr
    rest = train(1, toy_dataset, "--out", tmp_path / "parts", *settings)
    assert rest.returncode == 0, rest.stderr
    assert "going on after step 3 of 8" in rest.stderr
    for mine, theirs in zip(curve(tmp_path / "whole"), curve(tmp_path / "parts"), strict=True):
        assert mine == pytest.approx(theirs, rel=1e-4)


# One of the two processes gets the wish to stop; both must.
STOP_AFTER_3 = """
import os, sys
if os.environ.get("RANK") == "1":
    import finetune.loop as loop
    step = loop.Loop._step
    def wishing(self, progress):
        if progress.step == 2:
            os.kill(os.getpid(), 2)
        return step(self, progress)
    loop.Loop._step = wishing
"""


def test_bad_input_is_said_by_one_process_and_ends_both(toy_dataset: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear")
    done = train(2, toy_dataset, "--out", tmp_path / "mine")
    assert done.returncode != 0
    lines = [line for line in done.stderr.splitlines() if line.startswith("finetune:")]
    assert len(lines) == 1
    assert "exists and is not a run" in lines[0]


def test_one_process_is_the_plain_case() -> None:
    world = World()
    assert world.first
    assert world.by_first(lambda: 3) == 3
    assert world.total(2.5) == 2.5
    assert world.most(1.0, 2) == [1.0, 2]
    assert [tensor.tolist() for tensor in world.gathered(torch.tensor([1]))] == [[1]]
