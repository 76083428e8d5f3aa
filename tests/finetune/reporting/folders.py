"""Run folders as `finetune train` and `finetune evaluate` leave them, without training. A helper, not a package."""

import json
import math
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from finetune.intervals import gap_recovered, paired_difference, wilson
from finetune.likelihood import Measured
from finetune.nearness import summarise

NAMES = ("Adaeze Bouchard", "Daisuke Islam", "Karolína Mbeki", "Yara El-Sayed", "Brigitte Reyes", "Nkechi Þórsdóttir")
SHARES = {"base": 0.0, "base_instruction": 0.04, "teacher": 0.83, "student": 0.84, "unfiltered": 0.76}
FIELDS = ("name", "date", "amount")
TERMS = {
    "teacher": "teacher",
    "id": "llama-3.1-4",
    "verdict": "conditions",
    "as_of": "2026-11-01",
    "source": "Llama 3.1 to 4 licence texts",
    "obligations": ["the student's name starts with Llama", "show Built with Llama"],
    "show": ["Built with Llama"],
}

Lines = list[dict[str, Any]]


def make_run(
    folder: Path,
    *,
    prompts: int = 100,
    shares: Mapping[str, float] = SHARES,
    say: Callable[[str, int], str] | None = None,
    first: int = 0,
    seed: int = 0,
    config: Mapping[str, Any] | None = None,
) -> Path:
    """An evaluated run.

    Args:
        folder: where to.
        prompts: how many are held out.
        shares: arm → share of them that it answers right.
        say: (arm, number of the prompt) → the text of its answer, in place of an order's JSON.
        first: number of the first prompt: runs with different ones were scored on different prompts.
        seed: of who fails where.
        config: settings in place of the usual ones, by dotted name.
    """
    folder.mkdir(parents=True)
    asked = [_prompt(first + number) for number in range(prompts)]
    dump_lines(folder / "answers" / "prompts.jsonl", asked)
    dice, arms, passed = random.Random(seed), {}, {}  # noqa: S311 - who fails where
    for arm, share in shares.items():
        right = set(dice.sample(range(prompts), round(share * prompts)))
        lines = [_answer(arm, prompt, passed=place in right, say=say) for place, prompt in enumerate(asked)]
        passed[arm] = [float(line["passed"]) for line in lines]
        dump_lines(folder / "answers" / f"{arm}.jsonl", lines)
        arms[arm] = _score(lines)
    dump(folder / "report.json", _report(arms, passed, prompts))
    dump(folder / "run.json", _facts())
    dump(folder / "config.json", _config(config or {}))
    dump_lines(folder / "metrics.jsonl", _metrics(66, scale=1 + 0.1 * seed))
    return folder


def make_prose_run(folder: Path, rows: Sequence[Measured], *, config: Mapping[str, Any] | None = None) -> Path:
    """A run whose held-out rows have no `reference`, evaluated."""
    folder.mkdir(parents=True)
    counts = {"measured": len(rows), "with_lists": 0, "with_teacher": 0}
    dump(folder / "heldout.json", {"rows": counts, **summarise(rows), "overlap": {"prompts": 0, "of": len(rows)}})
    dump_lines(folder / "heldout.jsonl", [asdict(row) for row in rows])
    dump(folder / "run.json", _facts())
    dump(folder / "config.json", _config(config or {}))
    return folder


def _prompt(number: int) -> dict[str, Any]:
    name, day, amount = NAMES[number % len(NAMES)], 1 + number % 28, round(12 + 7.31 * number, 2)
    return {
        "seed_id": f"{number:032x}",
        "messages": [{"role": "user", "content": f"On {day} March 2022, {name} cleared the balance of EUR {amount}."}],
        "reference": {"name": name, "date": f"2022-03-{day:02}", "amount": amount},
    }


def _answer(arm: str, prompt: dict[str, Any], *, passed: bool, say: Callable[[str, int], str] | None) -> dict[str, Any]:
    wrong = dict(prompt["reference"], date="2022-03-31T00:00")
    base = arm.startswith("base") and not passed
    text = json.dumps(prompt["reference"] if passed else wrong, ensure_ascii=False)
    if base:
        text = f"{prompt['reference']['name']}, the musician, has cleared the balance of the account. " * 2
    reason = None if passed else "not JSON: Expecting value" if base else "date: not 2022-03-31"
    return {
        "seed_id": prompt["seed_id"],
        "sample": 0,
        "answer": say(arm, int(prompt["seed_id"], 16)) if say else text,
        "passed": passed,
        "reason": reason,
        "finished": not base,
        "fields": {field: passed or (field != "date" and not base) for field in FIELDS},
        "tokens": 30 + len(text) % 11,
    }


def _score(lines: Lines) -> dict[str, Any]:
    def share(right: int) -> dict[str, Any]:
        return {"n": len(lines), "score": right / len(lines), "interval": list(wilson(right, len(lines)))}

    counts = sorted(line["tokens"] for line in lines)
    return {
        **share(sum(line["passed"] for line in lines)),
        "unfinished": sum(not line["finished"] for line in lines),
        "fields": {field: share(sum(line["fields"][field] for line in lines)) for field in FIELDS},
        "answer_tokens": {"median": counts[len(counts) // 2], "p95": counts[int(0.95 * len(counts))]},
    }


def _report(arms: dict[str, Any], passed: dict[str, list[float]], prompts: int) -> dict[str, Any]:
    gap = gap_recovered(passed["base"], passed["teacher"], passed["student"])
    differences = []
    for arm in arms:
        if arm != "student":
            value, interval = paired_difference(passed["student"], passed[arm])
            differences.append({"arm": "student", "than": arm, "value": value, "interval": interval})
    return {
        "arms": arms,
        "differences": differences,
        "gap_recovered": asdict(gap),
        "overlap": {"prompts": 0, "of": prompts},
        "usd": 0.4213,
        "cost": {"break_even": {"value": 5321.0, "unit": "answers", "how": "0.42 ÷ (0.0001 - 0.00002)"}},
        "minutes": {"collect": 4.92, "train": 2.378222067350013, "evaluate": 2.0625393604333415},
        "max_new_tokens": 64,
        "dataset": {
            "path": "runs/extract-orders/dataset",
            "sha256": "05e84f0e6d841dde" * 4,
            "recipe": "extract-orders",
        },
        "run": {
            "path": "runs/extract-orders/student",
            "config_sha256": "8121b597bf6a9fe8" * 4,
            "steps": 66,
            "dev_loss_before": 0.92,
            "dev_loss": 0.0221,
        },
        "data": {
            "rows": {"train": 131, "dev": 34, "test": 100},
            "recipe": "extract-orders",
            "learnt_from": {"rows": 131, "of": 131, "passes": 2.0, "supervised": 9024, "total": 23746},
            "dev_rows": 34,
            "asked": 200,
            "accepted": 182,
            "left_out": {"harvest": {"verify:json_schema": 6, "verify:date_in_text": 11, "length": 1}, "training": {}},
            "models": ["llama-3.1-8b-instruct"],
            "providers": ["localhost"],
            "verify": ["json_schema", "date_in_text"],
            "terms": [TERMS],
            "spend": [[place / 10, 0.4213 * place / 49] for place in range(50)],
            "completion_tokens": [20 + place for place in range(21)],
            "seeds": [
                {"split": "train", "path": "train.jsonl", "license": "CC0-1.0"},
                {"split": "test", "path": "heldout.jsonl", "license": None},
            ],
        },
    }


def _facts() -> dict[str, Any]:
    return {
        "format": 1,
        "status": "trained",
        "config_sha256": "8121b597bf6a9fe8" * 4,
        "dataset": "runs/extract-orders/dataset",
        "dataset_sha256": "05e84f0e6d841dde" * 4,
        "recipe": "extract-orders",
        "rows": {"train": 131, "dev": 34},
        "longest_answer": 41,
        "seen": {"rows": 262, "supervised": 9024, "total": 23746},
        "tokens": {"supervised": 4512, "total": 11873},
        "lengths": {"prompt": [31 + 2 * place for place in range(21)], "answer": [26 + place for place in range(21)]},
        "steps": 66,
        "device": "cpu",
        "dtype": "bfloat16",
        "train_loss": 0.0062,
        "dev_loss": 0.0221,
        "dev_loss_before": 0.92,
        "train_minutes": 2.378,
    }


def _config(changed: Mapping[str, Any]) -> dict[str, Any]:
    config: dict[str, Any] = {
        "model": "embedded",
        "method": "lora",
        "lora": {"rank": 16, "alpha": 32, "targets": None},
        "batching": {"batch_size": 4, "grad_accum": 1, "max_length": 1024, "packing": True},
        "optimiser": {"learning_rate": 0.001, "schedule": "cosine"},
        "training": {"epochs": 2, "seed": 0},
    }
    for name, value in changed.items():
        noun, _, field = name.partition(".")
        if field:
            config[noun][field] = value
        else:
            config[noun] = value
    return config


def _metrics(steps: int, *, scale: float) -> Lines:
    lines: Lines = [{"step": 0, "dev_loss": 0.92}]
    for step in range(1, steps + 1):
        loss = scale * (0.9 * math.exp(-step / 5) + 0.02 + 0.008 * math.sin(1.7 * step))
        lines.append({"step": step, "epoch": 2 * step / steps, "loss": loss, "learning_rate": 1e-3})
        if step % 33 == 0:
            lines.append({"step": step, "dev_loss": 0.022 * scale})
    return lines


def dump(path: Path, value: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def dump_lines(path: Path, lines: Lines) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")


def edit(path: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    """Changes a JSON file in place."""
    value = json.loads(path.read_text(encoding="utf-8"))
    change(value)
    dump(path, value)
