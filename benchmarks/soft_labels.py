"""What the teacher's own top logprobs are worth to a student: every loss at equal rows and steps.

The teacher (the embedded one, or one that was trained to be sure of its answers) answers short prompts through
`harvester collect`, from its own distribution (temperature 1, nothing cut off, nothing picked), and lists 20 tokens at
each. The student is the embedded model's first 15 layers, every weight trained, or a model with other tokens
(--student gemma, soft_labels_student.py).
Each run is a process of its own and leaves a file in --keep; an interrupted benchmark goes on where it stopped:

    python benchmarks/soft_labels.py --keep FOLDER [--steps 200] [--arms hard bucket] [--seeds 0 1 2]
    python benchmarks/soft_labels.py --keep FOLDER --student gemma

Differences are to `hard`, paired by held-out row: each row's are averaged over the seeds that both have, and the
interval is over rows: what other orders of training would give is not in it, so look at `by_seed` too. Seeds decide
the order of the rows alone. Answers are cut at --max-length, all in the same way,
before the teacher's own limit would cut them, so that no row ends where the teacher did not.
"""

import argparse
import hashlib
import json
import math
import os
import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

from measuring import HERE, report, run_measured, table
from soft_labels_data import TRAIN, dataset, teacher_folder
from soft_labels_student import STUDENTS, student

from finetune.config import EMBEDDED, RunConfig
from finetune.data import fingerprint
from finetune.intervals import FEWEST, Z_95

ARMS: Mapping[str, Mapping[str, Any]] = {
    "hard": {"kind": "hard"},
    "bucket": {"kind": "bucket"},
    "chunks": {"kind": "chunks"},
    "sampled": {"kind": "sampled"},
    "topk": {"kind": "topk"},
    "sampled, tail 0.5": {"kind": "sampled", "tail_weight": 0.5},
    "sampled, tail 0.25": {"kind": "sampled", "tail_weight": 0.25},
    "half hard, half bucket": {"kind": "bucket", "hard_share": 0.5},
    "bucket, k = 5": {"kind": "bucket", "top": 5},
    "sampled, k = 5": {"kind": "sampled", "top": 5},
    "topk, k = 5": {"kind": "topk", "top": 5},
}
MEASURES = {
    "ce": "cross-entropy", "agreement": "agreement", "kl": "KL",
    "ce_byte": "nats a byte", "kl_listed": "KL of lists",
}  # fmt: skip
Rows = list[dict[str, float]]


class Bench:
    """Runs, each once, and their files."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options, self.keep = options, options.keep.resolve()
        self.dataset, self.student = dataset(self.keep, options.dataset), student(self.keep, options.student)
        self.teacher = str(teacher_folder(self.keep)) if options.dataset == "sure" else EMBEDDED
        self.sha256 = fingerprint(self.dataset)

    def config(self, arm: str, seed: int) -> RunConfig:
        """One run's."""
        options = self.options
        return RunConfig.model_validate(
            {
                "model": str(self.student),
                "method": STUDENTS[options.student]["method"],
                "batching": {
                    "batch_size": options.batch_size, "max_length": options.max_length, "too_long": "cut",
                },
                "optimiser": {"learning_rate": options.learning_rate},
                "loss": ARMS[arm],
                "training": {
                    "seed": seed, "max_steps": options.steps, "checkpoint_every": options.steps,
                    "epochs": math.ceil(options.steps * options.batch_size / TRAIN) + 1,
                },
            }
        )  # fmt: skip

    def result(self, arm: str, seed: int, *, untrained: str = "") -> dict[str, Any] | None:
        """A run's, from its file if there is one; None where there is not and nothing is to be run."""
        config = self.config(arm, seed)
        name = self.options.student
        # How much the teacher itself knows is measured as the student is.
        what = f"{self.sha256} {untrained or config.sha256()}" + ("" if name == "half" else f" {name}")
        cut = f"{self.options.dataset}-{self.options.max_length}-{self.sha256[:8]}"
        path = self.keep / "runs" / f"{cut}-{hashlib.sha256(what.encode()).hexdigest()[:16]}.json"
        if not path.exists():
            if self.options.finished:
                return None
            settings = {
                "dataset": str(self.dataset), "teacher": str(self.keep / f"teacher-{cut}.pt"), "untrained": untrained,
                "teacher_model": self.teacher,
                "scratch": str(self.keep), "config": config.model_dump(mode="json"),
                "measured": STUDENTS[name]["measured"],
            }  # fmt: skip
            command = ["nice", "-n", "19", sys.executable, str(HERE / "soft_labels_run.py"), json.dumps(settings)]
            output = run_measured(command, environ={"OMP_WAIT_POLICY": "PASSIVE"}).output
            path.parent.mkdir(exist_ok=True)
            path.write_text(json.dumps({"arm": arm, "seed": seed} | last_line(output)), encoding="utf-8")
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return found


def last_line(output: str) -> dict[str, Any]:
    """A child's result: the last JSON object that it printed."""
    return dict(json.loads([line for line in output.splitlines() if line.startswith("{")][-1]))


def mean_rows(runs: Sequence[Rows]) -> Rows:
    """Each row's measures, averaged over seeds."""
    return [mean_of(rows) for rows in zip(*runs, strict=True)]


def mean_of(rows: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Each measure's mean over rows."""
    return {name: statistics.fmean(row[name] for row in rows) for name in rows[0]}


def paired(mine: Sequence[float], theirs: Sequence[float]) -> tuple[float, float | None]:
    """The mean of mine - theirs, and half of its 95 % interval (nats have no bounds: a plain normal one)."""
    apart = [one - other for one, other in zip(mine, theirs, strict=True)]
    few = len(apart) < FEWEST
    return statistics.fmean(apart), None if few else Z_95 * statistics.stdev(apart) / math.sqrt(len(apart))


def line_of(arm: str, runs: Mapping[int, Rows], hard: Mapping[int, Rows]) -> dict[str, Any]:
    """One arm's means and its differences to `hard` over the seeds that both have."""
    rows = mean_rows(list(runs.values()))
    line: dict[str, Any] = {"arm": arm, "seeds": sorted(runs), **mean_of(rows)}
    both = [seed for seed in runs if seed in hard]
    if arm == "hard" or not both:
        return line
    mine, theirs = mean_rows([runs[seed] for seed in both]), mean_rows([hard[seed] for seed in both])
    for name in rows[0]:
        apart, half = paired([row[name] for row in mine], [row[name] for row in theirs])
        by_seed = [paired(*([row[name] for row in of[seed]] for of in (runs, hard)))[0] for seed in both]
        line[f"{name} - hard"] = {"mean": apart, "half": half, "by_seed": by_seed}
    return line


def show(lines: Sequence[Mapping[str, Any]], title: str) -> None:
    """The table."""
    table(title, [{"arm": line["arm"], "seeds": len(line["seeds"] or ()) or None} | _cells(line) for line in lines])


def _cells(line: Mapping[str, Any]) -> dict[str, str]:
    cells = {}
    for name, written in MEASURES.items():
        if name in line:
            apart, digits = line.get(f"{name} - hard"), 4 if name == "ce_byte" else 3
            half = apart and (apart["half"] or math.nan)
            cells[written] = f"{line[name]:.{digits}f}"
            cells[f"{written} - hard"] = apart and f"{apart['mean']:+.{digits}f} ± {half:.{digits}f}"
    return cells


def main() -> None:
    """Run what is missing, show, keep."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--keep", type=Path, default=HERE / "results" / "soft_labels", help="datasets and runs")
    parser.add_argument("--dataset", choices=("prose", "takes", "records", "sure"), default="prose")
    parser.add_argument("--student", choices=STUDENTS, default="half")
    parser.add_argument("--arms", nargs="*", choices=ARMS, help="losses; by default those of the student")
    parser.add_argument("--seeds", nargs="*", type=int, default=[0, 1, 2])
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--batch-size", type=int, default=4, help="rows in a step")
    parser.add_argument("--max-length", type=int, default=96, help="tokens of a row")
    parser.add_argument("--learning-rate", type=float, default=3e-4)
    parser.add_argument("--finished", action="store_true", help="run nothing; show what --keep holds")
    options = parser.parse_args()
    options.arms = options.arms or STUDENTS[options.student]["arms"]
    began, bench = time.monotonic(), Bench(options)
    found: dict[str, dict[int, dict[str, Any]]] = {arm: {} for arm in options.arms}
    for seed, arm in product(options.seeds, options.arms):
        if run := bench.result(arm, seed):
            found[arm][seed] = run
            print(json.dumps({"arm": arm, "seed": seed, **mean_of(run["rows"])}), file=sys.stderr, flush=True)
    rows = {arm: {seed: run["rows"] for seed, run in runs.items()} for arm, runs in found.items()}
    lines = [line_of(arm, runs, rows.get("hard", {})) for arm, runs in rows.items() if runs]
    for name, model in {"untrained student": str(bench.student), "teacher itself": bench.teacher}.items():
        if run := bench.result("hard", 0, untrained=model):
            lines.append({"arm": name, "seeds": None, **mean_of(run["rows"])})
    runs_made = [run for runs in found.values() for run in runs.values()]
    rest = min((run["soft"]["rest"] for run in runs_made if run["soft"]), default=None)  # of the longest lists
    minutes = sum(run["minutes"] for run in runs_made)
    held_out = max((len(run["rows"]) for run in runs_made), default=0)
    show(
        lines,
        f"{options.student} on {options.dataset}, {options.steps} steps of {options.batch_size} rows,"
        f" {held_out} held-out rows, R {rest}",
    )
    chosen = {
        name: getattr(options, name)
        for name in ("student", "dataset", "steps", "batch_size", "max_length", "learning_rate")
    }
    took = {"train_minutes": minutes, "wall_minutes": (time.monotonic() - began) / 60, "cores": os.cpu_count()}
    report("soft_labels", {**chosen, "seeds": options.seeds, "sha256": bench.sha256, "R": rest, **took, "arms": lines})


if __name__ == "__main__":
    main()
