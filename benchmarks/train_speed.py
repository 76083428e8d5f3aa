"""What a training step costs Harvester beside TRL's SFTTrainer: same model, adapter, rows, order and learning rate.

Each side runs in a process of its own, one after the other, again and again, and the ratio of each pair counts. A step
is timed from its first forward pass to the optimiser's end; the first steps (warming up) are left out. TRL runs where
HARVESTER_BENCH_TRL names the Python of an environment that has it.

Packed: Harvester lays the rows of a step end to end. TRL does that with the same rows (`flat`), or it packs rows over
the steps in its own way (`bfd`: best-fit decreasing into rows of the greatest length, half as many a step, which are
about as many tokens); there the steps hold other rows, so the losses are not compared.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

from measuring import HERE, report, run_measured, table
from peers import installed

LEAST_SPEED, MOST_MEMORY = 1.2, 0.9  # of TRL's supervised tokens per second and peak memory
RANK, LEARNING_RATE, CLIP_NORM = 16, 1e-3, 1.0
PASSIVE = {"OMP_WAIT_POLICY": "PASSIVE", "TOKENIZERS_PARALLELISM": "false"}
"""As `finetune` sets it; for both sides, or the CPU time of threads that only wait would count."""


def prepare(options: argparse.Namespace, folder: Path) -> dict[str, str]:
    """The rows, the adapter's start, and where the model lies."""
    chosen = {
        "rows": options.steps * options.batch_size, "rows-per-step": options.batch_size, "longest": options.longest,
        "max-length": options.max_length, "rank": RANK, "model": options.model,
    }  # fmt: skip
    flags = [str(part) for name, value in chosen.items() for part in (f"--{name}", value)]
    command = [sys.executable, str(HERE / "train_rows.py"), str(folder), *flags]
    return last_line(run_measured(command, environ=PASSIVE).output)


def last_line(output: str) -> dict[str, Any]:
    """A child's result: the last JSON object that it printed."""
    found = [line for line in output.splitlines() if line.startswith("{")]
    return dict(json.loads(found[-1]))


def ours(options: argparse.Namespace, folder: Path, case: Mapping[str, Any]) -> dict[str, Any]:
    """`finetune.train` on the dataset."""
    fields = {
        "model": options.model,
        "lora": {"rank": RANK, "alpha": 2 * RANK},
        "batching": {
            "batch_size": options.batch_size, "max_length": options.max_length, "packing": case["packing"] != "none",
        },
        "optimiser": {"learning_rate": LEARNING_RATE, "clip_norm": CLIP_NORM, "weight_decay": 0.0,
                      "schedule": "constant", "warmup_fraction": 0.0},
        "training": {"epochs": 1, "checkpoint_every": options.steps + 1},
        "compute": {"dtype": case["dtype"], "gradient_checkpointing": case["checkpointing"]},
    }  # fmt: skip
    with tempfile.TemporaryDirectory() as out:
        command = [sys.executable, str(HERE / "train_ours.py"), str(folder / "dataset"), out, json.dumps(fields)]
        return last_line(run_measured(command, environ=PASSIVE).output)


def trl(options: argparse.Namespace, folder: Path, case: Mapping[str, Any], model: str, python: str) -> dict[str, Any]:
    """TRL's SFTTrainer on the same ids."""
    packs = case["packing"] == "bfd"
    settings = {
        "model": model, "adapter": str(folder / "adapter"), "ids": str(folder / "ids.jsonl"),
        "scratch": str(folder / "trl"), "dtype": case["dtype"],
        "packing": case["packing"], "checkpointing": case["checkpointing"], "max_length": options.max_length,
        "batch_size": options.batch_size // 2 if packs else options.batch_size, "grad_accum": 1,
        "max_steps": options.steps, "learning_rate": LEARNING_RATE, "weight_decay": 0.0, "clip_norm": CLIP_NORM,
    }  # fmt: skip
    command = [python, str(HERE / "peers" / "trl_runner.py"), json.dumps(settings)]
    return last_line(run_measured(command, environ=PASSIVE).output)


def figures(run: Mapping[str, Any], warm: int) -> dict[str, float]:
    """What a run is compared by."""
    tokens = sum(run["tokens"][warm:])
    return {
        "tok_per_s": tokens / sum(run["seconds"][warm:]),
        "tok_per_cpu_s": tokens / sum(run["cpu_s"][warm:]),
        "peak_mb": run["peak_mb"],
    }


def off_by(first: Sequence[float], second: Sequence[float]) -> float:
    """The greatest difference of two sides' losses at the same step, in nats per token."""
    return max(abs(one - other) for one, other in zip(first, second, strict=True))


def cases(options: argparse.Namespace, machine_dtype: str) -> list[dict[str, Any]]:
    """What is compared; each case of ours may have several of TRL's."""
    packings, switches = options.packing.split(","), options.checkpointing.split(",")
    return [
        {"dtype": machine_dtype if dtype == "auto" else dtype, "packing": packing, "checkpointing": switch == "on"}
        for dtype, switch, packing in product(options.dtypes.split(","), switches, packings)
    ]


def compare(options: argparse.Namespace, folder: Path, python: str | None) -> list[dict[str, Any]]:
    """Every case, both sides in turn."""
    told = prepare(options, folder)
    every = cases(options, told["dtype"])
    kept: list[dict[str, list[dict[str, Any]]]] = [{"ours": [], "trl": []} for _ in every]
    for _ in range(options.repeat):
        mine: dict[tuple[object, ...], dict[str, Any]] = {}  # Harvester packs in one way, whatever TRL does beside it
        for case, runs in zip(every, kept, strict=True):
            key = (case["dtype"], case["checkpointing"], case["packing"] != "none")
            if key not in mine:
                mine[key] = ours(options, folder, case)
            runs["ours"].append(mine[key])
            if python is not None:
                runs["trl"].append(trl(options, folder, case, told["model"], python))
    return [make_row(case, runs, options.warm_up) for case, runs in zip(every, kept, strict=True)]


def make_row(case: Mapping[str, Any], runs: Mapping[str, list[dict[str, Any]]], warm: int) -> dict[str, Any]:
    """One line of the result; `warm` steps at the start are not counted."""
    row: dict[str, Any] = {**case}
    of_side = {side: [figures(run, warm) for run in of_one] for side, of_one in runs.items()}
    for side, found in of_side.items():
        for name in ("tok_per_s", "tok_per_cpu_s", "peak_mb"):
            row[f"{side}_{name}"] = statistics.median(one[name] for one in found) if found else None
    pairs = list(zip(of_side["ours"], of_side["trl"], strict=False))
    for name in ("tok_per_s", "tok_per_cpu_s", "peak_mb") if pairs else ():
        row[f"ratios_{name}"] = [mine[name] / other[name] for mine, other in pairs]
        row[f"ratio_{name}"] = statistics.median(row[f"ratios_{name}"])
    if pairs:
        apart = case["packing"] == "bfd"
        row["off_by"] = None if apart else off_by(runs["ours"][0]["losses"], runs["trl"][0]["losses"])
        row["met"] = row["ratio_tok_per_s"] >= LEAST_SPEED and row["ratio_peak_mb"] <= MOST_MEMORY
    return row


def show(rows: Sequence[Mapping[str, Any]], options: argparse.Namespace, version: str | None) -> None:
    """The table."""
    columns = {
        "tok/s": "ours_tok_per_s", "TRL's": "trl_tok_per_s", "x": "ratio_tok_per_s", "x by CPU": "ratio_tok_per_cpu_s",
        "MB": "ours_peak_mb", "TRL's MB": "trl_peak_mb", "x MB": "ratio_peak_mb", "losses off by": "off_by",
    }  # fmt: skip
    names = {"none": "padded", "flat": "packed", "bfd": "packed, TRL's best fit"}

    def cell(row: Mapping[str, Any], title: str, name: str) -> object:
        value = row.get(name)
        return f"{value:.1e}" if value is not None and title == "losses off by" else value

    lines = [
        {
            "case": f"{row['dtype']}, {names[row['packing']]}{', checkpointing' if row['checkpointing'] else ''}",
            **{title: cell(row, title, name) for title, name in columns.items()},
        }
        for row in rows
    ]
    table(
        f"supervised tokens/s, {options.steps - options.warm_up} steps of {options.batch_size} rows, {options.repeat} "
        f"runs; TRL {version or 'is not installed'} (aims: x {LEAST_SPEED}, x MB {MOST_MEMORY})",
        lines,
    )


def main() -> None:
    """Compare, show, keep."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="embedded")
    parser.add_argument("--batch-size", type=int, default=4, help="Rows in a step.")
    parser.add_argument("--steps", type=int, default=7)
    parser.add_argument("--warm-up", type=int, default=2, help="Steps that are not counted.")
    parser.add_argument("--repeat", type=int, default=2)
    parser.add_argument("--max-length", type=int, default=512)
    parser.add_argument("--longest", type=int, default=500, help="Tokens of the longest row.")
    parser.add_argument("--dtypes", default="auto", help="auto, bfloat16, float32; several with commas.")
    parser.add_argument("--packing", default="none,flat,bfd")
    parser.add_argument("--checkpointing", default="on,off")
    options = parser.parse_args()
    python = os.environ.get("HARVESTER_BENCH_TRL")
    version = installed("trl", python)
    with tempfile.TemporaryDirectory() as folder:
        rows = compare(options, Path(folder), python if version else None)
    show(rows, options, version)
    chosen = {name: getattr(options, name) for name in ("batch_size", "steps", "warm_up", "repeat", "max_length")}
    report("train_speed", {"trl": version, **chosen, "rows": rows})


if __name__ == "__main__":
    main()
