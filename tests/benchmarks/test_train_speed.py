"""The comparison with TRL at a tiny size: both sides get the same rows, and the ratios are what they say."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.timeout(300)  # each side is a process of its own, which takes long on a busy machine

ROOT = Path(__file__).parents[2]
BENCHMARKS = ROOT / "benchmarks"
SIZES = {"rows": 9, "rows-per-step": 3, "longest": 60, "max-length": 512, "rank": 2}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny random Llama that reads bytes."""
    sys.path.insert(0, str(ROOT / "tests" / "finetune"))
    import toys

    return toys.make_llama(tmp_path_factory.mktemp("tiny"), num_hidden_layers=2)


def lines_of(script: str, *options: object) -> list[dict[str, Any]]:
    environ = {**os.environ, "HARVESTER_BENCH_RESULTS": "", "HARVESTER_BENCH_TRL": "", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(BENCHMARKS / script), *map(str, options)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environ)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def flags(**more: object) -> list[object]:
    return [part for name, value in (SIZES | more).items() for part in (f"--{name}", value)]


@pytest.mark.slow
def test_it_runs_without_trl(model: Path) -> None:
    options = ("--batch-size", 2, "--steps", 3, "--warm-up", 1, "--repeat", 1, "--longest", 60)
    line = lines_of("train_speed.py", "--model", model, *options, "--packing", "none,flat", "--checkpointing", "off")[
        -1
    ]
    assert [row["packing"] for row in line["rows"]] == ["none", "flat"]
    assert all(row["ours_tok_per_s"] > 0 and row["ours_peak_mb"] > 0 for row in line["rows"])
    assert all(row["trl_tok_per_s"] is None for row in line["rows"])


@pytest.mark.slow
def test_the_peer_gets_the_rows_of_each_step_in_order(model: Path, tmp_path: Path) -> None:
    (told,) = lines_of("train_rows.py", tmp_path, *flags(model=model))
    fields = {
        "model": str(model),
        "batching": {"batch_size": SIZES["rows-per-step"], "max_length": SIZES["max-length"]},
        "training": {"epochs": 1},
    }
    ours = lines_of("train_ours.py", tmp_path / "dataset", tmp_path / "run", json.dumps(fields))[-1]
    rows = [json.loads(line) for line in (tmp_path / "ids.jsonl").read_text(encoding="utf-8").splitlines()]
    supervised = [sum(label != -100 for label in row["labels"]) for row in rows]
    assert told["model"] == str(model)
    assert (tmp_path / "adapter" / "adapter_model.safetensors").exists()
    assert len(set(supervised)) > 3
    assert ours["tokens"] == [sum(supervised[start : start + 3]) for start in (0, 3, 6)]
    assert len(ours["seconds"]) == len(ours["cpu_s"]) == 3


def test_ratios_are_of_the_counted_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import train_speed

    ours = {"tokens": [9, 60, 60], "seconds": [99, 1, 1], "cpu_s": [99, 2, 2], "losses": [3, 2, 1.5], "peak_mb": 80}
    trl = {"tokens": [9, 60, 60], "seconds": [1, 2, 2], "cpu_s": [1, 3, 3], "losses": [3, 2, 1], "peak_mb": 100}
    case = {"dtype": "float32", "packing": "none", "checkpointing": False}
    row = train_speed.make_row(case, {"ours": [ours], "trl": [trl]}, 1)
    assert (row["ratio_tok_per_s"], row["ratio_tok_per_cpu_s"], row["ratio_peak_mb"]) == (2, 1.5, 0.8)
    assert row["off_by"] == 0.5
    assert row["met"]
    assert not train_speed.make_row(case, {"ours": [ours | {"peak_mb": 95}], "trl": [trl]}, 1)["met"]
