"""Two GPUs train the student of one."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from finetune import runs

ROOT = Path(__file__).parents[2]
PROCESSES = 2

pytestmark = pytest.mark.skipif(torch.cuda.device_count() < PROCESSES, reason="needs two CUDA GPUs")


def train(processes: int, words: Path, out: Path, method: str) -> list[float]:
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    settings = ["--method", method, "--max-steps", "10", "--epochs", "10", "--dtype", "float32"]
    done = subprocess.run(
        [*torchrun, "-m", "finetune", "train", str(words), "--out", str(out), *settings],
        capture_output=True, text=True, env=os.environ | {"PYTHONPATH": str(ROOT)}, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert runs.read_facts(out).processes == processes
    return [line["loss"] for line in runs.read_lines(out / runs.METRICS) if "loss" in line]


@pytest.mark.parametrize("method", ["lora", "full"])
def test_two_processes_write_the_losses_of_one(method: str, words: Path, tmp_path: Path) -> None:
    one, two = (train(count, words, tmp_path / str(count), method) for count in (1, PROCESSES))
    assert two == pytest.approx(one, rel=1e-2)
