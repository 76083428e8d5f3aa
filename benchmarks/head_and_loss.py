"""The output head with its loss, alone: forward and backward over hidden states, without the model below.

- `plain`: logits of all positions, then `finetune.losses.hard` or `bucket_sampled`, differentiated by autograd;
- `harvester`: `finetune.losses.fused_sum` with the same coefficients, made anew each time as a training step does;
- `trl`: the kernel of TRL's SFTTrainer (hard labels only), where HARVESTER_BENCH_TRL names the Python of an
  environment that has it.

Each case runs in a process of its own (head_and_loss_case.py), the sides in turn. Memory is the peak of the resident
set over what it was before; the inputs, the head among them, are not counted, gradients are. Ratios are to `plain`.
"""

import argparse
import json
import os
import statistics
import sys
from collections.abc import Mapping
from itertools import product
from typing import Any

from measuring import HERE, report, run_measured, table
from peers import installed

SHAPES = {"49,152": (49_152, 576), "151,936": (151_936, 896)}  # V, D: SmolLM2-135M's and Qwen2.5-0.5B's
PASSIVE = {"OMP_WAIT_POLICY": "PASSIVE"}
FIGURES = ("seconds", "cpu_s", "peak_mb")


def cases(options: argparse.Namespace, python: str | None) -> list[dict[str, Any]]:
    """What is measured; the sides of one case are neighbours."""
    found = []
    grid = product(options.vocabularies, options.dtypes.split(","), options.heads.split(","), ("hard", "sampled"))
    for vocabulary, dtype, head, loss in grid:
        size, width = SHAPES[vocabulary]
        sides = ["plain", "harvester", *(["trl"] if python and loss == "hard" else [])]
        found += [
            {"vocabulary": size, "width": width, "dtype": dtype, "head": head, "loss": loss, "side": side}
            for side in sides
        ]
    return found


def measured(case: Mapping[str, Any], options: argparse.Namespace, python: str | None) -> dict[str, Any]:
    """One case's medians."""
    settings = {**case, "positions": options.positions, "listed": options.listed, "repeat": options.repeat}
    run_by = python if case["side"] == "trl" and python else sys.executable
    command = [run_by, str(HERE / "head_and_loss_case.py"), json.dumps(settings)]
    output = run_measured(command, environ=PASSIVE).output
    found = json.loads(output.splitlines()[-1])
    return {"loss_nats": found["loss"], **{name: statistics.median(found[name]) for name in FIGURES}}


def with_ratios(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Each row with its share of what `plain` took in the same case."""
    plain = {_key(row): row for row in rows if row["side"] == "plain"}
    return [{**row, **{f"x {name}": row[name] / plain[_key(row)][name] for name in FIGURES}} for row in rows]


def _key(row: Mapping[str, Any]) -> tuple[Any, ...]:
    return row["vocabulary"], row["dtype"], row["head"], row["loss"]


def main() -> None:
    """Compare, show, keep."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--positions", type=int, default=2048, help="supervised tokens")
    parser.add_argument("--listed", type=int, default=20, help="tokens that the teacher listed at each")
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--vocabularies", nargs="*", choices=SHAPES, default=list(SHAPES))
    parser.add_argument("--dtypes", default="bfloat16,float32")
    parser.add_argument("--heads", default="frozen,learning")
    options = parser.parse_args()
    python = os.environ.get("HARVESTER_BENCH_TRL")
    version = installed("trl", python)
    rows = []
    for case in cases(options, python if version else None):
        rows.append({**case, **measured(case, options, python)})
        print(json.dumps(rows[-1]), file=sys.stderr, flush=True)
    rows = with_ratios(rows)
    lines = [
        {"case": f"{row['vocabulary']:,}, {row['dtype']}, {row['head']} head, {row['loss']}, {row['side']}"}
        | {name: row[name] for name in (*FIGURES, *(f"x {name}" for name in FIGURES))}
        for row in rows
    ]
    table(f"head and loss, {options.positions} positions, TRL {version or 'is not installed'}", lines)
    chosen = {name: getattr(options, name) for name in ("positions", "listed", "repeat")}
    report("head_and_loss", {"trl": version, **chosen, "rows": rows})


if __name__ == "__main__":
    main()
